"""Nobody is answered before it is known who asks."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import quote

import msgspec
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from streams.console.people import Person
from streams.console.ports import Unavailable
from streams.console.sign_in.notice import notice
from streams.roles import Role

SIGN_IN: str = "/sign-in"
# Style, scripts and the way to sign in: nothing of a patient.
_OPEN = ("/console.css", SIGN_IN, "/_nicegui/", "/favicon.ico")
_PROGRAMS = ("/api/", "/_nicegui_ws/", "/fhir/")


class SignIn(Protocol):
    """Knows people by what their requests carry."""

    async def person(self, connection: HTTPConnection) -> Person | None:
        """Who asks; None when nobody has signed in. May raise `Unavailable`."""
        ...

    async def lives(self, person: Person) -> bool:
        """Is the person's sign-in still good?"""
        ...

    @property
    def warning(self) -> str:
        """Stands at the top of every page, "" when there is nothing to warn of."""
        ...


class Demonstration:
    """No sign-in: whoever sits at this machine may do everything. Loopback addresses only."""

    warning = "Demonstration without sign-in: this console answers on this machine only."

    async def person(self, connection: HTTPConnection) -> Person | None:
        """The machine's own address in place of a name."""
        address = connection.client.host if connection.client else "this machine"
        return Person(f"console without sign-in, from {address}", frozenset({Role.ADMIN}))

    async def lives(self, person: Person) -> bool:
        """As long as the machine."""
        return True


class Guard:
    """Puts the person into `state.person`, or sends them to the sign-in."""

    def __init__(self, app: ASGIApp, sign_in: SignIn) -> None:
        self._app = app
        self._sign_in = sign_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        is_open = scope["path"].startswith(_OPEN)
        try:
            person = None if is_open else await self._sign_in.person(connection)
        except Unavailable as reason:
            await _cannot_tell(str(reason), scope, receive, send)
            return
        if person is None and not is_open:
            await _turn_away(connection, scope, receive, send)
            return
        if person is not None:
            connection.state.person = person
        await self._app(scope, receive, send)


async def _turn_away(
    connection: HTTPConnection, scope: Scope, receive: Receive, send: Send
) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4401})
        return
    path = scope["path"]
    if path.startswith(_PROGRAMS):
        await _unauthorized(path)(scope, receive, send)
        return
    wanted = quote(path + (f"?{connection.url.query}" if connection.url.query else ""))
    await RedirectResponse(f"{SIGN_IN}?next={wanted}", 303)(scope, receive, send)


async def _cannot_tell(reason: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Nobody is let in on trust."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1013})
        return
    body = {
        "title": "Nobody can be signed in now",
        "status": 503,
        "detail": f"{reason[:1].upper()}{reason[1:]}: try again in a moment.",
        "instance": scope["path"],
    }
    headers = {"retry-after": "2", "cache-control": "no-store"}
    kind = "application/problem+json"
    if not scope["path"].startswith(_PROGRAMS):
        page = notice(503, str(body["title"]), str(body["detail"]))
        await page(scope, receive, send)
        return
    await Response(msgspec.json.encode(body), 503, headers, media_type=kind)(scope, receive, send)


def _unauthorized(path: str) -> Response:
    body = {
        "title": "Not signed in",
        "status": 401,
        "detail": "Send a bearer token of the configured issuer, or sign in with a browser.",
        "instance": path,
    }
    headers = {"www-authenticate": "Bearer", "cache-control": "no-store"}
    return Response(msgspec.json.encode(body), 401, headers, media_type="application/problem+json")
