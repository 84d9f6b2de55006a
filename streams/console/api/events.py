"""`/api/v1/events`: alerts and scores as they happen (Server-Sent Events).

An event's id says where in the log it stands, so whoever was cut off goes on with `Last-Event-ID`
and misses nothing that the log still holds, whichever console answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Header, Query, Response
from fastapi.responses import StreamingResponse

from streams.console.api.problems import NO_STORE, ProblemError
from streams.console.api.routes import Routes, person
from streams.console.guard import SignIn
from streams.console.people import Person
from streams.console.ports import Event, EventLog, PlaceError

Asker = Annotated[Person, Depends(person)]
MOST_STREAMS = 32  # each reads the log on its own
_ALIVE = b": alive\n\n"  # a comment: proxies keep the connection open


class Kind(StrEnum):
    """What an event holds."""

    ALERT = "alert"
    SCORE = "score"


_EXAMPLE = (
    'id: a0.12-s0.1871\nevent: alert\ndata: {"alert_id":"a-5c1d3f0e7b9a4d21","revision":1,"…":"…"}'
    "\n\n"
)


def add(routes: Routes, log: EventLog, sign_in: SignIn) -> None:
    """The stream. It ends with the session that it was opened in."""
    open_streams = set[object]()

    @routes.get(
        "/api/v1/events",
        gives=str,
        example=_EXAMPLE,
        media_type="text/event-stream",
        problems=(400,),
    )
    async def events(
        asker: Asker,
        kind: Annotated[list[Kind], Query(description="none named: all")] = [],  # noqa: B006
        last_event_id: Annotated[
            str, Header(max_length=20_000, description="go on behind this event")
        ] = "",
    ) -> Response:
        """Alerts (`event: alert`) and scores (`event: score`) from now on, or from an event on.

        `event: gap` says that the log no longer holds everything since then: read the lists anew.
        """
        if len(open_streams) >= MOST_STREAMS:
            raise ProblemError(503, "Too many streams", f"{MOST_STREAMS} are open: try later.")
        try:
            found = log.events(last_event_id)
        except PlaceError:
            raise ProblemError(
                400, "No event", "Last-Event-ID is none of ours: leave it out to begin with now."
            ) from None
        wanted = {k.value for k in kind} or {k.value for k in Kind}

        async def good() -> bool:
            return not asker.session or await sign_in.lives(asker)

        stream = _stream(found, wanted, open_streams, good)
        headers = NO_STORE | {"x-accel-buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def _stream(
    events: AsyncIterator[Event | None],
    wanted: set[str],
    open_streams: set[object],
    good: Callable[[], Awaitable[bool]],
) -> AsyncIterator[bytes]:
    me = object()
    open_streams.add(me)
    try:
        yield _ALIVE
        async for event in events:
            if not await good():
                return
            if event is None:
                yield _ALIVE
            elif event.kind in wanted or event.kind == "gap":
                yield written(event)
    finally:
        open_streams.discard(me)


def written(event: Event) -> bytes:
    """An event on the wire; its data are one line."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        event.id.encode(),
        event.kind.encode(),
        event.data.replace(b"\n", b" "),
    )
