"""DICOM structured reports → their measurements, by pydicom.

Walks the content tree, whatever its template, so that TID 1500 (measurement report), TID 5200
(echocardiography) and what vendors made of them are read alike: a NUM item is a measurement of the
containers that it stands in.
Runs in a process of its own: an object may unpack to any size.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from connectors.imaging.patient import PATIENT

MOST_MEASUREMENTS: Final = 20_000  # of one report
MOST_LEVELS: Final = 64
_UNDEFINED: Final = 0xFFFFFFFF  # a length that the element's end says (PS3.5 7.1.1)
# PS3.16, and the codes that stood for the same before SNOMED CT.
_FINDING_SITE: Final = frozenset((("363698007", "SCT"), ("G-C0E3", "SRT"), ("G-C0E3", "99SDM")))
_LATERALITY: Final = frozenset((("272741003", "SCT"), ("G-C171", "SRT")))
_TRACKING: Final = frozenset((("112039", "DCM"),))  # tracking identifier: a name for people
_TRACKING_UID: Final = frozenset((("112040", "DCM"),))
REPORTS: Final = "1.2.840.10008.5.1.4.1.1.88."  # SOP classes of structured reports and documents


class Coded(NamedTuple):
    """A code of a content item."""

    value: str = ""
    scheme: str = ""
    meaning: str = ""


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


class ObjectError(Exception):
    """Why an object cannot be used, in words without patient data."""


def read(raw: bytes) -> Report:
    """The measurements of an object (PS3.10 bytes). Raises `ObjectError`."""
    import pydicom  # noqa: PLC0415 - loaded where it runs, not in the sequencer

    try:
        dataset = pydicom.dcmread(io.BytesIO(raw), stop_before_pixels=True)
        _whole(dataset)
        return _report(dataset)
    except ObjectError:
        raise
    except Exception as error:  # noqa: BLE001 - what pydicom raises for damaged bytes is anything
        raise ObjectError(f"pydicom cannot read it ({type(error).__name__})") from None


def _whole(dataset: Any) -> None:
    """pydicom takes what is there of an object that was cut off: half of its measurements, too."""
    for tag in dataset.keys():  # noqa: SIM118 - to go through a dataset converts its elements
        element = dataset.get_item(tag)
        length = getattr(element, "length", None)
        value = getattr(element, "value", None)
        if length not in (None, _UNDEFINED) and isinstance(value, bytes) and len(value) != length:
            raise ObjectError("cut off: an element is shorter than it says")


def _report(dataset: Any) -> Report:
    sop_class = _text(dataset, "SOPClassUID")
    if not sop_class.startswith(REPORTS):
        raise ObjectError("no structured report")
    if "ContentSequence" not in dataset:
        raise ObjectError("cut off, or a report without content")
    root = _Around(Coded(), Coded(), "", "")
    measurements = list(islice(_walk(dataset, (), root, 0), MOST_MEASUREMENTS + 1))
    if len(measurements) > MOST_MEASUREMENTS:
        raise ObjectError(f"more than {MOST_MEASUREMENTS:,} measurements")
    predecessors = [
        _text(instance, "ReferencedSOPInstanceUID")
        for study in _items(dataset, "PredecessorDocumentsSequence")
        for series in _items(study, "ReferencedSeriesSequence")
        for instance in _items(series, "ReferencedSOPSequence")
    ]
    return Report(
        sop_class=sop_class,
        sop_instance=_text(dataset, "SOPInstanceUID"),
        study=_text(dataset, "StudyInstanceUID"),
        series=_text(dataset, "SeriesInstanceUID"),
        accession=_text(dataset, "AccessionNumber"),
        patient={keyword: _text(dataset, keyword) for keyword in PATIENT},
        title=_code(dataset, "ConceptNameCodeSequence"),
        content_date=_text(dataset, "ContentDate"),
        content_time=_text(dataset, "ContentTime"),
        offset=_text(dataset, "TimezoneOffsetFromUTC"),
        complete=_text(dataset, "CompletionFlag") != "PARTIAL",
        verified=_text(dataset, "VerificationFlag") == "VERIFIED",
        preliminary=_text(dataset, "PreliminaryFlag") == "PRELIMINARY",
        replaces=[uid for uid in predecessors if uid],
        measurements=measurements,
    )


class _Around(NamedTuple):
    """What the containers of an item say."""

    site: Coded
    laterality: Coded
    tracking: str
    observed: str


def _walk(item: Any, place: tuple[str, ...], around: _Around, level: int) -> Iterator[Measurement]:
    """The measurements below an item, in order."""
    if level > MOST_LEVELS:
        raise ObjectError(f"nested deeper than {MOST_LEVELS} levels")
    around = _with(item, around)
    seen: dict[str, int] = {}
    children = _items(item, "ContentSequence")
    for child in children:
        concept = _code(child, "ConceptNameCodeSequence")
        name = f"{concept.value}/{concept.scheme}/{_modifiers(child)}"
        seen[name] = seen.get(name, 0) + 1
        here = (*place, f"{name}#{seen[name]}")
        if _text(child, "ValueType") == "NUM":
            yield _measurement(child, concept, here, _with(child, around))
        else:
            yield from _walk(child, here, around, level + 1)


def _with(item: Any, around: _Around) -> _Around:
    """What holds for everything in an item: it stands among the item's own children."""
    site, laterality, tracking, observed = around
    name = ""
    for child in _items(item, "ContentSequence"):
        concept = _code(child, "ConceptNameCodeSequence")[:2]
        if concept in _FINDING_SITE:
            site = _code(child, "ConceptCodeSequence")
            for below in _items(child, "ContentSequence"):
                if _code(below, "ConceptNameCodeSequence")[:2] in _LATERALITY:
                    laterality = _code(below, "ConceptCodeSequence")
        elif concept in _LATERALITY:
            laterality = _code(child, "ConceptCodeSequence")
        elif concept in _TRACKING_UID:
            tracking = _text(child, "UID") or tracking
        elif concept in _TRACKING:
            name = _text(child, "TextValue")
    observed = _text(item, "ObservationDateTime") or observed
    return _Around(site, laterality, tracking or name, observed)


def _measurement(item: Any, concept: Coded, place: tuple[str, ...], around: _Around) -> Measurement:
    measured = next(iter(_items(item, "MeasuredValueSequence")), None)
    value = _text(measured, "NumericValue") if measured is not None else ""
    unit = _code(measured, "MeasurementUnitsCodeSequence") if measured is not None else Coded()
    why = _code(item, "NumericValueQualifierCodeSequence").value
    return Measurement(place, concept, value, unit, why, *around)


def _modifiers(item: Any) -> str:
    """Concept modifiers (method, mode, cardiac phase …) tell measurements of one name apart."""
    found = []
    for child in _items(item, "ContentSequence"):
        if _text(child, "RelationshipType") == "HAS CONCEPT MOD":
            name = _code(child, "ConceptNameCodeSequence").value
            found.append(f"{name}={_code(child, 'ConceptCodeSequence').value}")
    return ",".join(sorted(found))


def _items(dataset: Any, keyword: str) -> list[Any]:
    value = getattr(dataset, keyword, None)
    return list(value) if value is not None and not isinstance(value, str | bytes) else []


def _code(dataset: Any, keyword: str) -> Coded:
    """The code in a sequence of one item; long ones and URNs have attributes of their own."""
    for item in _items(dataset, keyword):
        value = (
            _text(item, "CodeValue") or _text(item, "LongCodeValue") or _text(item, "URNCodeValue")
        )
        return Coded(value, _text(item, "CodingSchemeDesignator"), _text(item, "CodeMeaning"))
    return Coded()


def _text(dataset: Any, keyword: str) -> str:
    value = getattr(dataset, keyword, None)
    if value is None:
        return ""
    if not isinstance(value, str) and hasattr(value, "__len__") and hasattr(value, "__getitem__"):
        value = value[0] if len(value) else ""  # several values: the first
    return str(value).strip()
