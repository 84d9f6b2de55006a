"""RXO, RXE, RXD, RXG and RXA: drugs and vaccines that were ordered, dispensed or given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from connectors.facts import AnyFact, Medication
from connectors.hl7.context import Context, Issue
from connectors.hl7.group import Group
from connectors.hl7.order_number import hashed_order
from connectors.hl7.orders import STATUS_OF_CONTROL
from connectors.hl7.routing import Route
from connectors.hl7.syntax import Segment, at
from connectors.hl7.values import number
from connectors.quarantine import Reason

_NOT_GIVEN: Final = frozenset(("RE", "NA"))  # table 0322: refused, not administered
_NO_ORDER: Final = frozenset(("CA", "DC"))

_NOT_RECORDED: Final = 999.0


class _Shape(NamedTuple):
    """Where a segment keeps what the fact holds; 0: nowhere."""

    event: str
    code: int
    dose: int
    unit: int
    time: int = 0
    end: int = 0
    counter: int = 0  # which of several under one order
    status: int = 0
    action: int = 0


# HL7 v2.8.2 chapter 4A.
_SHAPES: Final[dict[str, _Shape]] = {
    "RXO": _Shape(Medication.ORDERED, code=1, dose=2, unit=4),
    "RXE": _Shape(Medication.ORDERED, code=2, dose=3, unit=5),
    "RXG": _Shape(Medication.ORDERED, code=4, dose=5, unit=7, counter=1),  # a dose to be given
    "RXD": _Shape(Medication.DISPENSED, code=2, dose=4, unit=5, time=3, counter=1),
    "RXA": _Shape(
        Medication.GIVEN, code=5, dose=6, unit=7, time=3, end=4, counter=2, status=20, action=21
    ),
}


def read_medication(group: Group, _: Route, context: Context) -> Iterator[AnyFact]:
    """One fact for each order, dispense and administration, with the route of the RXR below it."""
    orc: Segment = []
    number_of = 0
    segments = group.segments
    for index, segment in enumerate(segments):
        if segment[0] == "ORC":
            orc = segment
        shape = _SHAPES.get(segment[0])
        if shape is None:
            continue
        number_of += 1
        route = next(
            (at(s, 1) for s in _below(segments, index) if s[0] == "RXR"),
            "",
        )
        location = f"{segment[0]}[{number_of}]"
        fact = _medication(shape, segment, orc, route, location, context)
        if fact is not None:
            yield fact


def _below(segments: list[Segment], index: int) -> Iterator[Segment]:
    for segment in segments[index + 1 :]:
        if segment[0] in _SHAPES or segment[0] == "ORC":
            return
        yield segment


def _medication(
    shape: _Shape, segment: Segment, orc: Segment, route: str, location: str, context: Context
) -> Medication | None:
    syntax = context.syntax
    code = syntax.code(at(segment, shape.code))
    if code is None:
        context.issues.append(Issue(Reason.NO_CODE, "no drug is named", f"{location}-{shape.code}"))
        return None
    changed = context.said(at(orc, 9), "ORC-9")
    time = context.noted_moment(at(segment, shape.time), location) if shape.time else None
    control, status = syntax.first(at(orc, 1)), syntax.first(at(orc, 5))
    if shape.status:
        status = syntax.first(at(segment, shape.status))
    status = status or STATUS_OF_CONTROL.get(control, "")
    removed = syntax.first(at(segment, shape.action)) == "D" if shape.action else False
    if shape.event == Medication.GIVEN:
        removed = removed or status in _NOT_GIVEN
    elif shape.event == Medication.ORDERED:
        removed = status in _NO_ORDER
    order = hashed_order([], orc, context)
    counter = syntax.first(at(segment, shape.counter)) if shape.counter else ""
    # Without an order number, drug and time say which.
    which = ("", context.visit, repr(time)) if not order else (order, counter, "")
    if order and shape.event == Medication.GIVEN:
        which = (order, counter, repr(time))
    unit = syntax.first(at(segment, shape.unit))
    return Medication(
        id=context.key.short("medication", shape.event, code.system, code.code, *which),
        rank=(1, changed, int(removed), context.control_id),
        removed=removed,
        event=shape.event,
        code=code.code,
        system=code.system,
        name=code.text,
        time=changed if time is None else time,
        end=context.noted_moment(at(segment, shape.end), location) if shape.end else None,
        dose=_dose(shape, syntax.first(at(segment, shape.dose)), unit),
        unit=unit,
        route=syntax.first(route),
        status=status,
        order=order,
        visit=context.visit,
    )


def _dose(shape: _Shape, amount: str, unit: str) -> float | None:
    """RXA-6 is required: immunisation systems send 999 for an amount that nobody recorded."""
    dose = number(amount)
    is_unknown = shape.event == Medication.GIVEN and dose == _NOT_RECORDED and not unit
    return None if is_unknown else dose
