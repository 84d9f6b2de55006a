"""Radiomics of a cohort in a real archive: a structured report stored, and the archive's notice.

A hospital's way of an imaging result: a workstation stores the measurements as a DICOM structured
report (TID 1500) in the archive (STOW-RS), and the archive says that the study is there (Instance
Availability Notification). Tocsin asks the archive and reads the report.

Source: DICOM PS3.16 TID 1500 and TID 1501, PS3.4 annex R, PS3.18 §10.5.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ComprehensiveSRStorage, ExplicitVRLittleEndian

from connectors.cohorts.tumour import LOCAL, Result, TumourPatient
from connectors.replay.names import synthetic_name

KIND = "imaging"  # of a `Result`
_SHORT: Final = 16  # characters of a Code Value; longer ones have an attribute of their own
Code = tuple[str, str, str]
_REPORT: Final[Code] = ("126000", "DCM", "Imaging Measurement Report")
_MEASUREMENTS: Final[Code] = ("126010", "DCM", "Imaging Measurements")
_GROUP: Final[Code] = ("125007", "DCM", "Measurement Group")
_TRACKING: Final[Code] = ("112040", "DCM", "Tracking Unique Identifier")
_SITE: Final[Code] = ("363698007", "SCT", "Finding Site")
_BRAIN: Final[Code] = ("12738006", "SCT", "Brain")
_SCHEMES: Final = {LOCAL: "99TCS"}


def uid_of(*names: str) -> str:
    """The same UID for the same names (PS3.5 §B.2: from a UUID)."""
    return f"2.25.{uuid5(NAMESPACE_URL, '/'.join(('tocsin', *names))).int}"


def study_of(patient: TumourPatient, authority: str) -> str:
    """The StudyInstanceUID of the patient's images."""
    return uid_of(authority, str(patient.record_id), "study")


def measured(patient: TumourPatient) -> list[Result]:
    """What images said of the patient."""
    return [r for r in patient.results if r.kind == KIND]


def without_images(patient: TumourPatient) -> TumourPatient:
    """The patient as other feeds know them."""
    rest = tuple(r for r in patient.results if r.kind != KIND)
    return TumourPatient(
        patient.record_id, patient.age, patient.sex, rest, patient.label, patient.stratum
    )


def report_of(patient: TumourPatient, written: float, authority: str) -> bytes:
    """The measurements as a structured report (PS3.10), written at an epoch second."""
    number = str(patient.record_id)
    name = synthetic_name(authority, number, patient.sex)
    found = Dataset()
    found.SOPClassUID = ComprehensiveSRStorage
    found.SOPInstanceUID = UID(uid_of(authority, number, "report"))
    found.StudyInstanceUID = UID(study_of(patient, authority))
    found.SeriesInstanceUID = UID(uid_of(authority, number, "series"))
    found.PatientID, found.IssuerOfPatientID = number, authority
    found.PatientName = f"{name.family}^{name.given}"
    found.PatientBirthDate, found.PatientSex = "", {"U": "O"}.get(patient.sex, patient.sex)
    at = datetime.fromtimestamp(written, UTC)
    found.StudyDate = found.ContentDate = f"{at:%Y%m%d}"
    found.StudyTime = found.ContentTime = f"{at:%H%M%S}"
    found.TimezoneOffsetFromUTC = "+0000"
    found.StudyID, found.AccessionNumber, found.ReferringPhysicianName = number, "", ""
    found.Modality, found.Manufacturer = "SR", "Tocsin replay"
    found.SeriesNumber = found.InstanceNumber = "1"
    found.CompletionFlag, found.VerificationFlag = "COMPLETE", "UNVERIFIED"
    found.ReferencedPerformedProcedureStepSequence = []
    found.PerformedProcedureCodeSequence = []
    found.ValueType, found.ContinuityOfContent = "CONTAINER", "SEPARATE"
    found.ConceptNameCodeSequence = [_coded(_REPORT)]
    tracking = uid_of(authority, number, "tumour")
    group = _container(
        _GROUP,
        [
            _item("UIDREF", _TRACKING, "HAS OBS CONTEXT", UID=UID(tracking)),
            _item("CODE", _SITE, "HAS CONCEPT MOD", ConceptCodeSequence=[_coded(_BRAIN)]),
            *map(_measurement, measured(patient)),
        ],
    )
    found.ContentSequence = [_container(_MEASUREMENTS, [group])]
    return _as_file(found)


def _as_file(dataset: Dataset) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _coded(code: Code) -> Dataset:
    one = Dataset()
    value, one.CodingSchemeDesignator, meaning = code
    if len(value) > _SHORT:
        one.LongCodeValue = value
    else:
        one.CodeValue = value
    one.CodeMeaning = meaning[:64]
    return one


def _item(kind: str, name: Code, relation: str, **content: object) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = relation, kind
    item.ConceptNameCodeSequence = [_coded(name)]
    for keyword, value in content.items():
        setattr(item, keyword, value)
    return item


def _container(name: Code, children: Sequence[Dataset]) -> Dataset:
    return _item(
        "CONTAINER", name, "CONTAINS", ContinuityOfContent="SEPARATE", ContentSequence=children
    )


def _measurement(result: Result) -> Dataset:
    value = Dataset()
    value.NumericValue = f"{result.value:.10g}"[:16]
    value.FloatingPointValue = float(result.value)
    unit = result.unit or "1"
    value.MeasurementUnitsCodeSequence = [_coded((unit, "UCUM", unit))]
    name = (result.code, _SCHEMES.get(result.system, result.system), result.name)
    return _item("NUM", name, "CONTAINS", MeasuredValueSequence=[value])


def notice_of(patients: Iterable[TumourPatient], authority: str) -> list[Dataset]:
    """What the archive says of each study: it is there."""
    return [_notice(patient, authority) for patient in patients]


def _notice(patient: TumourPatient, authority: str) -> Dataset:
    number = str(patient.record_id)
    instance = Dataset()
    instance.ReferencedSOPClassUID = ComprehensiveSRStorage
    instance.ReferencedSOPInstanceUID = UID(uid_of(authority, number, "report"))
    instance.InstanceAvailability, instance.RetrieveAETitle = "ONLINE", "ARCHIVE"
    series = Dataset()
    series.SeriesInstanceUID = UID(uid_of(authority, number, "series"))
    series.ReferencedSOPSequence = [instance]
    notice = Dataset()
    notice.StudyInstanceUID = UID(study_of(patient, authority))
    notice.ReferencedPerformedProcedureStepSequence = []
    notice.ReferencedSeriesSequence = [series]
    return notice
