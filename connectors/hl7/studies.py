"""Imaging studies in HL7: orders, completions, reports and rejections that name a study.

The study is named by OBX 113014 or 110180 (DCM), IPC-3 or ZDS-1 (IHE), the accession by IPC-1 or
OBR-18. Both are keyed hashes in the facts. An order that names no study is an `Order` alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from connectors.facts import Rank, Stage, StudyEvent
from connectors.hl7.context import Context
from connectors.hl7.group import Group
from connectors.hl7.syntax import Segment, at

STUDY_CODES: Final = frozenset(("113014", "110180"))  # DICOM PS3.16: study, study instance UID
_HALF: Final = 16

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


def read_studies(group: Group, context: Context, *, is_report: bool) -> Iterator[StudyEvent]:
    """The stage that the message says a study has reached; nothing where it names none."""
    orc: Segment = group.find("ORC") or []
    obr: Segment = group.find("OBR") or []
    uid = _study_uid(group, context)
    accession = _accession(group, obr, context)
    stage = _stage(orc, obr, context, is_report=is_report)
    if stage is None or not uid:
        return
    spoken = context.noted_moment(at(obr, 22), "OBR-22")
    spoken = context.noted_moment(at(orc, 9), "ORC-9") if spoken is None else spoken
    changed = context.sent if spoken is None else spoken
    study = context.key.study(uid)
    code = context.syntax.code(at(obr, 4)) if obr else None
    ipc = group.find("IPC") or []
    rank: Rank = (1, changed, 0, context.control_id)
    yield StudyEvent(
        id=context.key.reference("study-event", study, stage)[:_HALF],
        rank=rank,
        stage=stage,
        time=changed,
        study=study,
        accession=context.key.accession(accession) if accession else "",
        modality=context.syntax.first(at(ipc, 5)) or context.syntax.first(at(obr, 24)),
        code=code.code if code else "",
        system=code.system if code else "",
        name=code.text if code else "",
        visit=context.visit,
    )


def _stage(orc: Segment, obr: Segment, context: Context, *, is_report: bool) -> Stage | None:
    first = context.syntax.first
    result = first(at(obr, 25))
    if is_report:
        return _OF_REPORT.get(result)
    return (
        _OF_RESULT_STATUS.get(result)
        or _OF_ORDER_STATUS.get(first(at(orc, 5)))
        or _OF_CONTROL.get(first(at(orc, 1)))
    )


def _study_uid(group: Group, context: Context) -> str:
    syntax = context.syntax
    for segment in group.segments:
        if segment[0] == "OBX" and syntax.first(at(segment, 3)) in STUDY_CODES:
            uid = syntax.first(at(segment, 5))
        elif segment[0] == "IPC":
            uid = syntax.first(at(segment, 3))
        elif segment[0] == "ZDS":
            uid = syntax.first(at(segment, 1))
        else:
            continue
        if uid:
            return uid
    return ""


def _accession(group: Group, obr: Segment, context: Context) -> str:
    ipc: Segment = group.find("IPC") or []
    return context.syntax.first(at(ipc, 1)) or context.syntax.first(at(obr, 18))
