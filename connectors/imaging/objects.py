"""DICOM objects → what is used of them, by pydicom.

Runs in a process of its own: an object may unpack to any size.
"""

from __future__ import annotations

import io
from typing import Any, Final, NamedTuple

from connectors.imaging.elements import (
    REPORTS,
    SEGMENTATIONS,
    SELECTIONS,
    Coded,
    ObjectError,
    code_of,
    items_of,
    text_of,
)
from connectors.imaging.patient import PATIENT
from connectors.imaging.report_contents import Report, report_of

MOST_REFERENCES: Final = 100_000
MOST_SEGMENTS: Final = 2_000
_UNDEFINED: Final = 0xFFFFFFFF  # a length that the element's end says (PS3.5 7.1.1)


class Header(NamedTuple):
    """What every object says of itself."""

    sop_class: str
    sop_instance: str
    study: str
    patient: dict[str, str]
    content_date: str
    content_time: str
    offset: str


class Selection(NamedTuple):
    """A key object selection."""

    header: Header
    title: Coded
    chosen: dict[str, list[tuple[str, str]]]  # study → (SOP class, SOP instance)


class SegmentRead(NamedTuple):
    """One segment of a segmentation."""

    number: str
    what: Coded
    site: Coded
    laterality: Coded
    tracking: str


class Segmentation(NamedTuple):
    """A segmentation without its pixels."""

    header: Header
    segments: list[SegmentRead]


class Picture(NamedTuple):
    """Any other object: that there is one."""

    header: Header
    accession: str
    modality: str


def read(raw: bytes) -> Report | Selection | Segmentation | Picture:
    """An object (PS3.10 bytes). Raises `ObjectError`."""
    import pydicom  # noqa: PLC0415 - loaded where it runs, not in the sequencer

    try:
        dataset = pydicom.dcmread(io.BytesIO(raw), stop_before_pixels=True)
        _whole(dataset)
        sop_class = text_of(dataset, "SOPClassUID")
        if sop_class in SEGMENTATIONS:
            return _segmentation(dataset)
        if sop_class == SELECTIONS:
            return _selection(dataset)
        if sop_class.startswith(REPORTS):
            return report_of(dataset)
        if sop_class and text_of(dataset, "SOPInstanceUID"):
            return Picture(
                _header(dataset), text_of(dataset, "AccessionNumber"), text_of(dataset, "Modality")
            )
        raise ObjectError("neither SOPClassUID nor SOPInstanceUID: no object")
    except ObjectError:
        raise
    except Exception as error:  # noqa: BLE001 - what pydicom raises for damaged bytes is anything
        raise ObjectError(f"pydicom cannot read it ({type(error).__name__})") from None


def without_pixels(dataset: Any) -> bytes:
    """An object as it is logged, PS3.10: what it says, and not its pixels."""
    for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
        if keyword in dataset:
            del dataset[keyword]
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def as_file(dataset: Any) -> bytes:
    """A dataset that came without file meta information, PS3.10."""
    from pydicom.dataset import FileMetaDataset  # noqa: PLC0415 - as pydicom itself
    from pydicom.uid import ExplicitVRLittleEndian  # noqa: PLC0415

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    return without_pixels(dataset)


def _whole(dataset: Any) -> None:
    """pydicom takes what is there of an object that was cut off: half of its measurements, too."""
    for tag in dataset.keys():  # noqa: SIM118 - to go through a dataset converts its elements
        element = dataset.get_item(tag)
        length = getattr(element, "length", None)
        value = getattr(element, "value", None)
        if length not in (None, _UNDEFINED) and isinstance(value, bytes) and len(value) != length:
            raise ObjectError("cut off: an element is shorter than it says")


def _header(dataset: Any) -> Header:
    return Header(
        sop_class=text_of(dataset, "SOPClassUID"),
        sop_instance=text_of(dataset, "SOPInstanceUID"),
        study=text_of(dataset, "StudyInstanceUID"),
        patient={keyword: text_of(dataset, keyword) for keyword in PATIENT},
        content_date=text_of(dataset, "ContentDate"),
        content_time=text_of(dataset, "ContentTime"),
        offset=text_of(dataset, "TimezoneOffsetFromUTC"),
    )


def _selection(dataset: Any) -> Selection:
    """PS3.3 A.35.4: what is chosen stands in the evidence sequence, study by study."""
    chosen: dict[str, list[tuple[str, str]]] = {}
    count = 0
    for study in items_of(dataset, "CurrentRequestedProcedureEvidenceSequence"):
        of_study = chosen.setdefault(text_of(study, "StudyInstanceUID"), [])
        for series in items_of(study, "ReferencedSeriesSequence"):
            for one in items_of(series, "ReferencedSOPSequence"):
                sop_class = text_of(one, "ReferencedSOPClassUID")
                of_study.append((sop_class, text_of(one, "ReferencedSOPInstanceUID")))
                count += 1
                if count > MOST_REFERENCES:
                    raise ObjectError(f"more than {MOST_REFERENCES:,} references")
    return Selection(_header(dataset), code_of(dataset, "ConceptNameCodeSequence"), chosen)


def _segmentation(dataset: Any) -> Segmentation:
    """PS3.3 C.8.20.4."""
    found = items_of(dataset, "SegmentSequence")
    if not found or len(found) > MOST_SEGMENTS:
        raise ObjectError("a segmentation without segments, or with too many")
    return Segmentation(_header(dataset), [_segment(one) for one in found])


def _segment(item: Any) -> SegmentRead:
    region = next(iter(items_of(item, "AnatomicRegionSequence")), None)
    laterality = Coded()
    if region is not None:
        laterality = code_of(region, "AnatomicRegionModifierSequence")
    return SegmentRead(
        number=text_of(item, "SegmentNumber"),
        what=code_of(item, "SegmentedPropertyTypeCodeSequence"),
        site=code_of(item, "AnatomicRegionSequence"),
        laterality=laterality,
        tracking=text_of(item, "TrackingUID") or text_of(item, "TrackingID"),
    )
