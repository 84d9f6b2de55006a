"""Imaging studies in HL7: orders, completions, reports and rejections that name a study.

The study is named by OBX 113014 or 110180 (DCM), IPC-3 or ZDS-1 (IHE), the accession by IPC-1 or
OBR-18. Both are keyed hashes in the facts. An order that names no study is an `Order` alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from connectors.facts import Rank, Stage, StudyEvent
from connectors.hl7.context import Context
from connectors.hl7.group import Group
from connectors.hl7.order_number import hashed_order
from connectors.hl7.syntax import Segment, at

STUDY_CODES: Final = frozenset(("113014", "110180"))  # DICOM PS3.16: study, study instance UID

# OBR-25 (table 0123) of an order message, then ORC-5 (table 0038), then ORC-1 (table 0119).
_OF_RESULT_STATUS: Final = {"X": Stage.REJECTED, "R": Stage.AVAILABLE, "A": Stage.AVAILABLE}
_OF_ORDER_STATUS: Final = {
    "IP": Stage.IN_PROGRESS,
    "CM": Stage.AVAILABLE,  # said by the archive, of a study that it holds
    "CA": Stage.REJECTED,
    "DC": Stage.REJECTED,
    "SC": Stage.ORDERED,
}
_OF_CONTROL: Final = {
    "NW": Stage.ORDERED,
    "SN": Stage.ORDERED,
    "CA": Stage.REJECTED,
    "OC": Stage.REJECTED,
    "DC": Stage.REJECTED,
}
# OBR-25 of a report: it speaks of the report, not of the pictures.
_OF_REPORT: Final = {
    "F": Stage.REPORTED,
    "C": Stage.CORRECTED,
    "A": Stage.CORRECTED,
    "X": Stage.REJECTED,
}


def read_studies(group: Group, context: Context, *, is_report: bool) -> dict[str, StudyEvent]:
    """The stages that the message says studies have reached; nothing where it names none.

    Key: the order number that names the study's results (`hashed_order`), "" without one.
    """
    found: dict[str, StudyEvent] = {}
    for segments in _by_order(group.segments):
        order = _Order.of(segments)
        uid = _study_uid(order, context)
        stage = _stage(order, context, is_report=is_report)
        if uid and stage is not None:
            whose = hashed_order(order.obr, order.orc, context)
            found[whose] = _event(order, context.key.study(uid), stage, context)
    return found


class _Order(NamedTuple):
    """The segments of one order."""

    orc: Segment
    obr: Segment
    ipc: Segment
    segments: list[Segment]

    @classmethod
    def of(cls, segments: list[Segment]) -> _Order:
        """The first of each kind; empty where there is none."""
        first: dict[str, Segment] = {}
        for segment in segments:
            first.setdefault(segment[0], segment)
        return cls(first.get("ORC", []), first.get("OBR", []), first.get("IPC", []), segments)


def _by_order(segments: list[Segment]) -> Iterator[list[Segment]]:
    """An order begins at its ORC, or at its OBR where no ORC stands before that."""
    order: list[Segment] = []
    has_obr = False
    for segment in segments:
        if segment[0] == "ORC" or (segment[0] == "OBR" and has_obr):
            yield order
            order, has_obr = [], False
        has_obr |= segment[0] == "OBR"
        order.append(segment)
    yield order


def _event(order: _Order, study: str, stage: Stage, context: Context) -> StudyEvent:
    orc, obr, ipc, _ = order
    first = context.syntax.first
    said = context.noted_moment(at(obr, 22), "OBR-22")
    changed = context.said(at(orc, 9), "ORC-9") if said is None else said
    code = context.syntax.code(at(obr, 4)) if obr else None
    accession = first(at(ipc, 1)) or first(at(obr, 18))
    rank: Rank = (1, changed, 0, context.control_id)
    return StudyEvent(
        id=context.key.short("study-event", study, stage),
        rank=rank,
        stage=stage,
        time=changed,
        study=study,
        accession=context.key.accession(accession) if accession else "",
        modality=first(at(ipc, 5)) or first(at(obr, 24)),
        code=code.code if code else "",
        system=code.system if code else "",
        name=code.text if code else "",
        visit=context.visit,
    )


def _stage(order: _Order, context: Context, *, is_report: bool) -> Stage | None:
    first = context.syntax.first
    result = first(at(order.obr, 25))
    if is_report:
        return _OF_REPORT.get(result)
    return (
        _OF_RESULT_STATUS.get(result)
        or _OF_ORDER_STATUS.get(first(at(order.orc, 5)))
        or _OF_CONTROL.get(first(at(order.orc, 1)))
    )


def _study_uid(order: _Order, context: Context) -> str:
    first = context.syntax.first
    for segment in order.segments:
        if segment[0] == "OBX" and first(at(segment, 3)) in STUDY_CODES:
            uid = first(at(segment, 5))
        elif segment[0] == "IPC":
            uid = first(at(segment, 3))
        elif segment[0] == "ZDS":
            uid = first(at(segment, 1))
        else:
            continue
        if uid:
            return uid
    return ""
