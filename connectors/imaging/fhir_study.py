"""FHIR R4 ImagingStudy as a step of its study's life (`connectors.facts.Stage`).

`available` says that at least one instance can be had, not that the study is complete: the archive
is asked, as after any other notice, and what it has later is fetched when it says so again.
`cancelled` and `entered-in-error` reject the study.
"""

from __future__ import annotations

from typing import Final

from connectors.facts import Rank, Stage, StudyEvent
from connectors.fhir.document import Resource
from connectors.fhir.elements import (
    Coding,
    Element,
    child,
    children,
    coded,
    coding,
    identifier_type,
    number,
    references,
    text,
)
from connectors.fhir.reading import Reading, referred
from connectors.interpretation import NoFacts, RefusedError, StudyToFetch
from connectors.quarantine import Reason

_UID: Final = "urn:dicom:uid"
_ACCESSION: Final = "ACSN"  # table 0203
_STAGES: Final = {
    "available": Stage.AVAILABLE,
    "cancelled": Stage.REJECTED,
    "entered-in-error": Stage.REJECTED,
}
_UNKNOWN: Final = "unknown"  # the sender does not know; nothing to go by
_MOST_INSTANCES: Final = 1_000_000_000


def read_study(resource: Resource, reading: Reading) -> None:
    """One study. Raises `RefusedError`."""
    study = resource.content
    uid, accession = _uid(study), _accession(resource, reading)
    if not uid and not accession:
        detail = "neither a StudyInstanceUID (urn:dicom:uid) nor an accession number (ACSN)"
        raise RefusedError(Reason.NO_STUDY, detail, f"{resource.place}.identifier")
    status = text(study, "status")
    if status == _UNKNOWN:
        reading.out.reason = NoFacts.NOTHING_NEW
        return
    stage = _stage(resource, status, reading)
    person = reading.person(resource)
    reading.add(person, [_event(resource, uid, accession, stage, reading)])
    if stage is Stage.AVAILABLE and uid:
        reading.out.fetch.append(StudyToFetch(uid))


def _stage(resource: Resource, status: str, reading: Reading) -> Stage:
    """A study that is only registered has begun as soon as it says when."""
    if status == "registered":
        started = reading.moment(resource, "started")
        return Stage.ORDERED if started is None else Stage.IN_PROGRESS
    stage = _STAGES.get(status)
    if stage is None:
        detail = "no status of an ImagingStudy"
        raise RefusedError(Reason.UNKNOWN_STATUS, detail, f"{resource.place}.status")
    return stage


def _event(
    resource: Resource, uid: str, accession: str, stage: Stage, reading: Reading
) -> StudyEvent:
    study, key = resource.content, reading.key
    hashed = key.study(uid) if uid else ""
    changed = reading.changed(resource)
    started = reading.moment(resource, "started") if stage is Stage.IN_PROGRESS else None
    procedure = next((coded(c) for c in children(study, "procedureCode")), Coding())
    count = number(study, "numberOfInstances")
    rank: Rank = (1, changed, 0, reading.version(resource))
    return StudyEvent(
        id=key.short("study-event", hashed or accession, stage, "fhir", reading.message.source),
        rank=rank,
        stage=stage,
        time=changed if started is None else started,
        study=hashed,
        accession=key.accession(accession) if accession else "",
        modality=_modality(study),
        code=procedure.code,
        system=procedure.system,
        name=procedure.display,
        instances=int(count) if count is not None and 0 <= count < _MOST_INSTANCES else None,
        visit=reading.visit(resource),
    )


def _uid(study: Element) -> str:
    for one in children(study, "identifier"):
        if text(one, "system") == _UID:
            return text(one, "value").removeprefix("urn:oid:")
    return ""


def _accession(resource: Resource, reading: Reading) -> str:
    """Its own, or that of the order that it is based on."""
    ordered = [
        identifier
        for reference in references(resource.content, "basedOn")
        for identifier in referred(reading, reference, resource)
    ]
    for one in (*children(resource.content, "identifier"), *ordered):
        if identifier_type(one) == _ACCESSION:
            return text(one, "value")
    return ""


def _modality(study: Element) -> str:
    """Of the study, else of its first series."""
    named = [coding(one).code for one in children(study, "modality")]
    named += [coding(child(s, "modality")).code for s in children(study, "series")]
    return next(filter(None, named), "")
