"""DICOM objects and datasets for tests: what modalities, archives and workstations would send."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

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


def lesion(value: str, uid: str = "1.2.826.0.1.99.7") -> Dataset:
    """A measurement group of TID 1411, as in TID 1500."""
    return container(
        ("125007", "DCM", "Measurement Group"),
        [
            tracking(uid),
            site(("39607008", "SCT", "Lung"), ("7771000", "SCT", "Left")),
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


def part10(dataset: Dataset) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _reference(instance: str) -> list[Dataset]:
    sop, series, study = Dataset(), Dataset(), Dataset()
    sop.ReferencedSOPClassUID, sop.ReferencedSOPInstanceUID = ComprehensiveSRStorage, instance
    series.SeriesInstanceUID, series.ReferencedSOPSequence = SERIES, [sop]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = STUDY, [series]
    return [study]


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
