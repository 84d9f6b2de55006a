"""Where the console listens, and where it may not."""

from __future__ import annotations

import socket

from connectors import serving
from connectors.loopback import is_loopback
from connectors.tls import TlsError, server_context
from streams.console.sign_in.development import is_development
from streams.settings import ConsoleSettings, SettingsError

_ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - recognised, not listened on


def check(settings: ConsoleSettings) -> None:
    """Raises `SettingsError` for settings that are not safe or do not fit together."""
    _check_tls(settings)
    if is_loopback(settings.host):
        return
    if not settings.oidc.issuer:
        raise SettingsError(
            f"The console has no sign-in, so it listens on this machine only, and console.host is "
            f"{settings.host}. Set it to 127.0.0.1, or set up the sign-in (console.oidc); to reach "
            "it from elsewhere, use a tunnel (ssh -L)."
        )
    if is_development(settings.oidc):
        raise SettingsError(
            "The sign-in has no passwords (tocsin issuer), so the console listens on this machine "
            f"only, and console.host is {settings.host}. Set it to 127.0.0.1, or name the "
            "hospital's issuer (console.oidc)."
        )
    if settings.tls.certificate is None:
        raise SettingsError(
            f"Beyond this machine the console speaks TLS only, and console.host is {settings.host}:"
            " set console.tls.certificate and console.tls.key, or put a proxy before 127.0.0.1."
        )
    if settings.host in _ANYWHERE and not settings.url:
        raise SettingsError(
            "Set console.url to the address under which browsers reach the console: the sign-in "
            "sends them back there."
        )


def listen(settings: ConsoleSettings) -> socket.socket:
    """A bound socket, so that a used port is one sentence and port 0 is known before serving."""
    try:
        return serving.bound(settings.host, settings.port)
    except OSError as error:
        raise SettingsError(
            f"The console cannot listen on {settings.host}:{settings.port}: {error.strerror}. "
            "Set console.port to a free port, or to 0 for any."
        ) from None


def _check_tls(settings: ConsoleSettings) -> None:
    """Certificate and key fit together and can be read: better said now than by a stack trace."""
    try:
        server_context(settings.tls)
    except TlsError as error:
        raise SettingsError(f"console.tls {error}. Give PEM files that belong together.") from None
