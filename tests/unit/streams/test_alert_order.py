"""Every order of arrival, with repetitions and any batching, ends in the same score and alert."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.contract import OPEN, Alert, LogPosition
from connectors.facts import FactRecord, MessageFacts
from models.patient import Patient
from streams.engine import Engine
from streams.policy.document import read
from streams.policy.rules import Rulebook
from streams.state import PatientState
from tests.unit.streams.timeline import (
    ANY_MESSAGE,
    HeartRateRisk,
    admitted,
    discharged,
    heart_rate,
)

LOG = LogPosition(topic="tocsin.facts", partition=0, offset=0)


RULES = (
    "",
    "risks: {test: {confirm: {scores: 2, of: 3}}}",
    "risks: {test: {confirm: {lasting: 30m}, clear: 0.2}}",
    "risks: {test: {refractory: 45m}}",
    "risks: {test: {fire: 0.5, clear: 0.5, wards: {W1: {fire: 0.7, refractory: 10m}}}}",
)


def final(batches: list[list[MessageFacts]], policy: str = "") -> tuple[object, ...]:
    """State, score and open alert after those records."""
    engine = Engine([HeartRateRisk()])
    book = Rulebook(read(policy))
    states = {"p-1": PatientState(Patient("p-1"))}
    alerts: dict[str, object] = {}
    score = None
    for batch in batches:
        effects = engine.apply(states, FactRecord(messages=batch), LOG, book=book)
        score = effects.scores[-1]
        for alert in effects.alerts:
            before = alerts.get(alert.alert_id)
            assert alert.revision == (before.revision + 1 if before else 1)
            alerts[alert.alert_id] = alert
    still = [(a.alert_id, a.since, a.severity, a.state) for a in alerts.values() if a.state in OPEN]
    return states["p-1"].record.digest(), score.log_odds, score.abstained, tuple(still)


SEQUENCES = {
    "rises": [admitted(0), heart_rate(1, 90.0), heart_rate(10, 108.0), heart_rate(20, 99.0)],
    "rises and falls": [heart_rate(1, 110.0), heart_rate(10, 90.0), heart_rate(20, 101.0)],
    "corrected": [
        heart_rate(1, 125.0, order="a"),
        heart_rate(1, 85.0, order="a", status="C", sent=15),
        heart_rate(10, 97.0, order="b"),
        heart_rate(20, 98.0, order="c"),
    ],
    "deleted and issued again": [
        heart_rate(1, 125.0, order="a"),
        heart_rate(1, None, order="a", status="D", sent=5),
        heart_rate(1, 126.0, order="a", sent=9),
        heart_rate(12, 99.0, order="b"),
    ],
    "status only": [
        heart_rate(1, 107.0, order="a", status="P"),
        heart_rate(1, None, order="a", status="U", sent=4),
        heart_rate(1, 50.0, order="a", status="P", sent=6),
        heart_rate(9, 97.0, order="b"),
    ],
    "discharge cancelled": [
        admitted(0),
        heart_rate(5, 130.0),
        discharged(10),
        discharged(10, cancelled=True, sent=12),
        heart_rate(20, 99.0),
    ],
    "admission cancelled": [admitted(0), heart_rate(5, 130.0), admitted(0, cancelled=True, sent=9)],
    "a visit without a number": [
        heart_rate(0, 107.0),
        heart_rate(1, 96.0),
        admitted(1, visit=""),
    ],
    "expired in between": [heart_rate(1, 130.0), heart_rate(90, 99.0), heart_rate(95, 107.0)],
}


@pytest.mark.parametrize("policy", RULES)
@pytest.mark.parametrize("name", SEQUENCES)
def test_every_order_ends_alike(name: str, policy: str) -> None:
    messages = SEQUENCES[name]
    expected = final([[m] for m in messages], policy)
    for order in itertools.permutations(messages):
        repeated = [m for m in order for _ in range(2)]
        assert final([[m] for m in order], policy) == expected
        assert final([[m] for m in repeated], policy) == expected
        assert final([list(order)], policy) == expected


def test_what_the_sequences_end_in() -> None:
    """The orders agree on the right thing, not just on something."""
    still = {name: bool(final([[m] for m in messages])[-1]) for name, messages in SEQUENCES.items()}
    assert still == {
        "rises": True,  # 99 is within the hysteresis
        "rises and falls": False,  # 101 does not fire again
        "corrected": False,
        "deleted and issued again": True,
        "status only": True,  # the late preliminary does not override what became final
        "discharge cancelled": True,
        "admission cancelled": False,
        "a visit without a number": False,  # what came before the admission does not count
        "expired in between": True,  # a new episode, by 107
    }


messages = st.lists(ANY_MESSAGE, min_size=1, max_size=8)


@settings(max_examples=300, deadline=None)
@given(messages, st.integers(0, 2**31), st.integers(1, 4), st.sampled_from(RULES))
def test_any_sequence_any_order_any_batching_any_rule(
    sequence: list[MessageFacts], seed: int, size: int, policy: str
) -> None:
    expected = final([[m] for m in sequence], policy)
    chance = random.Random(seed)
    shuffled = sequence + chance.sample(sequence, len(sequence) // 2)
    chance.shuffle(shuffled)
    batches = [shuffled[i : i + size] for i in range(0, len(shuffled), size)]
    assert final(batches, policy) == expected


@settings(max_examples=200, deadline=None)
@given(messages, st.integers(0, 8), st.sampled_from(RULES), st.sampled_from(RULES))
def test_what_a_policy_changes_does_not_depend_on_what_came_before_it(
    sequence: list[MessageFacts], place: int, before: str, after: str
) -> None:
    """All that is known is judged by the policy in force, whenever it came into force."""
    engine = Engine([HeartRateRisk()])
    states = {"p-1": PatientState(Patient("p-1"))}
    newest: dict[str, Alert] = {}

    def apply(record: FactRecord, policy: str, expired: tuple[str, ...] = ()) -> None:
        book = Rulebook(read(policy))
        for alert in engine.apply(states, record, LOG, expired, book=book).alerts:
            newest[alert.alert_id] = alert

    for message in sequence[:place]:
        apply(FactRecord(messages=[message]), before)
    apply(FactRecord(), after, tuple(states) if place else ())
    for message in sequence[place:]:
        apply(FactRecord(messages=[message]), after)
    still = [(a.alert_id, a.since, a.severity, a.state) for a in newest.values() if a.state in OPEN]
    assert tuple(still) == final([[m] for m in sequence], after)[-1]
