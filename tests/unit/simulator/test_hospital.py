"""The simulated hospital's traffic: reproducible, understood, and wrong only where it means to."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, takewhile

import pytest

from connectors.facts import MessageFacts
from connectors.hl7.interpret import Interpretation, Profile, interpret
from connectors.identity import IdentityKey
from connectors.replay.timed import Timed, control_id, message_type
from connectors.simulator.disturb import Rates
from connectors.simulator.hospital import HISTORY_S, Flow, Hospital
from connectors.simulator.run import Run
from models.record import PatientRecord, Presence

START = 1_767_268_800.0
HOUR = 3600.0
CLEAN = Rates(disturbed=0.0, malformed=0.0)


def traffic(hospital: Hospital, hours: float) -> list[Timed]:
    """Everything up to so many hours after the start."""
    return list(takewhile(lambda m: m.time < START + hours * HOUR, hospital.messages()))


def read(message: Timed) -> Interpretation:
    return interpret(message.raw, START + 90 * 86_400, IdentityKey(bytes(32)), Profile())


def records(messages: list[Timed]) -> dict[str, PatientRecord]:
    """What the fold makes of them."""
    found: dict[str, PatientRecord] = {}
    for message in messages:
        r = read(message)
        if r.pseudonym:
            facts = MessageFacts(
                patient=r.pseudonym, sent=r.sent, heard=r.sent, wire="", facts=r.facts
            )
            found.setdefault(r.pseudonym, PatientRecord()).fold(facts)
    return found


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Message by message; another seed gives other ones."""
    first, again = (traffic(Hospital(5, START, 10), 3) for _ in range(2))
    assert first == again and len(first) > 200
    assert traffic(Hospital(6, START, 10), 3) != first


def test_messages_come_in_order_with_a_history() -> None:
    """Up to two days of history lie before the start, and time never goes back."""
    sent = traffic(Hospital(5, START, 20), 6)
    assert all(a.time <= b.time for a, b in pairwise(sent))
    assert START - HISTORY_S <= sent[0].time < START - 24 * HOUR
    present = [r.presence(START) for r in records([m for m in sent if m.time < START]).values()]
    assert present == [Presence.PRESENT] * 20


def test_an_undisturbed_hospital_is_understood_whole() -> None:
    """Facts from every message, nothing refused."""
    sent = traffic(Hospital(2, START, 15, rates=CLEAN), 12)
    for message in sent:
        r = read(message)
        assert r.outcome == "facts" and not r.issues
    kinds = Counter(message_type(m.raw) for m in sent)
    assert kinds["ADT^A01"] >= 15 and kinds["ADT^A04"] and kinds["ADT^A03"] and kinds["ORU^R01"]


def test_over_weeks_every_kind_of_event_occurs() -> None:
    """Transfers, updates, cancelled admissions and discharges, deaths; the census keeps up."""
    flow = Flow(admissions_cancelled=0.3, discharges_cancelled=0.3)
    hospital = Hospital(1, START, 12, rates=CLEAN, flow=flow)
    sent = traffic(hospital, 24 * 20)
    kinds = Counter(message_type(m.raw) for m in sent)
    assert {f"ADT^A{n}" for n in ("01", "02", "03", "04", "08", "11", "13")} <= kinds.keys()
    states = Counter(r.presence(START + 24 * 20 * HOUR) for r in records(sent).values())
    assert states[Presence.DIED] and states[Presence.DISCHARGED] and states[Presence.CANCELLED]
    assert 6 <= hospital.census <= 15


def test_nobody_is_measured_after_leaving() -> None:
    """No charting is made of a patient who was discharged or died (a result may come later)."""
    sent = traffic(Hospital(1, START, 12, rates=CLEAN), 24 * 10)
    left: dict[str, float] = {}
    for message in sent:
        kind = message_type(message.raw)
        if kind == "ADT^A03":
            left[message.key] = message.time
        elif kind == "ADT^A13":
            del left[message.key]
        elif b"|CHART|" in message.raw[:40] and message.key in left:
            assert message.time <= left[message.key] + 90


def test_a_disturbed_feed_ends_in_the_same_record() -> None:
    """Late, doubled, corrected and misfiled reports: what counts in the end is the truth.

    Only deletions take values away. The patients' own random numbers do not depend on what the
    interface does to their reports, so both hospitals hold the same patients.
    """
    plain = traffic(Hospital(4, START, 8, rates=CLEAN), 30)
    noisy = traffic(Hospital(4, START, 8, rates=Rates(disturbed=0.5, malformed=0.02)), 40)
    deleted = sum(m.raw.count(b"|D\r") for m in noisy)
    truth, found = records(plain), records(noisy)
    missing = extra = total = 0
    for patient, record in truth.items():
        for code in record.codes():
            upto = START + 24 * HOUR
            want = Counter((o.time, o.value) for o in record.between(code, 0, upto))
            got = Counter((o.time, o.value) for o in found[patient].between(code, 0, upto))
            total += want.total()
            missing += (want - got).total()
            extra += (got - want).total()
    assert total > 2_000 and deleted > 10
    assert extra == 0
    assert 0 < missing <= deleted


def test_disturbances_occur_at_their_rate() -> None:
    """About two reports in a hundred by default; duplicates are the same bytes again."""
    sent = traffic(Hospital(9, START, 40), 24)
    copies = len(sent) - len({control_id(m.raw) for m in sent})
    reports = sum(message_type(m.raw) == "ORU^R01" for m in sent)
    assert 0.003 < copies / reports < 0.012
    assert len(sent) - len({m.raw for m in sent}) == copies
    statuses = Counter(f for m in sent for f in _statuses(m.raw))
    assert {"F", "P", "C", "D", "W", "U"} <= statuses.keys()
    refused = Counter(r.reason for m in sent if (r := read(m)).outcome == "quarantine" or r.issues)
    assert 0.001 < refused.total() / reports < 0.008


def _statuses(raw: bytes) -> list[str]:
    obx = [s.split(b"|") for s in raw.split(b"\r") if s.startswith(b"OBX")]
    return [fields[11].decode("latin-1") for fields in obx if len(fields) > 11]


def test_some_patients_get_worse_within_the_first_hour() -> None:
    """Somebody is called to a deteriorating patient soon after the start."""
    hospital = Hospital(3, START, 40)
    traffic(hospital, 1.0)
    ill = [
        p
        for p in hospital.present()
        if any(0 <= p.arrived + c.begin * HOUR - START < HOUR for c in p.course.crises)
    ]
    assert len(ill) >= 3


@pytest.mark.parametrize(
    ("speed", "duration", "before"),
    [(60.0, 300.0, 18_000.0), (60.0, None, 60 * 12 * HOUR), (1.0, 10.0, 10.0)],
)
def test_hospital_time_ends_at_the_present(
    speed: float, duration: float | None, before: float
) -> None:
    """A run of known length begins so long ago that it ends now."""
    assert Run(speed=speed, duration=duration).start(START) == START - before


def test_a_hospital_without_patients_is_refused() -> None:
    """There must be somebody to simulate."""
    with pytest.raises(ValueError, match="at least one patient"):
        Hospital(1, START, 0)
