"""MIMIC-III: what is read from the tables, and the messages that come of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.cohorts.mimic3 import Cohort, load
from connectors.cohorts.physionet2012 import CohortError
from connectors.facts import MessageFacts
from connectors.hl7.interpret import Profile, interpret
from connectors.identity import IdentityKey
from connectors.replay.mimic3 import messages_for
from connectors.replay.run import CohortName, plan
from connectors.replay.timed import Timed, message_type
from models.record import PatientRecord, Presence
from tests.unit.replay.folders import mimic

NOW = 1_767_268_800.0  # 2026-01-01 12:00:00 UTC


@pytest.fixture(params=[(False, False), (True, True)], ids=["csv", "CSV.gz"])
def cohort(request: pytest.FixtureRequest, tmp_path: Path) -> Cohort:
    upper, zipped = request.param
    return load(mimic(tmp_path, upper=upper, zipped=zipped))


def record_of(messages: list[Timed]) -> PatientRecord:
    """What the fold makes of messages."""
    record, key = PatientRecord(), IdentityKey(bytes(32))
    for message in messages:
        read = interpret(message.raw, NOW, key, Profile())
        assert read.outcome == "facts" and not read.issues
        record.fold(
            MessageFacts(
                patient=read.pseudonym, sent=read.sent, heard=NOW, wire="", facts=read.facts
            )
        )
    return record


def test_rows_are_mapped_to_loinc_and_ucum(cohort: Cohort) -> None:
    """Both systems' item ids; fractions become percent; float noise is rounded away."""
    charted = {(c.code, c.value, c.unit) for c in cohort.patients[0].charted}
    assert charted == {
        ("8867-4", 88.0, "/min"),
        ("8867-4", 880.0, "/min"),
        ("8310-5", 98.4, "[degF]"),
        ("3150-6", 40.0, "%"),
        ("20124-4", "mechanical ventilation", ""),
        ("9187-6", 60.0, "mL"),
    }
    results = {(r.code, r.comparator, r.value, r.unit) for r in cohort.patients[0].resulted}
    assert results == {
        ("2160-0", "", 1.6, "mg/dL"),
        ("777-3", "", 210.0, "10*3/uL"),
        ("6598-7", "<", 0.01, "ng/mL"),
        ("50800", "", "ART", ""),
    }


def test_what_is_not_taken_is_counted_by_reason(cohort: Cohort) -> None:
    """No row disappears without a reason."""
    assert cohort.skipped == {
        "chart item not mapped": 1,
        "chart row without a value or time": 1,
        "output that is not urine": 1,
        "laboratory row without a value or time": 1,
    }


def test_the_coma_score_needs_all_three_components(cohort: Cohort) -> None:
    """MetaVision charts no total: it is given where eye, verbal and motor share a time."""
    totals = [(c.time, c.value) for c in cohort.patients[1].charted if c.code == "9269-2"]
    eleven = next(c.time for c in cohort.patients[1].charted if c.code == "8867-4")
    assert totals == [(eleven, 15.0)]


def test_ages_above_89_are_read_as_90(cohort: Cohort) -> None:
    """Their birth date lies 300 years back."""
    assert [p.age for p in cohort.patients] == [70.0, 90.0]


def test_the_stay_is_announced_as_it_went(cohort: Cohort) -> None:
    """Emergency room, admission, transfer, death; results in between, in order of time."""
    patient = cohort.patients[0]
    sent = list(messages_for(patient, NOW - patient.span()[1]))
    assert [m.time for m in sent] == sorted(m.time for m in sent)
    kinds = [message_type(m.raw) for m in sent]
    assert [k for k in kinds if k != "ORU^R01"] == ["ADT^A04", "ADT^A01", "ADT^A02", "ADT^A03"]
    assert kinds.index("ADT^A04") == 1  # after the outpatient result
    assert b"\rPV1|1|I|WARD45|" in sent[kinds.index("ADT^A02")].raw
    assert b"\rPV1" not in sent[0].raw
    record = record_of(sent)
    assert record.presence(NOW) is Presence.DIED
    admitted = next(m.time for m in sent if message_type(m.raw) == "ADT^A01")
    assert record.age(admitted) == 70


def test_one_message_for_each_charting_and_specimen(cohort: Cohort) -> None:
    """Equal times of charting share a message; chemistry and haematology are two orders."""
    patient = cohort.patients[0]
    sent = [m for m in messages_for(patient, 0.0) if message_type(m.raw) == "ORU^R01"]
    assert [m.raw.count(b"\rOBX|") for m in sent] == [1, 4, 2, 1, 1, 1, 1]
    assert b"OBX|2|SN|6598-7^Troponin T^LN||<^0.01|ng/mL^ng/mL^UCUM|" in sent[2].raw
    assert b"OBX|1|NM|2160-0^Creatinine^LN||1.6|mg/dL^mg/dL^UCUM||A|||F\r" in sent[2].raw
    assert b"|50800^SPECIMEN TYPE^99MIMIC3||ART|" in sent[0].raw


def test_a_value_found_wrong_is_sent_and_taken_back(cohort: Cohort) -> None:
    """It is in the record until its deletion arrives, at the time of its storing."""
    patient = cohort.patients[0]
    sent = list(messages_for(patient, NOW - patient.span()[1]))
    gone = next(n for n, m in enumerate(sent) if b"|D\r" in m.raw)
    wrong = next(n for n, m in enumerate(sent) if b"||880|" in m.raw)
    assert sent[gone].time - sent[wrong].time == 20 * 60
    assert 880.0 in [o.value for o in record_of(sent[:gone]).series("8867-4")]
    assert [o.value for o in record_of(sent).series("8867-4")] == [88.0]


def test_intervals_within_a_patient_are_kept(tmp_path: Path) -> None:
    """Patients are moved as a whole: one ends just before now, the other a stagger earlier."""
    replay = plan(CohortName.MIMIC3, mimic(tmp_path), NOW, stagger=600.0)
    times: dict[str, list[float]] = {}
    for message in replay.messages:
        times.setdefault(message.key, []).append(message.time)
    assert times["20"][-1] - times["10"][-1] == 600.0
    assert times["20"][-1] < NOW
    spans = {str(p.subject_id): p.span() for p in load(tmp_path).patients}
    assert {k: t[-1] - t[0] for k, t in times.items()} == {k: b - a for k, (a, b) in spans.items()}


@pytest.mark.parametrize("table", ["chartevents", "d_labitems"])
def test_a_missing_table_is_named(tmp_path: Path, table: str) -> None:
    """One sentence that says which file is expected."""
    (mimic(tmp_path) / f"{table}.csv").unlink()
    with pytest.raises(CohortError, match=table):
        load(tmp_path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """Another set's file of the same name is not taken for MIMIC's."""
    (mimic(tmp_path) / "labevents.csv").write_text("subject_id,itemid\n1,2\n")
    with pytest.raises(CohortError, match=r"labevents\.csv has no column charttime"):
        load(tmp_path)


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    """A half-finished download is not a smaller data set."""
    file = mimic(tmp_path) / "labevents.csv"
    file.write_text(file.read_text().rstrip()[:-20])
    with pytest.raises(CohortError, match="cut off"):
        load(tmp_path)


@pytest.mark.shared
def test_the_demo_is_read_whole(shared: Path) -> None:
    """All 100 patients, each with at least one vital sign or result; counts of MIMIC-III 1.4."""
    cohort = load(shared / "data" / "mimic3_demo")
    assert len(cohort.patients) == 100
    assert all(p.charted or p.resulted for p in cohort.patients)
    movements = [m.event for p in cohort.patients for m in p.movements]
    assert {e: movements.count(e) for e in sorted(set(movements))} == {
        "A01": 129,
        "A02": 266,
        "A03": 129,
        "A04": 91,
    }
    assert sum(len(p.resulted) for p in cohort.patients) == 76_070
    assert sum(len(p.charted) for p in cohort.patients) == 128_229
    assert sum(m.died_at is not None for p in cohort.patients for m in p.movements) == 40


@pytest.mark.shared
def test_every_message_of_the_demo_is_understood(shared: Path) -> None:
    """Three real patients: facts from every message, and nothing refused."""
    replay = plan(CohortName.MIMIC3, shared / "data" / "mimic3_demo", NOW, patients=3)
    key = IdentityKey(bytes(32))
    count = 0
    for message in replay.messages:
        read = interpret(message.raw, NOW, key, Profile())
        assert read.outcome == "facts" and not read.issues
        count += 1
    assert count > 300
