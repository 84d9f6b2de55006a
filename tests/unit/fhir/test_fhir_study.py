"""FHIR ImagingStudy: one more voice about the same study."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from connectors import wire
from connectors.facts import PersonDetail, Stage, StudyEvent
from connectors.interpret import interpret
from connectors.interpretation import Profile, StudyToFetch
from models.record import PatientRecord
from models.studies import studies
from tests.unit.fhir.resources import (
    HEARD,
    KEY,
    PATIENT,
    SUBJECT,
    UID,
    bundle,
    concept,
    patient,
    read,
    study,
)
from tests.unit.hl7.reading import lines


def event(content: dict[str, Any], **how: Any) -> StudyEvent:
    found = read(content, **how)
    assert found.outcome == "facts", found.issues
    (one,) = [f for f in found.facts if isinstance(f, StudyEvent)]
    return one


@pytest.mark.parametrize(
    ("status", "more", "stage"),
    [
        ("registered", {}, Stage.ORDERED),
        ("registered", {"started": "2026-01-01T08:00:00Z"}, Stage.IN_PROGRESS),
        ("available", {}, Stage.AVAILABLE),
        ("cancelled", {}, Stage.REJECTED),
        ("entered-in-error", {}, Stage.REJECTED),
    ],
)
def test_a_status_is_a_stage(status: str, more: dict[str, Any], stage: Stage) -> None:
    found = event(study(status, **more))
    assert (found.stage, found.study) == (stage, KEY.study(UID))
    assert (found.modality, found.instances) == ("MR", 3)


def test_available_asks_the_archive_and_is_not_more_than_available() -> None:
    found = read(study("available"))
    assert found.pseudonym == PATIENT
    assert found.fetch == [StudyToFetch(UID)]
    assert read(study("registered")).fetch == []


def test_nobody_knows_says_nothing() -> None:
    found = read(study("unknown"))
    assert (found.outcome, found.reason) == ("no_facts", "nothing_new")


def test_numbers_times_and_the_procedure() -> None:
    kind = concept("ACSN", system="http://terminology.hl7.org/CodeSystem/v2-0203")
    ordered = {"resourceType": "ServiceRequest", "id": "o1", "identifier": [{"value": "A77"}]}
    ordered["identifier"][0]["type"] = kind  # type: ignore[index]
    found = event(
        bundle(
            study(
                "registered",
                started="2026-01-01T09:00:00+01:00",
                basedOn=[{"reference": "urn:uuid:o1"}],
                procedureCode=[concept("RPID2589", "XR Wrist", "http://www.radlex.org")],
                meta={"lastUpdated": "2026-01-01T10:00:00Z"},
            ),
            ordered,
        )
    )
    assert found.accession == KEY.accession("A77")
    assert found.time == HEARD - 5 * 3_600
    assert found.rank[1] == HEARD - 3 * 3_600
    assert (found.code, found.name) == ("RPID2589", "XR Wrist")


def test_the_same_study_by_every_way_counts_once_in_any_order() -> None:
    obx = f"OBX|1|ST|113014^DICOM Study^DCM||{UID}||||||O"
    hl7 = lines(
        "PID|1||42^^^HOSP^MR",
        "ORC|SC|P1|A77^RIS||CM",
        "OBR|1|P1|A77^RIS|X^X^L",
        obx,
        kind="OMG^O19",
    )
    (told,) = interpret(wire.WireMessage(hl7, "t/0/0", HEARD, "RIS", ""), KEY, Profile())
    announced = [told, read(study("registered")), read(study()), read(study(), source="PACS2")]
    assert {one.pseudonym for one in announced} == {PATIENT}
    digests = set()
    for order in permutations(announced):
        record = PatientRecord()
        for one in (*order, order[0]):
            record.fold_facts(one.facts)
        found = studies(f for f in record.facts.values() if isinstance(f, StudyEvent))
        assert [s.stage for s in found] == [Stage.AVAILABLE]
        digests.add(record.digest())
    assert len(digests) == 1


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_a_rejection_stands_whatever_comes_after(status: str) -> None:
    for order in permutations([read(study(status)), read(study())]):
        record = PatientRecord()
        for one in order:
            record.fold_facts(one.facts)
        found = studies(f for f in record.facts.values() if isinstance(f, StudyEvent))
        assert [s.stage for s in found] == [Stage.REJECTED]


# ── whose it is ─────────────────────────────────────────────────────────────────────────────


def _with(subject: dict[str, Any], *contained: dict[str, Any]) -> dict[str, Any]:
    return study() | {"subject": subject, "contained": list(contained)}


@pytest.mark.parametrize(
    "content",
    [
        study(),
        bundle(_with({"reference": "urn:uuid:p1"}), patient(), kind="message"),
        bundle(_with({"reference": "Patient/p1"}), patient(), kind="transaction"),
        bundle(_with({"reference": "http://fhir.example/r4/Patient/p1/_history/2"}), patient()),
        _with({"identifier": {"system": "HOSP", "value": "42"}}),
    ],
    ids=["contained", "fullUrl", "relative", "absolute", "number in the reference"],
)
def test_the_patient_is_who_the_message_says(content: dict[str, Any]) -> None:
    assert read(content).pseudonym == PATIENT


def test_an_oid_is_the_same_authority_as_in_hl7() -> None:
    by_oid = _with({"identifier": {"system": "urn:oid:1.2.3", "value": "42"}})
    site = Profile(authorities=(("1.2.3", "HOSP"),))
    assert read(by_oid, profile=site).pseudonym == PATIENT


def test_the_header_says_whose_where_the_message_does_not() -> None:
    assert read(_with({"reference": "Patient/7"}), subject=SUBJECT).pseudonym == PATIENT
    # A number in the message counts before the header.
    assert read(study(), subject="HOSP|MR|43").pseudonym == PATIENT


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_with({"reference": "Patient/7"}), "no_patient"),
        (_with({"reference": "#p1"}, patient(system="")), "no_patient"),
        (study("done"), "unknown_status"),
        (study() | {"identifier": []}, "no_study"),
        (study() | {"identifier": {"system": "urn:dicom:uid", "value": 7}}, "no_study"),
        (patient(), "unsupported_content"),
        ({"resourceType": "Bundle", "type": "batch-response"}, "bad_fhir"),
        ({"resourceType": "Bundle", "type": "message"}, "unsupported_content"),
        (b"{}", "bad_fhir"),
        (b"[" * 100_000, "bad_fhir"),
        (b"\xff\xfe{", "bad_fhir"),
        (b"", "bad_fhir"),
    ],
)
def test_what_cannot_be_used_says_why(content: dict[str, Any] | bytes, reason: str) -> None:
    found = read(content)
    assert (found.outcome, found.reason) == ("quarantine", reason)
    assert found.issues[0].detail


def test_one_header_is_not_enough_for_two_patients() -> None:
    two = bundle(
        _with({"reference": "Patient/7"}),
        study(uid="1.2.3") | {"subject": {"reference": "Patient/8"}},
    )
    found = read(two, subject=SUBJECT)
    assert [issue.reason for issue in found.issues] == ["ambiguous", "ambiguous"]


def test_a_bad_study_leaves_the_good_ones_of_its_bundle() -> None:
    found = read(bundle(study("done"), study(), study(uid="1.2.3")))
    assert found.outcome == "facts"
    assert len([f for f in found.facts if isinstance(f, StudyEvent)]) == 2
    assert [(i.reason, i.location) for i in found.issues] == [
        ("unknown_status", "Bundle.entry[0].status")
    ]


def test_the_patient_of_a_message_is_known_from_then_on() -> None:
    named = patient(
        name=[{"family": "Doe", "given": ["Jo"]}], birthDate="1950-03-01", gender="female"
    )
    found = read(study() | {"contained": [named]})
    (about,) = found.patients
    assert about.identity is not None
    assert (about.identity.family, about.identity.birth_date) == ("Doe", "19500301")
    details = {f.field: f.value for f in found.facts if isinstance(f, PersonDetail)}
    assert details == {"birth_year": 1950.0, "sex": "F"}


def test_a_time_in_the_future_is_not_believed() -> None:
    found = read(study(meta={"lastUpdated": "2027-01-01T10:00:00Z"}))
    assert [issue.reason for issue in found.issues] == ["time_in_future"]
    assert [f.time for f in found.facts if isinstance(f, StudyEvent)] == [HEARD]
