"""A policy whose alert rate leaves its band is taken back; a ward called too often is said."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors import contract, topics
from connectors.contract import Alert, AlertReason, AlertState
from connectors.metrics import CATALOGUE
from models.risk import AlertRule
from streams.errors import UserError
from streams.guard.process import Guard
from streams.guard.watch import CHANCE, Watch, at_least, at_most
from streams.policy.desk import PolicyDesk
from streams.policy.document import read
from tests.acceptance.console.fake_hospital import FakeHospital
from tests.unit.journal import MemoryJournal

RISK = "deterioration"
SHIPPED = [(RISK, AlertRule(fire=0.5, clear=0.4, critical=0.8, version="shipped"))]
BAND = f"expected: [{{risk: {RISK}, per_patient_day: [0.2, 1.0], over: 6h}}]\n"
BUDGET = "budget: [{name: W1, wards: [W1], calls_per_hour: 3}]\n"
HOUR = 3_600.0
START = 1_800_000_000.0


def alert(number: int, version: str = "1-a", ward: str = "W1", **said: object) -> Alert:
    hospital = FakeHospital(1)
    made = hospital.alert(next(iter(hospital.scores)))
    threshold = contract.Threshold(value=0.4, version=version)
    return replace(
        made, alert_id=f"a-{number}", threshold=threshold, ward=ward, called=1, calls=True, **said
    )


def watched(hours: float, alerts: int, patients: int, text: str = BAND) -> Watch:
    """A look each minute; the alerts spread over the time."""
    watch = Watch(read(text), "1-a", START)
    looks = int(hours * 60)
    told = 0
    for look in range(1, looks + 1):
        at = START + look * 60.0
        while told < alerts * look // looks:
            told += 1
            watch.take(alert(told), at)
        watch.look(at, {"W1": patients})
        if watch.verdict():
            break
    return watch


def test_a_rate_within_the_band_is_left_alone() -> None:
    assert watched(24, alerts=12, patients=20).verdict() == ""  # 0.6 a patient-day


def test_too_many_alerts_are_noticed_long_before_the_window_is_full() -> None:
    watch = watched(24, alerts=480, patients=20)
    assert watch.verdict().startswith("too many: ")
    watch = watched(1.0, alerts=20, patients=20)
    assert "expected were 0.2 to 1 a patient-day" in watch.verdict()


def test_too_few_are_noticed_when_the_window_is_full() -> None:
    assert watched(5.9, alerts=0, patients=300).verdict() == ""
    assert watched(6.1, alerts=0, patients=300).verdict().startswith("too few: 0 alerts")


def test_a_handful_of_patients_is_no_reason() -> None:
    assert watched(12, alerts=2, patients=1).verdict() == ""
    assert watched(12, alerts=0, patients=3).verdict() == ""


def test_time_that_nobody_watched_does_not_count() -> None:
    watch = Watch(read(BAND), "1-a", START)
    watch.look(START + 60, {"W1": 300})
    watch.look(START + 7 * HOUR, {"W1": 300})  # it was away
    assert watch.verdict() == ""


@pytest.mark.parametrize(
    "other",
    [
        alert(1, version="0-z"),
        alert(1, ward="W9"),
        alert(1, state=AlertState.RESOLVED),
        replace(alert(1), calls=False),
    ],
)
def test_what_is_not_a_new_alert_of_this_policy_does_not_count(other: Alert) -> None:
    watch = Watch(read(BAND.replace("per_", "wards: [W1], per_")), "1-a", START)
    for number in range(100):
        watch.take(replace(other, alert_id=f"a-{number}"), START + 60)
    watch.look(START + 61, {"W1": 10})
    assert watch.verdict() == ""


def test_one_alert_counts_once_however_often_it_calls() -> None:
    watch = Watch(read(BAND), "1-a", START)
    for revision in range(1, 100):
        watch.take(replace(alert(1), revision=revision, called=revision), START + 60)
    watch.look(START + 61, {"W1": 10})
    assert watch.verdict() == ""


def test_on_trial_what_would_have_called_counts() -> None:
    watch = Watch(read(BAND), "1-a", START)
    for number in range(100):
        held = replace(alert(number), calls=False, called=0, state=AlertState.PENDING)
        watch.take(replace(held, reason=AlertReason.SHADOW), START + 60)
    watch.look(START + 61, {"W1": 10})
    assert watch.verdict().startswith("too many")


def test_what_joined_the_call_for_another_risk_counts_as_an_alert_and_not_as_a_call() -> None:
    watch = Watch(read(BAND + BUDGET), "1-a", START)
    for number in range(100):
        joined = replace(alert(number), calls=False, joined="other", reason=AlertReason.JOINED)
        watch.take(joined, START + 60)
    watch.look(START + 61, {"W1": 10})
    assert watch.verdict().startswith("too many: 100 alerts")
    assert [spent.calls for spent in watch.spent()] == [0]


@given(st.integers(0, 60), st.floats(0.01, 40.0))
def test_the_tails_are_those_of_a_poisson_count(count: int, mean: float) -> None:
    terms = [math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(400)]
    assert at_most(count, mean) == pytest.approx(math.fsum(terms[: count + 1]), rel=1e-9)
    assert at_least(count, mean) == pytest.approx(math.fsum(terms[count:]), rel=1e-9, abs=1e-12)
    assert CHANCE < 1e-3


# ── the process ─────────────────────────────────────────────────────────────────────────────────


class Clock:
    """Says what it is told to."""

    now = START

    def __call__(self) -> float:
        return self.now


def guard_over(text: str) -> tuple[Guard, PolicyDesk, MemoryJournal, Clock, str]:
    journal, clock = MemoryJournal(), Clock()
    desk = PolicyDesk(journal, SHIPPED, clock, two_person=False)
    name = desk.propose(text, who="ann", reason="x").name
    desk.approve(name, who="bob")
    desk.activate(name, who="ann")
    guard = Guard(desk, journal, clock)
    guard.look({"W1": 10})
    return guard, desk, journal, clock, name


def told(guard: Guard, clock: Clock, alerts: list[Alert], patients: int = 10) -> str:
    clock.now += 60.0
    guard.take((clock.now, contract.encode(one)) for one in alerts)
    return guard.look({"W1": patients})


def test_the_roll_out_is_halted_and_says_why() -> None:
    guard, desk, _, clock, name = guard_over(BAND)
    said = told(guard, clock, [alert(n, version=name) for n in range(20)])
    assert said.startswith("too many: 20 alerts of deterioration")
    assert desk.in_force()[0] == ""
    step = desk.history().versions[name].events[-1]
    assert (step.who, step.reason) == ("tocsin guard", f"halted, {said}")
    assert told(guard, clock, [alert(n, version=name) for n in range(20, 40)]) == ""


def test_a_version_that_somebody_else_has_replaced_meanwhile_is_left_alone() -> None:
    guard, desk, _, clock, name = guard_over(BAND)
    other = desk.propose("risks: {}", who="ann", reason="y").name
    desk.approve(other, who="bob")
    with pytest.raises(UserError, match="is in force by now"):
        desk.roll_back(who="x", reason="y", version=other)
    desk.activate(other, who="ann")
    assert told(guard, clock, [alert(n, version=name) for n in range(20)]) == ""
    assert desk.in_force()[0] == other


def test_a_budget_is_told_when_it_is_exceeded_and_when_it_is_kept_again() -> None:
    guard, _, journal, clock, name = guard_over(BUDGET)
    told(guard, clock, [alert(n, version=name) for n in range(4)])
    told(guard, clock, [])
    clock.now += HOUR
    told(guard, clock, [])
    records = [json.loads(r.value) for r in journal.records[topics.AUDIT, 0]]
    budget = [(r["event"], r["calls"]) for r in records if "budget" in r]
    assert budget == [("alert_budget_exceeded", 4), ("alert_budget_kept", 0)]


def test_rubbish_on_the_topic_is_passed_over() -> None:
    guard, *_ = guard_over(BAND)
    guard.take([(START, b"rubbish")])


def test_its_metrics_are_in_the_catalogue() -> None:
    assert {"tocsin_guard_halts", "tocsin_alert_budget_used"} <= {m.name for m in CATALOGUE}
