"""PhysioNet 2019 as HL7: what is sent, when, and what Tocsin makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from connectors.cohorts.physionet2019 import CohortPatient, load
from connectors.facts import EncounterEvent, Observation
from connectors.replay.physionet2019 import HOUR_S, length_s, messages_for
from connectors.replay.run import MARGIN_S, CohortName, plan
from connectors.replay.timed import Timed, message_type
from models.record import PatientRecord, Presence
from models.training.sepsis_cohort import STARTED_AT, facts_of
from tests.unit.replay import reading
from tests.unit.replay.folders import sepsis_original, sepsis_table


@pytest.fixture
def patient(tmp_path: Path) -> CohortPatient:
    return next(load(sepsis_original(tmp_path)))


def record_of(messages: list[Timed]) -> PatientRecord:
    return reading.record_of(messages, STARTED_AT + 9_000 * HOUR_S)


def test_an_hour_is_a_message_of_the_bedside_and_one_for_each_order(patient: CohortPatient) -> None:
    sent = list(messages_for(patient, STARTED_AT))
    assert [(message_type(m.raw), round((m.time - STARTED_AT) / HOUR_S, 4)) for m in sent] == [
        ("ADT^A01", -0.03),
        ("ADT^A02", 0),
        ("ORU^R01", 1),
        ("ORU^R01", 3),  # ionised calcium comes with the gases
        ("ORU^R01", 3),
        ("ORU^R01", 4),
        ("ADT^A08", 4),
    ]


def test_who_comes_to_intensive_care_at_once_is_not_moved(patient: CohortPatient) -> None:
    sent = list(messages_for(replace(patient, hospital_h=0.0), STARTED_AT))
    assert [message_type(m.raw) for m in sent[:2]] == ["ADT^A01", "ORU^R01"]
    assert record_of(sent).stays()[0].moves == ()


def test_the_record_knows_admission_ward_and_clock(patient: CohortPatient) -> None:
    record = record_of(list(messages_for(patient, STARTED_AT)))
    (stay,) = record.stays()
    assert record.clock == STARTED_AT + 4 * HOUR_S
    assert record.presence(record.clock) is Presence.PRESENT
    assert record.age(record.clock) == 83
    assert stay.start == pytest.approx(STARTED_AT - 108)
    assert stay.in_ward_since(record.clock) == STARTED_AT
    assert stay.in_ward_since(STARTED_AT - 1) == stay.start


def test_a_discharge_is_sent_only_when_asked_for(patient: CohortPatient) -> None:
    plain = list(messages_for(patient, STARTED_AT))
    asked = list(messages_for(patient, STARTED_AT, discharge=True))
    assert asked[:-1] == plain
    assert record_of(asked).presence(asked[-1].time) is Presence.DISCHARGED


def test_nothing_lies_in_the_future(tmp_path: Path) -> None:
    now = STARTED_AT + 0.7
    replay = plan(CohortName.PHYSIONET2019, sepsis_table(tmp_path), now, discharge=True)
    times = [m.time for m in replay.messages]
    assert times == sorted(times)
    assert now - MARGIN_S - 1 <= times[-1] <= now - MARGIN_S
    assert times[-1] - times[0] == 4 * HOUR_S + 108 + 1


def _views(record: PatientRecord) -> object:
    """What a model can see."""
    values = {(o.code, o.time, o.value, o.unit) for c in record.codes() for o in record.series(c)}
    stays = [(s.start, s.moves, s.ward) for s in record.stays()]
    return values, stays, record.age(STARTED_AT), record.person("sex")


def test_training_reads_what_the_replay_sends(patient: CohortPatient) -> None:
    """The facts that the cohort is trained on give the same views as the messages."""
    trained = PatientRecord()
    trained.fold_facts(facts_of(patient))
    assert _views(trained) == _views(record_of(list(messages_for(patient, STARTED_AT))))
    kinds = {type(f) for f in facts_of(patient)}
    assert {EncounterEvent, Observation} <= kinds


@pytest.mark.shared
def test_training_reads_what_the_replay_sends_of_real_patients(shared: Path) -> None:
    for patient, _ in zip(load(shared / "data" / "physionet2019"), range(20), strict=False):
        trained = PatientRecord()
        trained.fold_facts(facts_of(patient))
        sent = record_of(list(messages_for(patient, STARTED_AT)))
        assert _views(trained) == _views(sent)
        assert sent.clock == STARTED_AT + length_s(patient)
