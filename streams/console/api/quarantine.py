"""The quarantine for programs: what the page does, with the same audit."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import Depends, Request, Response

from connectors.contract import Quarantined
from connectors.quarantine_log import Item, State
from streams.console.api.paging import Cursor, Limit, page
from streams.console.api.problems import ProblemError
from streams.console.api.routes import Routes, body, json, person
from streams.console.people import Person
from streams.console.quarantine_room import QuarantineRoom
from streams.quarantine_desk import Look, fits

Asker = Annotated[Person, Depends(person)]
_MESSAGE_BYTES = 20_000_000


class QuarantineItem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that could not be understood, without its bytes."""

    id: str
    state: State
    reason: str
    detail: str
    location: str
    partial: bool
    message_type: str
    source: str
    received_at: str
    wire: str
    times: int


class QuarantineLook(msgspec.Struct, frozen=True, kw_only=True):
    """An item with its message, masked."""

    item: QuarantineItem
    content_type: str
    size: int  # bytes that are kept
    masked: str  # the message line by line; "" when it is none of HL7
    marked_line: int | None  # of `masked`, from 0
    findings: list[str]  # what is wrong by the standard
    would_give: str  # if it were sent again now
    obstacle: str  # why it cannot be sent again as it is


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A decision about an item."""

    why: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class Mend(Step, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to send in place of what came: fields anew, or the whole text."""

    fields: Annotated[list[str], msgspec.Meta(max_length=100)] = []  # "PID-3=4711^^^HOSP^MR"
    text: str | None = None  # the whole message; needs the role that sees messages
    force: bool = False  # send it even if it is still refused


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it."""

    item: QuarantineItem
    gives: str  # what the message gave when it was read; "" where none was sent


_ITEM = QuarantineItem(
    id="3f2a90c1d4e5f60718293a4b5c6d7e8f",
    state=State.OPEN,
    reason="no_patient",
    detail="no usable identifier",
    location="PID-3",
    partial=False,
    message_type="ORU^R01",
    source="LAB|HOSP",
    received_at="2026-11-23T11:00:00.000Z",
    wire="tocsin.wire.hl7/0/1871",
    times=1,
)
_LOOK = QuarantineLook(
    item=_ITEM,
    content_type="application/hl7-v2",
    size=187,
    masked="MSH|^~\\&|LAB|HOSP\nPID|1||||xxx^xxxx||99999999|F",
    marked_line=1,
    findings=["PID-3 is required and missing."],
    would_give="quarantine, no_patient at PID-3",
    obstacle="",
)
_MEND = Mend(why="the number was lost", fields=["PID-3=4711^^^HOSP^MR"])
_STEP = Step(why="a vendor's test")


def add(routes: Routes, room: QuarantineRoom) -> None:
    """List, look, mend, send again, discard."""

    @routes.get("/api/v1/quarantine", gives=list[QuarantineItem], example=[_ITEM], problems=(404,))
    async def quarantine(
        request: Request,
        reason: str = "",
        source: str = "",
        state: State | None = State.OPEN,
        limit: Limit = 500,
        cursor: Cursor = "",
    ) -> Response:
        """What lies in quarantine: the open items, or those of another state."""
        found = [
            to_item(item)
            for item in await _items(room)
            if fits(item, reason, source) and state in (None, item.state)
        ]
        return page(request, found, lambda item: item.id, limit, cursor)

    @routes.get(
        "/api/v1/quarantine/{item}", gives=QuarantineLook, example=_LOOK, problems=(404, 409)
    )
    async def quarantine_item(item: str) -> Response:
        """One item: what is wrong in words, and the message with what names people hidden."""
        return json(_to_look(await room.look(await _one(room, item))))

    @routes.post(
        "/api/v1/quarantine/{item}/mend",
        gives=Done,
        example=Done(item=_ITEM, gives="4 facts"),
        takes=Mend,
        taken=_MEND,
        problems=(404, 409, 413, 415),
    )
    async def mend(item: str, request: Request, asker: Asker) -> Response:
        """Mend the message and send it again; refused when it would be refused again."""
        wanted: Mend = await body(request, Mend, _MESSAGE_BYTES)
        found = await _one(room, item)
        how: list[str] | str = wanted.fields if wanted.text is None else wanted.text
        gives = await room.mend(found, how, asker.subject, wanted.why, force=wanted.force)
        return json(Done(item=to_item(await _one(room, item)), gives=gives))

    @routes.post(
        "/api/v1/quarantine/{item}/redrive",
        gives=Done,
        example=Done(item=_ITEM, gives=""),
        takes=Step,
        taken=_STEP,
        problems=(404, 409, 413, 415),
    )
    async def redrive(item: str, request: Request, asker: Asker) -> Response:
        """Send the message again as it was received."""
        wanted: Step = await body(request, Step)
        await room.redrive(await _one(room, item), asker.subject, wanted.why)
        return json(Done(item=to_item(await _one(room, item)), gives=""))

    @routes.post(
        "/api/v1/quarantine/{item}/discard",
        gives=Done,
        example=Done(item=_ITEM, gives=""),
        takes=Step,
        taken=_STEP,
        problems=(404, 409, 413, 415),
    )
    async def discard(item: str, request: Request, asker: Asker) -> Response:
        """Decide that nothing of it is needed. The bytes stay in the log."""
        wanted: Step = await body(request, Step)
        await room.discard(await _one(room, item), asker.subject, wanted.why)
        return json(Done(item=to_item(await _one(room, item)), gives=""))


def to_item(item: Item) -> QuarantineItem:
    """An item as the API tells it."""
    r: Quarantined = item.record
    return QuarantineItem(
        id=r.id,
        state=item.state,
        reason=r.reason,
        detail=r.detail,
        location=r.location,
        partial=r.partial,
        message_type=r.message_type,
        source=r.source,
        received_at=r.received_at,
        wire=r.wire,
        times=item.times,
    )


def _to_look(look: Look) -> QuarantineLook:
    return QuarantineLook(
        item=to_item(look.item),
        content_type=look.content_type,
        size=look.size,
        masked=look.text,
        marked_line=look.marked,
        findings=look.findings,
        would_give=look.outcome,
        obstacle=look.obstacle,
    )


async def _items(room: QuarantineRoom) -> list[Item]:
    await room.read()
    if room.problem:
        raise ProblemError(503, "Not available now", room.problem)
    return room.items()


async def _one(room: QuarantineRoom, name: str) -> Item:
    found = room.item(name)
    if found is None:
        await _items(room)
        found = room.item(name)
    if found is None:
        raise ProblemError(404, "No such item", "Nothing in quarantine has this id.")
    return found
