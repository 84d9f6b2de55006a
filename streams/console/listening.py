"""Where the console listens, and where it may not."""

from __future__ import annotations

import socket
import ssl

from connectors.loopback import is_loopback
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
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"The console cannot listen on {settings.host}:{settings.port}: {error.strerror}. "
            "Set console.port to a free port, or to 0 for any."
        ) from None
    return listener


def _check_tls(settings: ConsoleSettings) -> None:
    """Certificate and key fit together and can be read: better said now than by a stack trace."""
    tls = settings.tls
    if tls.certificate is None:
        return
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls.client_ca)
        context.load_cert_chain(tls.certificate, tls.key)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(
            f"The console cannot use console.tls ({tls.certificate}, {tls.key}, {tls.client_ca}): "
            f"{error.strerror or error}. Give PEM files that can be read and belong together."
        ) from None


def address(settings: ConsoleSettings, listener: socket.socket) -> str:
    scheme = "https" if settings.tls.certificate else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{listener.getsockname()[1]}"
