"""ADT: what happened to a stay.

A cancellation is the same fact as the event that it cancels, removed, and ranks by its own event
time: it counts whichever of the two arrives first. What a message says only by the way (an
update that repeats the time of admission) ranks below every message about that event, so that an
update never undoes a cancellation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from connectors.facts import EncounterEvent, Rank
from connectors.hl7.context import Context, RefusedError
from connectors.hl7.group import Group
from connectors.hl7.routing import Route
from connectors.hl7.syntax import NULL, Segment, at
from connectors.quarantine import Reason

_NO_SEGMENT: Final[Segment] = []

# Where the time of an event stands in PV1; otherwise EVN-6 (occurred), EVN-2 (recorded), MSH-7.
_TIME_IN_PV1: Final = {EncounterEvent.ADMITTED: 44, EncounterEvent.DISCHARGED: 45}
_AT_A_TIME: Final = frozenset(
    (EncounterEvent.LOCATED, EncounterEvent.LEFT, EncounterEvent.RETURNED)
)


class _Place(NamedTuple):
    patient_class: str
    ward: str
    bed: str
    account: str = ""


def read_visit(group: Group, route: Route, context: Context) -> Iterator[EncounterEvent]:
    """The facts of an ADT message. Raises `RefusedError` when its own event cannot be told."""
    evn, pv1 = group.find("EVN"), group.find("PV1")
    if pv1 is None:
        if route.needs_visit:
            raise RefusedError(Reason.NO_VISIT_EVENT, "no PV1 segment", "PV1")
        return
    evn = _NO_SEGMENT if evn is None else evn
    changed_at = context.said(at(evn, 2), "EVN-2")
    place = _place(pv1, context)._replace(account=hashed_number("AN", at(group.pid, 18), context))
    rank: Rank = (1, changed_at, int(route.cancels), context.control_id)
    if route.cancels:
        yield from _cancelled(route.event, evn, pv1, place, rank, context)
        return
    time = _time(route.event, evn, pv1, changed_at, context)
    yield _fact(route.event, time, place, rank, context)
    by_the_way: Rank = (0, changed_at, 0, context.control_id)
    for event, number in _TIME_IN_PV1.items():
        # The "time of admission" of somebody who was registered or announced is none.
        begins = route.event in (EncounterEvent.REGISTERED, EncounterEvent.PLANNED)
        if event != route.event and not (begins and event == EncounterEvent.ADMITTED):
            moment = context.noted_moment(at(pv1, number), f"PV1-{number}")
            if moment is not None:
                yield _fact(event, moment, place, by_the_way, context)


def _cancelled(
    event: str, evn: Segment, pv1: Segment, place: _Place, rank: Rank, context: Context
) -> Iterator[EncounterEvent]:
    """The event that never was, removed; and where the patient is after all."""
    if event in _AT_A_TIME:
        # Of a cancelled event, EVN-6 is the time at which it was said to have happened.
        moment = context.noted_moment(at(evn, 6), "EVN-6")
        if moment is not None:
            yield _fact(event, moment, place, rank, context, removed=True)
        elif event == EncounterEvent.LOCATED:
            # Which transfer is not said: PV1-3 says where the patient is.
            yield _fact(event, rank[1], place, (1, rank[1], 0, rank[3]), context)
        else:
            detail = "a cancellation that does not say of which event"
            raise RefusedError(Reason.NO_VISIT_EVENT, detail, "EVN-6")
        return
    time = _time(event, evn, pv1, rank[1], context)
    yield _fact(event, time, place, rank, context, removed=True)
    if event == EncounterEvent.ADMITTED and place.patient_class != "I":
        # A11 of an outpatient or emergency visit cancels its registration (A04).
        yield _fact(EncounterEvent.REGISTERED, time, place, rank, context, removed=True)


def _fact(
    event: str,
    time: float,
    place: _Place,
    rank: Rank,
    context: Context,
    *,
    removed: bool = False,
) -> EncounterEvent:
    """A stay is admitted and discharged once; a patient is located, leaves and returns often."""
    once = repr(time) if event in _AT_A_TIME else ""
    return EncounterEvent(
        id=context.key.reference("visit", context.visit, event, once),
        rank=rank,
        removed=removed,
        visit=context.visit,
        event=event,
        time=time,
        account=place.account,
        patient_class=place.patient_class,
        ward=place.ward,
        bed=place.bed,
    )


def visit_of(pid: Segment, pv1: Segment | None, context: Context) -> str:
    """The hashed visit number PV1-19, else the account number PID-18; "" where neither is sent.

    The patient is not part of it: a visit that goes on under another patient number is one visit.
    """
    numbered = ("VN", at(pv1 or _NO_SEGMENT, 19)), ("AN", at(pid, 18))
    for kind, field in numbered:
        if field and (found := hashed_number(kind, field, context)):
            return found
    return ""


def hashed_number(kind: str, field: str, context: Context) -> str:
    """A visit (VN) or account (AN) number, a CX, as a keyed hash; "" for an empty one."""
    syntax = context.syntax
    parts = syntax.components(syntax.repetitions(field)[0])
    number = syntax.part(parts, 1)
    if not number:
        return ""
    authority = syntax.named(parts[3]) if len(parts) > 3 else ""
    return context.key.short("visit", kind, authority or context.facility, number)


def _place(pv1: Segment, context: Context) -> _Place:
    """PV1-2, and PV1-3 as point of care and room-bed (PL: point of care^room^bed)."""
    syntax = context.syntax
    location = syntax.components(syntax.repetitions(at(pv1, 3))[0])
    room_and_bed = (syntax.part(location, 2), syntax.part(location, 3))
    return _Place(
        patient_class=syntax.first(at(pv1, 2)),
        ward=syntax.part(location, 1),
        bed="-".join(filter(None, room_and_bed)),
    )


def _time(event: str, evn: Segment, pv1: Segment, changed_at: float, context: Context) -> float:
    """When it happened. Raises `RefusedError` for a time that is sent and is none."""
    number = 44 if event == EncounterEvent.REGISTERED else _TIME_IN_PV1.get(event)
    for field, location in (
        (at(pv1, number) if number else "", f"PV1-{number}"),
        (at(evn, 6), "EVN-6"),
    ):
        moment = None if field == NULL else context.moment(field, location)
        if moment is not None:
            return moment
    return changed_at
