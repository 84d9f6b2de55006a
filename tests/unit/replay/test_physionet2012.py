"""PhysioNet 2012 as HL7: what is sent, when, and what Tocsin makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.cohorts.physionet2012 import CohortPatient, load
from connectors.replay.physionet2012 import LENGTH_S, messages_for
from connectors.replay.run import MARGIN_S, CohortName, plan
from connectors.replay.timed import Timed, message_type
from models.record import PatientRecord, Presence
from tests.unit.replay import reading
from tests.unit.replay.folders import physionet_long, physionet_original

START = 1_767_268_800.0  # 2026-01-01 12:00:00 UTC

GOLDEN = b"""\
MSH|^~\\&|REPLAY|PHYSIONET2012|TOCSIN||20260101130700+0000||ORU^R01^ORU_R01|P132539.5|P|2.5.1||||||UNICODE UTF-8
PID|1||132539^^^PHYSIONET2012^MR||Novak^Emma||1972|F
PV1|1|I|SICU||||||||||||||||132539^^^PHYSIONET2012^VN|||||||||||||||||||||||||20260101120000+0000
OBR|1||132539-G67^PHYSIONET2012|24336-0^Gas panel - Arterial blood^LN|||20260101130700+0000|||||||||||||||20260101130700+0000|||F
OBX|1|NM|2744-1^Arterial pH^LN||7.31|[pH]^[pH]^UCUM|||||F
""".replace(b"\n", b"\r")  # noqa: E501 - messages are what they are


@pytest.fixture(params=[physionet_long, physionet_original], ids=["long", "original"])
def patient(request: pytest.FixtureRequest, tmp_path: Path) -> CohortPatient:
    write: Callable[[Path], Path] = request.param
    return next(load(write(tmp_path)))


def record_of(messages: list[Timed]) -> PatientRecord:
    return reading.record_of(messages, START + 3 * LENGTH_S)


def test_each_charting_and_each_order_is_one_message(patient: CohortPatient) -> None:
    """One ORU for each bedside time and each laboratory order, at start plus the minutes."""
    sent = list(messages_for(patient, START))
    assert [(message_type(m.raw), (m.time - START) / 60) for m in sent] == [
        ("ADT^A01", 0),
        ("ORU^R01", 0),  # weight
        ("ORU^R01", 7),
        ("ORU^R01", 67),  # chemistry
        ("ORU^R01", 67),  # blood gas
        ("ORU^R01", 67),  # vital signs
        ("ORU^R01", 2880),
        ("ADT^A08", 2880),
    ]
    assert sent[4].raw == GOLDEN


def test_the_record_is_the_cohorts_patient(patient: CohortPatient) -> None:
    """Every value arrives at its time; the patient's clock stands at 48 hours, present."""
    record = record_of(list(messages_for(patient, START)))
    assert record.clock == START + LENGTH_S
    assert record.presence(record.clock) is Presence.PRESENT
    assert record.age(record.clock) == 54
    assert [(o.time - START, o.value) for o in record.series("8867-4")] == [
        (7 * 60, 73),
        (67 * 60, 77),
        (2880 * 60, 80),
    ]
    assert [o.value for o in record.series("2160-0")] == [1.4]
    assert record.series("8302-2") == []  # -1: not known


def test_the_last_message_moves_the_clock_and_no_view(patient: CohortPatient) -> None:
    """The A08 at 48 hours changes nothing that a score rests on."""
    sent = list(messages_for(patient, START))
    before, after = record_of(sent[:-1]), record_of(sent)
    at = START + LENGTH_S
    assert {c: before.series(c) for c in before.codes()} == {
        c: after.series(c) for c in after.codes()
    }
    stays = [(s.start, s.end, s.ward) for s in before.stays()]
    assert [(s.start, s.end, s.ward) for s in after.stays()] == stays
    assert before.age(at) == after.age(at)


@pytest.mark.parametrize(
    ("died", "presence"), [(0, Presence.DISCHARGED), (1, Presence.DIED)], ids=["alive", "dead"]
)
def test_a_discharge_is_sent_only_when_asked_for(
    patient: CohortPatient, died: int, presence: Presence
) -> None:
    """With `discharge`, one A03 after everything else, with the death of those who died."""
    patient = replace(patient, died=died)
    plain = list(messages_for(patient, START))
    asked = list(messages_for(patient, START, discharge=True))
    assert asked[:-1] == plain
    assert message_type(asked[-1].raw) == "ADT^A03"
    assert record_of(asked).presence(asked[-1].time) is presence
    assert record_of(plain).presence(asked[-1].time) is Presence.PRESENT


def test_age_is_right_at_the_start_on_every_day(patient: CohortPatient) -> None:
    """The year of birth gives the data set's age at the admission, whatever the date."""
    for day in range(0, 1000, 7):
        start = START - 86_400.0 * day
        record = record_of(list(messages_for(patient, start))[:1])
        assert record.age(start) == 54


def test_nothing_lies_in_the_future(tmp_path: Path) -> None:
    """A replay ends shortly before now, whatever its form."""
    now = START + 0.7
    replay = plan(CohortName.PHYSIONET2012, physionet_long(tmp_path), now, discharge=True)
    times = [m.time for m in replay.messages]
    assert times == sorted(times)
    assert now - MARGIN_S - 1 <= times[-1] <= now - MARGIN_S
    assert times[-1] - times[0] == LENGTH_S + 1


@pytest.mark.shared
def test_every_value_of_the_real_set_arrives(shared: Path) -> None:
    """Twenty real patients: the record holds exactly the events that the reader gives."""
    for patient, _ in zip(load(shared / "data" / "physionet2012"), range(20), strict=False):
        record = record_of(list(messages_for(patient, START)))
        held = {(o.time, o.code, o.value) for code in record.codes() for o in record.series(code)}
        assert held == {(START + 60.0 * e.minute, e.code, e.value) for e in patient.events}
        assert record.age(START) == patient.age
