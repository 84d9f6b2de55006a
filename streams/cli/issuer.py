"""`tocsin issuer`: a sign-in to try the console's roles with, on this machine alone."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

from streams.errors import UserError

app = typer.Typer()


@app.command()
def issuer(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 8790,
) -> None:
    """Run an OpenID Connect issuer for development: no passwords, one person for each role.

    Example: tocsin issuer --port 8790
    """
    import uvicorn  # noqa: PLC0415 - not for every command

    from streams import settings, telemetry  # noqa: PLC0415
    from streams.console.sign_in import development, development_issuer  # noqa: PLC0415
    from streams.local.process import port_is_free  # noqa: PLC0415

    if not port_is_free(port):
        raise UserError(f"Port {port} is in use: name another with --port.")
    url = f"http://127.0.0.1:{port}"
    typer.echo(
        f"{development.WARNING}\nStart the console with:\n"
        f"  TOCSIN_CONSOLE__OIDC__ISSUER={url}\n"
        f"  TOCSIN_CONSOLE__OIDC__CLIENT_ID={development.CLIENT}\n"
        f"  TOCSIN_CONSOLE__OIDC__CLIENT_SECRET={development.SECRET}"
    )
    probe = telemetry.start("issuer", settings.load().telemetry)

    class Server(uvicorn.Server):
        """Says when it listens."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            probe.set_ready()

    application = development_issuer.application(url)
    Server(uvicorn.Config(application, host="127.0.0.1", port=port, log_level="warning")).run()
