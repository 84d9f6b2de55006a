"""Datasets that announce something of a study: DICOM JSON on `tocsin.wire.imaging`.

The content type's parameter `event` says what a dataset came as: `mpps` (a performed procedure
step, as it stands after an N-CREATE or N-SET), `ian` (an Instance Availability Notification),
`study` (what an archive says of a study that it was asked about) or `stow` (what an archive says of
instances that it has just stored; several datasets may come at once).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from connectors.facts import Rank, Stage, StudyEvent
from connectors.identity import IdentityKey
from connectors.imaging.patient import PATIENT, identified, moment
from connectors.interpretation import (
    About,
    Interpretation,
    NoFacts,
    Profile,
    RefusedError,
    Site,
    StudyToFetch,
)
from connectors.quarantine import Reason
from connectors.wire import WireMessage, parameters

WRONG_WORKLIST_ENTRY: Final = "110514"  # PS3.16, CID 9300: the pictures are somebody else's
# PS3.6. DICOM JSON names attributes by tag (PS3.18 F.2.2).
_TAGS: Final[dict[str, str]] = {
    "SOPInstanceUID": "00080018",
    "AccessionNumber": "00080050",
    "Modality": "00080060",
    "ModalitiesInStudy": "00080061",
    "InstanceAvailability": "00080056",
    "CodeValue": "00080100",
    "CodingSchemeDesignator": "00080102",
    "CodeMeaning": "00080104",
    "TimezoneOffsetFromUTC": "00080201",
    "PatientName": "00100010",
    "PatientID": "00100020",
    "IssuerOfPatientID": "00100021",
    "PatientBirthDate": "00100030",
    "PatientSex": "00100040",
    "RetrieveURL": "00081190",
    "StudyInstanceUID": "0020000D",
    "NumberOfStudyRelatedInstances": "00201208",
    "PerformedProcedureStepStartDate": "00400244",
    "PerformedProcedureStepStartTime": "00400245",
    "PerformedProcedureStepEndDate": "00400250",
    "PerformedProcedureStepEndTime": "00400251",
    "PerformedProcedureStepStatus": "00400252",
    "ScheduledStepAttributesSequence": "00400270",
    "PerformedProcedureStepDiscontinuationReasonCodeSequence": "00400281",
    "ProcedureCodeSequence": "00081032",
    "ReferencedSeriesSequence": "00081115",
    "FailedSOPSequence": "00081198",
    "ReferencedSOPSequence": "00081199",
}
_STUDY_URL = re.compile(r"/studies/([0-9.]{1,64})(?:/|$)")
_STOW: Final = "stow"
# PS3.3 C.4.23.1.1. Of what is not available any more a rejection note may say why: dcm4chee
# announces rejected instances so.
_ASKED_FOR: Final = frozenset(("ONLINE", "NEARLINE", "UNAVAILABLE"))

Dataset = Mapping[str, Any]
_Read = Callable[[Dataset, WireMessage, IdentityKey, Profile, Interpretation], None]


def interpret_announcement(
    message: WireMessage, key: IdentityKey, site: Site
) -> list[Interpretation]:
    """What one dataset says. Never raises, whatever the bytes."""
    out = Interpretation("quarantine", source=message.source, sent=message.heard)
    try:
        event = parameters(message.content_type).get("event", "")
        out.message_type = f"DICOM {event}"
        read = _EVENTS.get(event)
        if read is None and event != _STOW:
            detail = f"the content type's parameter event is one of {', '.join((*_EVENTS, _STOW))}"
            raise RefusedError(Reason.UNSUPPORTED_CONTENT, detail, "content-type")
        datasets = _datasets(message.raw)
        if read is None:
            _stow(datasets, parameters(message.content_type).get("study", ""), out)
        else:
            read(_one(datasets), message, key, site.of(message.source), out)
    except RefusedError as refused:
        out.refuse(refused.issue)
    return [out]


def _mpps(
    step: Dataset, message: WireMessage, key: IdentityKey, profile: Profile, out: Interpretation
) -> None:
    """PS3.4 F.7: a step is in progress, completed (pictures taken) or discontinued."""
    status = text(step, "PerformedProcedureStepStatus")
    stage = {"IN PROGRESS": Stage.IN_PROGRESS, "COMPLETED": Stage.ACQUIRED}.get(status)
    if status == "DISCONTINUED":
        reasons = items(step, "PerformedProcedureStepDiscontinuationReasonCodeSequence")
        codes = {(text(r, "CodeValue"), text(r, "CodingSchemeDesignator")) for r in reasons}
        if (WRONG_WORKLIST_ENTRY, "DCM") in codes:
            stage = Stage.REJECTED
    elif stage is None:
        detail = "no status of the step, or none that the standard knows"
        raise RefusedError(Reason.UNKNOWN_STATUS, detail, "(0040,0252)")
    identifier, identity = identified(_patient(step), profile)
    if stage is None:
        out.outcome, out.reason = "no_facts", NoFacts.NOTHING_NEW
        return
    when = _when(step, "Start" if stage is Stage.IN_PROGRESS else "End", message, profile, out)
    about = About(key.pseudonym(identifier), identity)
    name = key.short("mpps", text(step, "SOPInstanceUID"))
    for scheduled in items(step, "ScheduledStepAttributesSequence"):
        uid = text(scheduled, "StudyInstanceUID")
        if uid or text(scheduled, "AccessionNumber"):
            about.facts.append(_study_event(scheduled, step, uid, stage, when, name, key))
    if not about.facts:
        detail = "neither a StudyInstanceUID nor an AccessionNumber"
        raise RefusedError(Reason.NO_STUDY, detail, "(0040,0270)")
    out.patients, out.outcome = [about], "facts"


def _when(
    step: Dataset, phase: str, message: WireMessage, profile: Profile, out: Interpretation
) -> float:
    """The beginning or end of a step; when it was heard of, where that is no time."""
    date, time = (text(step, f"PerformedProcedureStep{phase}{part}") for part in ("Date", "Time"))
    latest = message.heard + profile.max_future_s
    try:
        found = moment(date and date + time, text(step, "TimezoneOffsetFromUTC"), latest, profile)
    except RefusedError as refused:
        out.issues.append(refused.issue._replace(location=f"step {phase.lower()}"))
        found = None
    return message.heard if found is None else found


def _study_event(
    study: Dataset, about: Dataset, uid: str, stage: Stage, when: float, name: str, key: IdentityKey
) -> StudyEvent:
    hashed = key.study(uid) if uid else ""
    accession = text(study, "AccessionNumber")
    code = next(iter(items(about, "ProcedureCodeSequence")), {})
    rank: Rank = (1, when, 0, name)
    return StudyEvent(
        id=key.short("study-event", hashed or accession, stage, name),
        rank=rank,
        stage=stage,
        time=when,
        study=hashed,
        accession=key.accession(accession) if accession else "",
        modality=text(about, "Modality") or text(about, "ModalitiesInStudy"),
        code=text(code, "CodeValue"),
        system=text(code, "CodingSchemeDesignator"),
        name=text(code, "CodeMeaning"),
        instances=count(about, "NumberOfStudyRelatedInstances"),
    )


def _ian(
    notice: Dataset, _: WireMessage, __: IdentityKey, ___: Profile, out: Interpretation
) -> None:
    """PS3.3 C.4.23: what of a study can be retrieved. Whose it is, the archive has to say."""
    uid = text(notice, "StudyInstanceUID")
    if not uid:
        raise RefusedError(Reason.NO_STUDY, "no StudyInstanceUID", "(0020,000D)")
    availability = {
        text(instance, "InstanceAvailability")
        for series in items(notice, "ReferencedSeriesSequence")
        for instance in items(series, "ReferencedSOPSequence")
    }
    out.outcome = "no_facts"
    if availability and availability.isdisjoint(_ASKED_FOR):
        out.reason = NoFacts.NOT_AVAILABLE
        return
    out.reason = NoFacts.AWAITS_ARCHIVE
    out.fetch = [StudyToFetch(uid)]


def _stow(datasets: list[Dataset], named: str, out: Interpretation) -> None:
    """PS3.18 10.5.3: the answer to a Store request, or the attributes of what was stored.

    Forwarded by an archive, either says that there is something to fetch. The answer names its
    study in RetrieveURL alone; one in which every instance failed says nothing.
    """
    found: list[str] = []
    for dataset in datasets:
        failed = items(dataset, "FailedSOPSequence")
        if failed and not items(dataset, "ReferencedSOPSequence"):
            out.reason = NoFacts.NOT_AVAILABLE
            continue
        uid = text(dataset, "StudyInstanceUID") or _study_of(dataset) or named
        if not uid:
            detail = "neither StudyInstanceUID nor a RetrieveURL of a study, nor one in the path"
            raise RefusedError(Reason.NO_STUDY, detail, "(0020,000D)")
        found.append(uid)
    out.outcome = "no_facts"
    if found:
        out.reason = NoFacts.AWAITS_ARCHIVE
        out.fetch = [StudyToFetch(uid) for uid in dict.fromkeys(found)]


def _study_of(dataset: Dataset) -> str:
    """`…/studies/{uid}/…` of the answer itself, else of its first instance."""
    for one in (dataset, *items(dataset, "ReferencedSOPSequence")):
        match = _STUDY_URL.search(text(one, "RetrieveURL"))
        if match is not None:
            return match[1]
    return ""


def _of_archive(
    study: Dataset, message: WireMessage, key: IdentityKey, profile: Profile, out: Interpretation
) -> None:
    """What QIDO-RS says of a study (PS3.18 10.6.3.3): it is there."""
    uid = text(study, "StudyInstanceUID")
    if not uid:
        raise RefusedError(Reason.NO_STUDY, "no StudyInstanceUID", "(0020,000D)")
    identifier, identity = identified(_patient(study), profile)
    name = key.short("archive", uid)
    event = _study_event(study, study, uid, Stage.AVAILABLE, message.heard, name, key)
    out.patients = [About(key.pseudonym(identifier), identity, [event])]
    out.outcome = "facts"


_EVENTS: Final[dict[str, _Read]] = {"mpps": _mpps, "ian": _ian, "study": _of_archive}


# ── DICOM JSON ──────────────────────────────────────────────────────────────────────────────


def text(dataset: Dataset, keyword: str) -> str:
    """The first value of an attribute as text; "" where it is absent or of another kind."""
    values = _values(dataset, keyword)
    value = values[0] if values else ""
    if isinstance(value, dict):  # a person's name, by alphabet
        value = value.get("Alphabetic", "")
    return str(value).strip() if isinstance(value, str | int | float) else ""


def count(dataset: Dataset, keyword: str) -> int | None:
    """The first value of an attribute as a number of things."""
    value = text(dataset, keyword)
    return int(value) if value.isdecimal() and len(value) < 10 else None


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence."""
    return [item for item in _values(dataset, keyword) if isinstance(item, dict)]


def _values(dataset: Dataset, keyword: str) -> list[Any]:
    element = dataset.get(_TAGS[keyword])
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _patient(dataset: Dataset) -> dict[str, str]:
    return {keyword: text(dataset, keyword) for keyword in PATIENT}


def _datasets(raw: bytes) -> list[Dataset]:
    """PS3.18 F.2: an array of datasets, or one."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RefusedError(Reason.BAD_DICOM, "no JSON") from None
    datasets = found if isinstance(found, list) else [found]
    if not datasets or not all(isinstance(one, dict) for one in datasets):
        raise RefusedError(Reason.BAD_DICOM, "no dataset in the DICOM JSON model")
    return datasets


def _one(datasets: list[Dataset]) -> Dataset:
    if len(datasets) > 1:
        raise RefusedError(Reason.BAD_DICOM, "not one dataset in the DICOM JSON model")
    return datasets[0]
