"""The measurements in DICOM structured reports.

Walks the content tree, whatever its template, so that TID 1500 (measurement report), TID 5200
(echocardiography) and what vendors made of them are read alike: a NUM item is a measurement of the
containers that it stands in.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from connectors.imaging.elements import (
    SEGMENTATIONS,
    Coded,
    ObjectError,
    code_of,
    items_of,
    text_of,
)
from connectors.imaging.patient import PATIENT

MOST_MEASUREMENTS: Final = 20_000  # of one report
MOST_LEVELS: Final = 64
# PS3.16, and the codes that stood for the same before SNOMED CT.
_FINDING_SITE: Final = frozenset((("363698007", "SCT"), ("G-C0E3", "SRT"), ("G-C0E3", "99SDM")))
_LATERALITY: Final = frozenset((("272741003", "SCT"), ("G-C171", "SRT")))
_TRACKING: Final = frozenset((("112039", "DCM"),))  # tracking identifier: a name for people
_TRACKING_UID: Final = frozenset((("112040", "DCM"),))
# TID 1411, TID 1410: the segment, or the frames of it, that was measured.
_SEGMENT: Final = frozenset((("121191", "DCM"), ("121214", "DCM")))


class Measurement(NamedTuple):
    """A NUM item, and what the containers around it say of it."""

    place: tuple[str, ...]  # codes on the way from the root, and which of several: its identity
    code: Coded
    value: str  # decimal; "" where the item has none, with `why`
    unit: Coded
    why: str  # code of the reason for no value (numeric value qualifier)
    site: Coded
    laterality: Coded
    tracking: str  # unique identifier of what is followed, else its name
    observed: str  # DT of the nearest item that has one
    segment: tuple[str, str]  # SOP instance UID of a segmentation, and number; "" each


class Report(NamedTuple):
    """One object."""

    sop_class: str
    sop_instance: str
    study: str
    series: str
    accession: str
    patient: dict[str, str]
    title: Coded
    content_date: str
    content_time: str
    offset: str
    complete: bool  # CompletionFlag
    verified: bool  # VerificationFlag
    preliminary: bool  # PreliminaryFlag
    replaces: list[str]  # SOP instance UIDs of its predecessors
    measurements: list[Measurement]


def report_of(dataset: Any) -> Report:
    """The measurements of a structured report. Raises `ObjectError`."""
    if "ContentSequence" not in dataset:
        raise ObjectError("cut off, or a report without content")
    root = _Around(Coded(), Coded(), "", "", ("", ""))
    measurements = list(islice(_walk(dataset, (), root, 0), MOST_MEASUREMENTS + 1))
    if len(measurements) > MOST_MEASUREMENTS:
        raise ObjectError(f"more than {MOST_MEASUREMENTS:,} measurements")
    predecessors = [
        text_of(instance, "ReferencedSOPInstanceUID")
        for study in items_of(dataset, "PredecessorDocumentsSequence")
        for series in items_of(study, "ReferencedSeriesSequence")
        for instance in items_of(series, "ReferencedSOPSequence")
    ]
    return Report(
        sop_class=text_of(dataset, "SOPClassUID"),
        sop_instance=text_of(dataset, "SOPInstanceUID"),
        study=text_of(dataset, "StudyInstanceUID"),
        series=text_of(dataset, "SeriesInstanceUID"),
        accession=text_of(dataset, "AccessionNumber"),
        patient={keyword: text_of(dataset, keyword) for keyword in PATIENT},
        title=code_of(dataset, "ConceptNameCodeSequence"),
        content_date=text_of(dataset, "ContentDate"),
        content_time=text_of(dataset, "ContentTime"),
        offset=text_of(dataset, "TimezoneOffsetFromUTC"),
        complete=text_of(dataset, "CompletionFlag") != "PARTIAL",
        verified=text_of(dataset, "VerificationFlag") == "VERIFIED",
        preliminary=text_of(dataset, "PreliminaryFlag") == "PRELIMINARY",
        replaces=[uid for uid in predecessors if uid],
        measurements=measurements,
    )


class _Around(NamedTuple):
    """What the containers of an item say."""

    site: Coded
    laterality: Coded
    tracking: str
    observed: str
    segment: tuple[str, str]


def _walk(item: Any, place: tuple[str, ...], around: _Around, level: int) -> Iterator[Measurement]:
    """The measurements below an item, in order."""
    if level > MOST_LEVELS:
        raise ObjectError(f"nested deeper than {MOST_LEVELS} levels")
    around = _with(item, around)
    seen: dict[str, int] = {}
    children = items_of(item, "ContentSequence")
    for child in children:
        concept = code_of(child, "ConceptNameCodeSequence")
        name = f"{concept.value}/{concept.scheme}/{_modifiers(child)}"
        seen[name] = seen.get(name, 0) + 1
        here = (*place, f"{name}#{seen[name]}")
        if text_of(child, "ValueType") == "NUM":
            yield _measurement(child, concept, here, _with(child, around))
        else:
            yield from _walk(child, here, around, level + 1)


def _with(item: Any, around: _Around) -> _Around:
    """What holds for everything in an item: it stands among the item's own children."""
    site, laterality, tracking, observed, segment = around
    name = ""
    for child in items_of(item, "ContentSequence"):
        concept = code_of(child, "ConceptNameCodeSequence")[:2]
        if concept in _FINDING_SITE:
            site = code_of(child, "ConceptCodeSequence")
            for below in items_of(child, "ContentSequence"):
                if code_of(below, "ConceptNameCodeSequence")[:2] in _LATERALITY:
                    laterality = code_of(below, "ConceptCodeSequence")
        elif concept in _LATERALITY:
            laterality = code_of(child, "ConceptCodeSequence")
        elif concept in _TRACKING_UID:
            tracking = text_of(child, "UID") or tracking
        elif concept in _TRACKING:
            name = text_of(child, "TextValue")
        elif concept in _SEGMENT:
            segment = _segment(child) or segment
    observed = text_of(item, "ObservationDateTime") or observed
    return _Around(site, laterality, tracking or name, observed, segment)


def _segment(item: Any) -> tuple[str, str] | None:
    for reference in items_of(item, "ReferencedSOPSequence"):
        if text_of(reference, "ReferencedSOPClassUID") in SEGMENTATIONS:
            instance = text_of(reference, "ReferencedSOPInstanceUID")
            return instance, text_of(reference, "ReferencedSegmentNumber")
    return None


def _measurement(item: Any, concept: Coded, place: tuple[str, ...], around: _Around) -> Measurement:
    measured = next(iter(items_of(item, "MeasuredValueSequence")), None)
    value = text_of(measured, "NumericValue") if measured is not None else ""
    unit = code_of(measured, "MeasurementUnitsCodeSequence") if measured is not None else Coded()
    why = code_of(item, "NumericValueQualifierCodeSequence").value
    return Measurement(place, concept, value, unit, why, *around)


def _modifiers(item: Any) -> str:
    """Concept modifiers (method, mode, cardiac phase …) tell measurements of one name apart."""
    found = []
    for child in items_of(item, "ContentSequence"):
        if text_of(child, "RelationshipType") == "HAS CONCEPT MOD":
            name = code_of(child, "ConceptNameCodeSequence").value
            found.append(f"{name}={code_of(child, 'ConceptCodeSequence').value}")
    return ",".join(sorted(found))
