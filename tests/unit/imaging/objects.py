"""DICOM objects and datasets for tests: what modalities, archives and workstations would send."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    SegmentationStorage,
)

Code = tuple[str, str, str]
STUDY, SERIES = "1.2.826.0.1.99.1", "1.2.826.0.1.99.2"
DIAMETER: Code = ("103339001", "SCT", "Long axis")
VOLUME: Code = ("118565006", "SCT", "Volume")
EJECTION: Code = ("10230-1", "LN", "Left ventricular ejection fraction")
LENGTH_UNIT: Code = ("mm", "UCUM", "mm")
METHOD: Code = ("370129005", "SCT", "Measurement Method")
PERCENT: Code = ("%", "UCUM", "%")


def coded(code: Code) -> list[Dataset]:
    one = Dataset()
    one.CodeValue, one.CodingSchemeDesignator, one.CodeMeaning = code
    return [one]


def container(name: Code, children: Sequence[Dataset]) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "CONTAINER"
    item.ConceptNameCodeSequence = coded(name)
    item.ContinuityOfContent = "SEPARATE"
    item.ContentSequence = list(children)
    return item


def says(name: Code, value: Code, *below: Dataset, relation: str = "HAS OBS CONTEXT") -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = relation, "CODE"
    item.ConceptNameCodeSequence = coded(name)
    item.ConceptCodeSequence = coded(value)
    if below:
        item.ContentSequence = list(below)
    return item


def num(name: Code, value: str | None, unit: Code, *below: Dataset, why: Code | None = None) -> Any:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "NUM"
    item.ConceptNameCodeSequence = coded(name)
    measured = Dataset()
    if value is not None:
        measured.NumericValue = value
        measured.MeasurementUnitsCodeSequence = coded(unit)
        item.MeasuredValueSequence = [measured]
    else:
        item.MeasuredValueSequence = []
    if why is not None:
        item.NumericValueQualifierCodeSequence = coded(why)
    if below:
        item.ContentSequence = list(below)
    return item


def modifier(name: Code, value: Code) -> Dataset:
    return says(name, value, relation="HAS CONCEPT MOD")


def site(place: Code, side: Code | None = None) -> Dataset:
    below = (
        [says(("272741003", "SCT", "Laterality"), side, relation="HAS CONCEPT MOD")] if side else []
    )
    return says(("363698007", "SCT", "Finding Site"), place, *below)


def tracking(uid: str) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "HAS OBS CONTEXT", "UIDREF"
    item.ConceptNameCodeSequence = coded(("112040", "DCM", "Tracking Unique Identifier"))
    item.UID = uid
    return item


def lesion(value: str, uid: str = "1.2.826.0.1.99.7", *more: Dataset) -> Dataset:
    """A measurement group of TID 1411, as in TID 1500."""
    return container(
        ("125007", "DCM", "Measurement Group"),
        [
            tracking(uid),
            site(("39607008", "SCT", "Lung"), ("7771000", "SCT", "Left")),
            *more,
            num(DIAMETER, value, LENGTH_UNIT),
        ],
    )


def echo(value: str) -> Dataset:
    """A section of findings as in TID 5202."""
    return container(
        ("121070", "DCM", "Findings"),
        [
            site(("87878005", "SCT", "Left ventricle")),
            num(
                EJECTION,
                value,
                PERCENT,
                says(
                    ("370129005", "SCT", "Method"),
                    ("125207", "DCM", "Biplane"),
                    relation="HAS CONCEPT MOD",
                ),
            ),
            num(
                EJECTION,
                "50",
                PERCENT,
                says(
                    ("370129005", "SCT", "Method"),
                    ("125209", "DCM", "Teichholz"),
                    relation="HAS CONCEPT MOD",
                ),
            ),
        ],
    )


def report(
    *children: Dataset,
    title: Code = ("126000", "DCM", "Imaging Measurement Report"),
    patient: str = "42",
    instance: str = "1.2.826.0.1.99.3",
    time: str = "080000",
    replaces: str = "",
    undefined: bool = False,
    **attributes: Any,
) -> bytes:
    """A structured report, PS3.10; `undefined`: sequences that say their end, not their length."""
    dataset = container(title, children)
    del dataset.RelationshipType
    dataset.SOPClassUID = ComprehensiveSRStorage
    dataset.SOPInstanceUID = instance
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    dataset.PatientID, dataset.IssuerOfPatientID = patient, "HOSP"
    dataset.PatientName, dataset.PatientBirthDate, dataset.PatientSex = "DOE^JANE", "19500101", "F"
    dataset.Modality, dataset.StudyID, dataset.AccessionNumber = "SR", "1", "A77"
    dataset.SeriesNumber, dataset.InstanceNumber = "1", "1"
    dataset.StudyDate, dataset.StudyTime, dataset.ReferringPhysicianName = "20260101", "070000", ""
    dataset.ContentDate, dataset.ContentTime = "20260101", time
    dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "UNVERIFIED"
    if replaces:
        dataset.PredecessorDocumentsSequence = _reference(replaces)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    if undefined:
        _say_the_end(dataset)
    return part10(dataset)


def _say_the_end(dataset: Dataset) -> None:
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                _say_the_end(item)


def part10(dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    dataset.file_meta = meta
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def written_as(syntax: UID, raw: bytes) -> bytes:
    """The same object in another transfer syntax."""
    read = dcmread(io.BytesIO(raw))
    dataset = Dataset.from_json(read.to_json())  # nothing is still in the old encoding
    return part10(dataset, syntax)


def measured_in(segment: int, instance: str) -> Dataset:
    """The reference to a segment in a measurement group (TID 1411)."""
    item, reference = Dataset(), Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "IMAGE"
    item.ConceptNameCodeSequence = coded(("121191", "DCM", "Referenced Segment"))
    reference.ReferencedSOPClassUID = SegmentationStorage
    reference.ReferencedSOPInstanceUID = instance
    reference.ReferencedSegmentNumber = segment
    item.ReferencedSOPSequence = [reference]
    return item


def segmentation(*sites: Code, instance: str = "1.2.826.0.1.99.60", uid: str = STUDY) -> bytes:
    """A segmentation with a segment for each site, and a few pixels."""
    dataset = _of_patient(SegmentationStorage, instance, uid, "SEG")
    dataset.SegmentSequence = []
    for number, place in enumerate(sites, 1):
        segment = Dataset()
        segment.SegmentNumber, segment.SegmentLabel = number, f"segment {number}"
        segment.SegmentedPropertyTypeCodeSequence = coded(("52988006", "SCT", "Lesion"))
        segment.AnatomicRegionSequence = coded(place)
        segment.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = coded(
            ("24028007", "SCT", "Right")
        )
        segment.TrackingUID = f"{instance}.{number}"
        dataset.SegmentSequence.append(segment)
    dataset.Rows = dataset.Columns = 8
    dataset.NumberOfFrames, dataset.SamplesPerPixel = len(sites), 1
    dataset.PhotometricInterpretation, dataset.SegmentationType = "MONOCHROME2", "BINARY"
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit, dataset.PixelRepresentation = 0, 0
    dataset.PixelData = bytes(8 * len(sites))
    return part10(dataset)


def rejection(
    code: str, *chosen: tuple[str, str], instance: str = "1.2.826.0.1.99.50", uid: str = STUDY
) -> bytes:
    """A rejection note: a key object selection of (SOP class, SOP instance)."""
    dataset = _of_patient(KeyObjectSelectionDocumentStorage, instance, uid, "KO")
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    dataset.ConceptNameCodeSequence = coded((code, "DCM", "Rejected"))
    dataset.CurrentRequestedProcedureEvidenceSequence = _evidence(uid, *chosen)
    dataset.ContentSequence = []
    for sop_class, name in chosen:
        item, reference = Dataset(), Dataset()
        item.RelationshipType, item.ValueType = "CONTAINS", "COMPOSITE"
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = sop_class, name
        item.ReferencedSOPSequence = [reference]
        dataset.ContentSequence.append(item)
    return part10(dataset)


def _of_patient(sop_class: str, instance: str, uid: str, modality: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, instance
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid, f"{instance}.9"
    dataset.PatientID, dataset.IssuerOfPatientID = "42", "HOSP"
    dataset.PatientName, dataset.PatientBirthDate, dataset.PatientSex = "DOE^JANE", "19500101", "F"
    dataset.Modality, dataset.StudyID, dataset.AccessionNumber = modality, "1", "A77"
    dataset.SeriesNumber = dataset.InstanceNumber = "1"
    dataset.StudyDate, dataset.StudyTime, dataset.ReferringPhysicianName = "20260101", "070000", ""
    dataset.ContentDate, dataset.ContentTime = "20260101", "100000"
    return dataset


def _evidence(uid: str, *chosen: tuple[str, str]) -> list[Dataset]:
    study, series = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = SERIES, []
    for sop_class, name in chosen:
        sop = Dataset()
        sop.ReferencedSOPClassUID, sop.ReferencedSOPInstanceUID = sop_class, name
        series.ReferencedSOPSequence.append(sop)
    study.StudyInstanceUID, study.ReferencedSeriesSequence = uid, [series]
    return [study]


def _reference(instance: str) -> list[Dataset]:
    return _evidence(STUDY, (ComprehensiveSRStorage, instance))


def step(
    status: str,
    *,
    time: str = "080000",
    uid: str = STUDY,
    accession: str = "A77",
    patient: str = "42",
    reason: str = "",
) -> Dataset:
    """A performed procedure step as it stands."""
    dataset = Dataset()
    dataset.SOPInstanceUID = "1.2.826.0.1.99.5"
    dataset.PatientID, dataset.IssuerOfPatientID, dataset.PatientName = patient, "HOSP", "DOE^JANE"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.Modality = "19500101", "F", "MR"
    dataset.PerformedProcedureStepStatus = status
    dataset.PerformedProcedureStepStartDate, dataset.PerformedProcedureStepStartTime = (
        "20260101",
        "073000",
    )
    if status != "IN PROGRESS":
        dataset.PerformedProcedureStepEndDate, dataset.PerformedProcedureStepEndTime = (
            "20260101",
            time,
        )
    scheduled = Dataset()
    scheduled.StudyInstanceUID, scheduled.AccessionNumber = uid, accession
    dataset.ScheduledStepAttributesSequence = [scheduled]
    dataset.ProcedureCodeSequence = coded(("MRBRAIN", "L", "MR brain"))
    if reason:
        dataset.PerformedProcedureStepDiscontinuationReasonCodeSequence = coded(
            (reason, "DCM", "x")
        )
    return dataset


def notice(availability: str = "ONLINE", uid: str = STUDY) -> Dataset:
    """An Instance Availability Notification."""
    dataset, series, sop = Dataset(), Dataset(), Dataset()
    sop.ReferencedSOPClassUID, sop.ReferencedSOPInstanceUID = ComprehensiveSRStorage, "1.2.3"
    sop.InstanceAvailability, sop.RetrieveAETitle = availability, "ARCHIVE"
    series.SeriesInstanceUID, series.ReferencedSOPSequence = SERIES, [sop]
    dataset.StudyInstanceUID, dataset.ReferencedSeriesSequence = uid, [series]
    dataset.ReferencedPerformedProcedureStepSequence = []
    return dataset


def as_json(dataset: Dataset) -> bytes:
    return json.dumps(dataset.to_json_dict()).encode()
