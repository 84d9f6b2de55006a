"""`tocsin up --sign-in`: the development issuer beside the console, to try the roles with."""

from __future__ import annotations

import sys
from typing import Final

from pydantic import SecretStr

from connectors.loopback import is_loopback
from streams.console.sign_in.development import CLIENT, SECRET
from streams.local.errors import LocalError
from streams.local.process import free_port
from streams.local.state import Command
from streams.settings import OidcSettings, Settings

NAME: Final = "issuer"  # of the process, and of its port in the state


def checked(settings: Settings) -> None:
    """Raises `LocalError` where a sign-in without passwords has no place."""
    if settings.console.oidc.issuer:
        raise LocalError(
            "The settings name an issuer already (console.oidc.issuer): leave out --sign-in, which "
            "is for trying the roles without one."
        )
    if not is_loopback(settings.console.host):
        raise LocalError(
            f"--sign-in has no passwords, so it is for this machine alone, and console.host is "
            f"{settings.console.host}: set it to 127.0.0.1."
        )


def with_sign_in(settings: Settings, ports: dict[str, int], *, running: bool) -> Settings:
    """The console's settings for the issuer, whose port is the last one where that can be.

    Updates `ports`. `running`: everything is up, so that the port is in use by the issuer itself.
    """
    if not (running and NAME in ports):
        taken = frozenset(port for name, port in ports.items() if name != NAME)
        ports[NAME] = free_port(ports.get(NAME, 0), taken)
    oidc = OidcSettings(issuer=url(ports), client_id=CLIENT, client_secret=SecretStr(SECRET))
    console = settings.console.model_copy(update={"oidc": oidc})
    return settings.model_copy(update={"console": console})


def url(ports: dict[str, int]) -> str:
    """The issuer's address."""
    return f"http://127.0.0.1:{ports[NAME]}"


def command(ports: dict[str, int]) -> Command:
    """The issuer as a process."""
    port = str(ports[NAME])
    return Command(NAME, (sys.executable, "-m", "streams.cli", "issuer", "--port", port))
