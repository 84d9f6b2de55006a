"""What modalities and archives announce: one study, however often and from wherever."""

from __future__ import annotations

import json
import random
from itertools import permutations

import pytest

from connectors import wire
from connectors.facts import Stage, StudyEvent
from connectors.identity import Identifier, IdentityKey
from connectors.interpret import interpret
from connectors.interpretation import Interpretation, Profile, StudyToFetch
from models.record import PatientRecord
from models.studies import studies
from tests.unit.hl7.reading import lines
from tests.unit.imaging.objects import STUDY, as_json, notice, step

HEARD = 1_767_272_400.0  # 2026-01-01 13:00 UTC
KEY = IdentityKey(bytes(32))


def read(raw: bytes, event: str, profile: Profile | None = None) -> Interpretation:
    content = f"{wire.DICOM_JSON}; event={event}"
    message = wire.WireMessage(raw, "t/0/0", HEARD, "MR1", "", content)
    (found,) = interpret(message, KEY, profile or Profile())
    return found


def hl7(kind: str, orc: str, uid: str = STUDY) -> Interpretation:
    obx = f"OBX|1|ST|113014^DICOM Study^DCM||{uid}||||||O"
    raw = lines("PID|1||42^^^HOSP^MR", f"ORC|{orc}", "OBR|1|P1|A77^RIS|X^X^L", obx, kind=kind)
    (found,) = interpret(wire.WireMessage(raw, "t/0/0", HEARD, "RIS", ""), KEY, Profile())
    return found


@pytest.mark.parametrize(
    ("status", "reason", "stage"),
    [
        ("IN PROGRESS", "", Stage.IN_PROGRESS),
        ("COMPLETED", "", Stage.ACQUIRED),
        ("DISCONTINUED", "110514", Stage.REJECTED),  # wrong worklist entry: another patient
    ],
)
def test_a_step_moves_its_study(status: str, reason: str, stage: Stage) -> None:
    found = read(as_json(step(status, reason=reason)), "mpps")
    (event,) = found.facts
    assert isinstance(event, StudyEvent)
    assert (event.stage, event.modality, event.code) == (stage, "MR", "MRBRAIN")
    assert event.study == KEY.study(STUDY)
    assert event.accession == KEY.accession("A77")
    assert found.pseudonym == KEY.pseudonym(Identifier("HOSP", "MR", "42"))


def test_a_step_that_was_given_up_says_nothing_of_the_study() -> None:
    found = read(as_json(step("DISCONTINUED", reason="110501")), "mpps")
    assert (found.outcome, found.reason) == ("no_facts", "nothing_new")


def test_times_are_those_of_the_source() -> None:
    (event,) = read(as_json(step("COMPLETED")), "mpps", Profile(time_zone="Europe/Vienna")).facts
    assert isinstance(event, StudyEvent)
    assert event.time == 1_767_250_800.0  # 08:00 in Vienna


def test_a_time_that_is_none_is_told_of() -> None:
    """The step still counts, from when it was heard of."""
    for date, reason in (("20261399", "bad_time"), ("20991231", "time_in_future")):
        dataset = json.loads(as_json(step("COMPLETED")))
        dataset["00400250"]["Value"] = [date]
        found = read(json.dumps(dataset).encode(), "mpps")
        assert [f.time for f in found.facts if isinstance(f, StudyEvent)] == [HEARD]
        assert [(i.reason, i.location) for i in found.issues] == [(reason, "step end")]


def test_a_number_without_issuer_is_the_facilitys_or_nobodys() -> None:
    """Under no authority it would be a patient whom no other feed knows."""
    dataset = step("COMPLETED")
    dataset.IssuerOfPatientID = ""
    refused = read(as_json(dataset), "mpps")
    assert (refused.outcome, refused.reason) == ("quarantine", "no_patient")
    taken = read(as_json(dataset), "mpps", Profile(facility="HOSP"))
    assert taken.pseudonym == KEY.pseudonym(Identifier("HOSP", "MR", "42"))


def test_a_step_may_name_its_study_by_accession_alone() -> None:
    both, alone = (read(as_json(step("COMPLETED", uid=uid)), "mpps").facts for uid in (STUDY, ""))
    events = [f for f in (*both, *alone) if isinstance(f, StudyEvent)]
    assert [e.study for e in events] == [KEY.study(STUDY), ""]
    assert len(studies(events)) == 1  # joined by the accession number


def test_two_steps_of_one_study_are_one_study() -> None:
    second = step("COMPLETED")
    second.SOPInstanceUID = "1.2.826.0.1.99.50"
    second.Modality = "PT"
    record = PatientRecord()
    for dataset in (step("COMPLETED"), second):
        record.fold_facts(read(as_json(dataset), "mpps").facts)
    events = [f for f in record.facts.values() if isinstance(f, StudyEvent)]
    assert sorted(e.modality for e in events) == ["MR", "PT"]
    assert len(studies(events)) == 1


def test_a_notice_names_no_patient_and_asks_the_archive() -> None:
    found = read(as_json(notice()), "ian")
    assert (found.outcome, found.reason) == ("no_facts", "awaits_archive")
    assert found.fetch == [StudyToFetch(STUDY)]
    # What was rejected is announced as unavailable: a note in the archive may say so.
    assert read(as_json(notice("UNAVAILABLE")), "ian").fetch == [StudyToFetch(STUDY)]
    offline = read(as_json(notice("OFFLINE")), "ian")
    assert (offline.reason, offline.fetch) == ("not_available", [])


def test_what_the_archive_says_is_available() -> None:
    study = step("COMPLETED")
    study.StudyInstanceUID, study.NumberOfStudyRelatedInstances = STUDY, 7
    (event,) = read(b"[" + as_json(study) + b"]", "study").facts
    assert isinstance(event, StudyEvent)
    assert (event.stage, event.instances) == (Stage.AVAILABLE, 7)


def test_hl7_and_dicom_speak_of_one_study_in_any_order() -> None:
    found = [
        hl7("OMI^O23", "NW|P1|A77^RIS||SC"),
        read(as_json(step("IN PROGRESS")), "mpps"),
        read(as_json(step("COMPLETED")), "mpps"),
        read(as_json(step("COMPLETED")), "mpps"),
    ]
    assert len({one.pseudonym for one in found}) == 1
    digests = set()
    for order in permutations(found):
        record = PatientRecord()
        for one in order:
            record.fold_facts(one.facts)
        events = [f for f in record.facts.values() if isinstance(f, StudyEvent)]
        (study,) = studies(events)
        assert study.stage is Stage.ACQUIRED
        digests.add(record.digest())
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("raw", "event", "reason"),
    [
        (b"", "mpps", "bad_dicom"),
        (b"{", "mpps", "bad_dicom"),
        (b"[1]", "mpps", "bad_dicom"),
        (b"\xff\xfe{}", "mpps", "bad_dicom"),
        (b"[" * 100_000, "mpps", "bad_dicom"),
        (b"{}", "mpps", "unknown_status"),
        (b"{}", "ian", "no_study"),
        (b"{}", "study", "no_study"),
        (b"{}", "other", "unsupported_content"),
        (as_json(step("COMPLETED", patient="")), "mpps", "no_patient"),
        (as_json(step("COMPLETED", uid="", accession="")), "mpps", "no_study"),
        (as_json(step("ABANDONED")), "mpps", "unknown_status"),
        (b'{"00400252":{"Value":"COMPLETED"}}', "mpps", "unknown_status"),
    ],
)
def test_what_cannot_be_understood_is_refused(raw: bytes, event: str, reason: str) -> None:
    found = read(raw, event)
    assert (found.outcome, found.reason, found.facts) == ("quarantine", reason, [])


def test_mutated_datasets_never_raise() -> None:
    chance = random.Random(5)
    for _ in range(2_000):
        raw = bytearray(as_json(step("COMPLETED")))
        for _ in range(chance.randint(1, 5)):
            place = chance.randrange(len(raw))
            raw[place : place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        assert read(bytes(raw), chance.choice(["mpps", "ian", "study"])).outcome in (
            "facts",
            "no_facts",
            "quarantine",
        )


# ── DICOM JSON of what an archive has stored ────────────────────────────────────────────────


def stow(content: object, named: str = "") -> Interpretation:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read(raw, f"stow{f'; study={named}' if named else ''}")


def url(address: str) -> dict[str, object]:
    return {"00081190": {"vr": "UR", "Value": [address]}}


def instance(address: str) -> dict[str, object]:
    return {"00081199": {"vr": "SQ", "Value": [url(address)]}}


@pytest.mark.parametrize(
    ("content", "named", "asked"),
    [
        (url("http://pacs/dicom-web/studies/1.2.3"), "", ["1.2.3"]),
        ([url("http://pacs/dicom-web/studies/1.2.3/series/4")], "", ["1.2.3"]),
        (instance("http://pacs/rs/studies/1.2.3/series/4/instances/5"), "", ["1.2.3"]),
        ({"0020000D": {"vr": "UI", "Value": ["1.2.4"]}}, "", ["1.2.4"]),
        (instance("/instances/5"), "1.2.5", ["1.2.5"]),
        (
            [{"0020000D": {"vr": "UI", "Value": [u]}} for u in ("1.1", "1.2", "1.1")],
            "",
            ["1.1", "1.2"],
        ),
        ({"00081198": {"vr": "SQ", "Value": [{}]}} | instance("/studies/1.9"), "", ["1.9"]),
    ],
)
def test_what_was_stored_is_asked_for(content: object, named: str, asked: list[str]) -> None:
    found = stow(content, named)
    assert (found.outcome, found.reason) == ("no_facts", "awaits_archive")
    assert found.fetch == [StudyToFetch(uid) for uid in asked]


def test_instances_that_all_failed_are_not_asked_for() -> None:
    found = stow({"00081198": {"vr": "SQ", "Value": [{}]}}, "1.2.3")
    assert (found.outcome, found.reason, found.fetch) == ("no_facts", "not_available", [])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "no_study"),
        (url("http://pacs/dicom-web/studies/"), "no_study"),
        (url("http://pacs/studies/1.2.3x"), "no_study"),
        ([7], "bad_dicom"),
        ([], "bad_dicom"),
        (b"{", "bad_dicom"),
    ],
)
def test_a_notice_that_names_no_study_says_why(content: object, reason: str) -> None:
    found = stow(content)
    assert (found.outcome, found.reason) == ("quarantine", reason)
