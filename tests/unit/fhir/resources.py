"""FHIR resources for tests, as plain dictionaries, and how they are read."""

from __future__ import annotations

import json
from typing import Any

from connectors import wire
from connectors.identity import Identifier, IdentityKey
from connectors.interpret import interpret
from connectors.interpretation import Interpretation, Profile, Site
from connectors.wire import WireMessage

HEARD = 1_767_272_400.0  # 2026-01-01 13:00 UTC
KEY = IdentityKey(bytes(32))
PATIENT = KEY.pseudonym(Identifier("HOSP", "MR", "42"))
SUBJECT = "HOSP|MR|42"
LOINC = "http://loinc.org"
UID = "1.2.826.0.1.99.1"

Json = dict[str, Any]


def read(
    content: Json | bytes,
    subject: str = "",
    profile: Site | None = None,
    heard: float = HEARD,
    source: str = "LAB",
) -> Interpretation:
    """One message."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    message = WireMessage(raw, "t/0/0", heard, source, "", wire.FHIR, subject=subject)
    (found,) = interpret(message, KEY, profile or Profile())
    return found


def patient(number: str = "42", system: str = "HOSP", **more: Any) -> Json:
    """A Patient with one number."""
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
    said = {"value": number, "type": kind} | ({"system": system} if system else {})
    return {"resourceType": "Patient", "id": "p1", "identifier": [said], **more}


def concept(code: str, display: str = "", system: str = LOINC) -> Json:
    """A CodeableConcept of one code."""
    coding = {"system": system, "code": code} | ({"display": display} if display else {})
    return {"coding": [coding]}


def bundle(*resources: Json, kind: str = "collection") -> Json:
    """A Bundle; resources refer to each other by `urn:uuid:<id>`."""
    entries = [
        {"resource": one, "fullUrl": f"urn:uuid:{one.get('id', n)}"}
        for n, one in enumerate(resources)
    ]
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def study(status: str = "available", uid: str = UID, **more: Any) -> Json:
    """An ImagingStudy of the patient with number 42."""
    return {
        "resourceType": "ImagingStudy",
        "id": "s1",
        "status": status,
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}],
        "contained": [patient()],
        "subject": {"reference": "#p1"},
        "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "MR"}],
        "numberOfInstances": 3,
        **more,
    }


def observation(code: str, *components: Json, id: str = "", **more: Any) -> Json:
    """An Observation of a report."""
    said: Json = {"resourceType": "Observation", "status": "final", "code": concept(code)}
    if id:
        said["id"] = id
    if components:
        said["component"] = list(components)
    return said | more


def variant(*components: Json, present: str = "LA9633-4", **more: Any) -> Json:
    """An Observation of a variant."""
    assessed = {"valueCodeableConcept": concept(present)} if present else {}
    return observation("69548-6", *components, **assessed, **more)


def part(code: str, value: Any) -> Json:
    """A component: a number is a quantity, a pair a range, a dictionary a concept."""
    said: Json = {"code": concept(code)}
    if isinstance(value, tuple):
        low, high = value
        said["valueRange"] = {"low": {"value": low}} | (
            {} if high is None else {"high": {"value": high}}
        )
    elif isinstance(value, dict):
        said["valueCodeableConcept"] = value
    elif isinstance(value, str):
        said["valueString"] = value
    else:
        said["valueQuantity"] = {"value": value}
    return said


def report(*held: Json, status: str = "final", **more: Any) -> Json:
    """A genomics report with its Observations and its patient in it."""
    return {
        "resourceType": "DiagnosticReport",
        "status": status,
        "code": concept("51969-4"),
        "identifier": [{"system": "LAB", "value": "G1"}],
        "issued": "2026-01-01T10:00:00Z",
        "effectiveDateTime": "2025-12-30",
        "contained": [patient(), *held],
        "subject": {"reference": "#p1"},
        **more,
    }
