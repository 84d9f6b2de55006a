"""The back-test raises what the worker raises; its figures fit stays worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors.clock import iso
from connectors.contract import ENDED, Alert, LogPosition, Severity
from connectors.facts import FactRecord, Tick
from models.patient import Patient
from streams.backtest.columns import WINDOW_S, Scores
from streams.backtest.measure import by_part, differences, measure
from streams.backtest.page import page
from streams.backtest.report import Options, compare, curve
from streams.backtest.simulate import Question, Raised, simulate
from streams.backtest.stays import UNKNOWN, Rows, Stays, from_predictions
from streams.engine import Engine
from streams.errors import UserError
from streams.policy.document import read
from streams.policy.rules import Rulebook
from streams.state import PatientState
from tests.unit.streams.timeline import (
    MINUTE,
    RULE,
    START,
    HeartRateRisk,
    admitted,
    discharged,
    heart_rate,
)

QUESTION = Question("test", RULE, HeartRateRisk.expires_s)
POLICIES = (
    "",
    "risks: {test: {confirm: {scores: 2, of: 3}}}",
    "risks: {test: {confirm: {lasting: 10m}, refractory: 30m}}",
    "escalation: [{steps: [{after: 7m, to: a}, {after: 20m, to: b}]}]",
    "risks: {test: {fire: 0.5, clear: 0.2, critical: 0.8}}\n"
    "escalation: [{severities: [critical], steps: [{after: 5m, to: a}]}]",
    "quiet_hours: [{name: q, from: 22:20, until: 22:50, time_zone: UTC}]",
    "silences: [{name: s, match: {ward: W1}, from: 2023-11-14T22:20Z, until: 2023-11-14T22:40Z}]",
    "stage: shadow",
)


def live(points: list[tuple[int, float]], policy: str) -> list[Alert]:
    """A worker, a message for each value as it is measured, and a tick whenever one is due."""
    engine, book = Engine([HeartRateRisk()]), Rulebook(read(policy), "p")
    states = {"p-1": PatientState(Patient("p-1"))}
    log = LogPosition(topic="t", partition=0, offset=0)
    told: list[Alert] = []
    due: float | None = None

    def apply(record: FactRecord, expired: tuple[str, ...] = ()) -> float | None:
        effects = engine.apply(states, record, log, expired, book=book)
        told.extend(effects.alerts)
        return effects.due["p-1"]

    first, last = points[0][0], points[-1][0]
    happens = [(first, admitted(first)), *((m, heart_rate(m, value)) for m, value in points)]
    happens.append((last, discharged(last + 0.001)))
    for minute, message in happens:
        at = START + minute * MINUTE
        while due is not None and due < at:
            due = apply(FactRecord(tick=Tick(at=due)), ("p-1",))
        due = apply(FactRecord(messages=[replace(message, heard=at)]))
    return told


def stays_of(points: list[tuple[int, float]]) -> Stays:
    rows = Rows()
    for minute, value in points:
        micro = round(1e6 / (1.0 + math.exp(-(value - 100.0) / 10.0)))
        rows.add("p-1", START + minute * MINUTE, micro)
    rows.wards["p-1"] = "W1"
    return rows.to_stays(absolute=True)


trajectories = st.lists(
    st.tuples(st.integers(0, 150), st.sampled_from([85.0, 97.0, 104.0, 107.0, 112.0, 125.0])),
    min_size=2,
    max_size=25,
    unique_by=lambda p: p[0],
).map(sorted)


@settings(max_examples=200, deadline=None)
@example([(0, 125.0), (5, 97.0)], POLICIES[4])
@example([(0, 107.0), (27, 97.0)], POLICIES[3])
@given(trajectories, st.sampled_from(POLICIES))
def test_it_raises_what_a_worker_raises(points: list[tuple[int, float]], policy: str) -> None:
    """How many, how severe, how many calls, and how each ends; nobody acknowledges."""
    told = live(points, policy)
    calls = [a for a in told if a.calls and a.state not in ENDED]
    raised = simulate(stays_of(points), QUESTION, Rulebook(read(policy), "p"))
    alerts = list(dict.fromkeys(a.alert_id for a in calls))
    assert [one.calls for one in raised] == [
        sum(a.alert_id == name for a in calls) for name in alerts
    ]
    assert [one.severity for one in raised] == [
        max((a.severity for a in calls if a.alert_id == name), key=lambda s: s == "critical")
        for name in alerts
    ]
    ends = {a.alert_id: a.reason for a in told if a.state in ENDED}
    for one, name in zip(raised, alerts, strict=True):
        assert one.reason == ends[name]


# ── figures ─────────────────────────────────────────────────────────────────────────────────────


def four_stays() -> Stays:
    """Two events, one foreseen six hours before; two stays without, one with an alert."""
    hours = np.arange(11) * 3_600.0
    high = np.where(np.arange(11) >= 4, 700_000, 100_000)
    low = np.full(11, 100_000)
    return Stays(
        patients=["a", "b", "c", "c"],
        bounds=np.arange(5, dtype=np.int64) * 11,
        times=np.tile(hours, 4),
        micros=np.concatenate([high, low, high, low]).astype(np.int32),
        wards=["W1", "W1", "W2", "W2"],
        labels=np.array([1, 1, 0, 0], dtype=np.int8),
        events=np.array([10 * 3_600.0, 10 * 3_600.0, np.nan, np.nan]),
        subgroups={"sex": ["F", "M", "F", "F"]},
    )


HOURLY = Question("test", RULE, 24 * 3_600.0)


def test_the_figures_of_four_stays() -> None:
    stays = four_stays()
    raised = simulate(stays, HOURLY, Rulebook())
    assert [(r.stay, r.at / 3_600.0, r.calls, r.reason) for r in raised] == [
        (0, 4.0, 1, "discharged"),
        (2, 4.0, 1, "discharged"),
    ]
    found = measure(stays, raised, draws=200)
    assert (found["stays"], found["patients"], found["events"]) == (4, 3, 2)
    assert found["patient_days"] == round(40 / 24, 2)
    assert found["alerts_per_patient_day"]["value"] == round(2 / (40 / 24), 6)
    assert found["ppv"]["value"] == 0.5
    assert found["sensitivity"]["value"] == 0.5
    assert found["specificity"]["value"] == 0.5
    assert found["lead_time_h"]["median"] == 6.0
    assert found["calls_per_nurse_and_hour"]["value"] == round(2 / (40 / 5), 6)
    assert 0.0 <= found["ppv"]["low"] <= 0.5 <= found["ppv"]["high"] <= 1.0


def test_an_alert_long_before_the_horizon_is_not_right() -> None:
    stays = four_stays()
    raised = simulate(stays, HOURLY, Rulebook())
    assert measure(stays, raised, horizon_s=5 * 3_600.0, draws=0)["ppv"]["value"] == 0.0
    assert measure(stays, raised, horizon_s=6 * 3_600.0, draws=0)["ppv"]["value"] == 0.5


def test_stays_whose_end_is_not_known_are_load_and_neither_right_nor_wrong() -> None:
    stays = four_stays()
    stays.labels[:] = UNKNOWN
    found = measure(stays, simulate(stays, HOURLY, Rulebook()), draws=10)
    assert (found["alerts"], found["ppv"], found["sensitivity"]) == (2, None, None)


def test_parts_and_differences() -> None:
    stays = four_stays()
    raised = simulate(stays, HOURLY, Rulebook())
    parts = by_part(stays, raised, draws=10)
    assert set(parts) == {"ward", "sex", "severity"}
    assert parts["ward"]["W2"]["ppv"]["value"] == 0.0
    assert parts["sex"]["M"]["alerts"] == 0
    assert parts["severity"]["critical"]["alerts"] == 0
    none = simulate(stays, HOURLY, Rulebook(read("risks: {test: {fire: 0.8}}")))
    gone = differences(stays, raised, none)
    assert [(p["patient"], p["event"]) for p in gone["no_longer"]] == [("a", True), ("c", False)]
    assert differences(stays, none, raised)["newly"] == gone["no_longer"]


def test_higher_thresholds_never_raise_more_alerts_for_monotone_risks() -> None:
    points = curve(four_stays(), HOURLY, Rulebook(), Options())
    loads = [p["alerts_per_patient_day"] for p in points]
    assert loads == sorted(loads, reverse=True)
    assert points[0]["sensitivity"] == 1.0


def test_the_report_is_json_and_a_page_that_loads_nothing() -> None:
    after = Rulebook(read("risks: {test: {fire: 0.8}}"), "<b>trial</b>")
    found = compare(four_stays(), HOURLY, Rulebook(), after, Options(draws=20))
    assert json.loads(json.dumps(found)) == found
    text = page(found)
    assert "&lt;b&gt;trial" in text
    assert "<b>trial" not in text
    assert "http" not in text
    assert "No longer alerted (2)" in text


def test_resampling_is_by_patient() -> None:
    """One patient with all the alerts: whether that one is drawn is all the uncertainty."""
    stays = four_stays()
    raised = [Raised(2, 4.0, Severity.WARNING, 1, 5.0, "") for _ in range(50)]
    found = measure(stays, raised, draws=500)
    assert found["alerts_per_patient_day"]["low"] == 0.0


# ── predictions ─────────────────────────────────────────────────────────────────────────────────


def test_predictions_over_time(tmp_path: Path) -> None:
    file = tmp_path / "predictions.csv"
    file.write_text(
        "id,as_of,probability,log_odds,abstained,label,sex\n"
        "1,2,0.5,0,,1,F\n1,1,0.2,-1,,0,F\n1,3,,,too_little_data,1,F\n2,1,0.3,-1,,0,M\n"
    )
    stays = from_predictions(file)
    assert stays.patients == ["1", "2"]
    assert stays.times.tolist() == [3_600.0, 7_200.0, 10_800.0, 3_600.0]
    assert stays.micros.tolist() == [200_000, 500_000, -1, 300_000]
    assert stays.labels.tolist() == [1, 0]
    assert stays.subgroups == {"sex": ["F", "M"]}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "lacks as_of, id, probability"),
        ("id,as_of\n", "lacks probability"),
        ("id,as_of,probability\n", "holds no predictions"),
        ("id,as_of,probability\n1,x,0.5\n", "line 2 cannot be read"),
        ("id,as_of,probability\n1,1,1.5\n", "a probability above 1"),
        ("id,as_of,probability\n1,inf,0.5\n", "a time that is none"),
    ],
)
def test_what_is_no_table_of_predictions_is_refused(text: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "predictions.csv"
    file.write_text(text)
    with pytest.raises(UserError, match=why):
        from_predictions(file)


# ── scores as they were told ────────────────────────────────────────────────────────────────────


def told(hour: float, probability: float | None, **said: object) -> bytes:
    made = {
        "patient": "p-1",
        "risk": "test",
        "as_of": iso(START + hour * 3_600.0),
        "probability": probability,
        "ward": "W1",
        **said,
    }
    return json.dumps(made).encode()


def test_scores_as_they_were_told_become_stays() -> None:
    """In any order; the last of one time counts; after a long pause it is another stay."""
    raw = [
        told(0, 0.1),
        told(1, 0.2),
        told(1, 0.3),
        told(0.5, None),
        told(1.5, 0.9, shadow=True),  # a model on trial
        told(1.6, 0.9, risk="other"),
        b"rubbish",
        told(30, 0.4, ward="W2"),
    ]
    scores = Scores()
    scores.extend(raw)
    stays = scores.stays("test", {"p-1": 1})
    assert stays.patients == ["p-1", "p-1"]
    assert stays.wards == ["W1", "W2"]
    assert stays.micros.tolist() == [100_000, -1, 300_000, 400_000]
    assert (stays.absolute, stays.labels.tolist()) == (True, [1, 1])
    assert stays.watched_s().tolist() == [3_600.0, 0.0]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60)), max_size=60), st.integers(0, 60))
def test_scores_read_in_pieces_are_those_read_at_once(
    points: list[tuple[int, int]], cut: int
) -> None:
    """However often somebody looks in between."""
    raw = [told(hour, i / 100, patient=f"p-{who}") for i, (who, hour) in enumerate(points)]
    whole, pieces = Scores(), Scores()
    whole.extend(raw)
    pieces.extend(raw[:cut])
    pieces.stays("test", {})
    pieces.extend(raw[cut:])
    one, other = whole.stays("test", {}), pieces.stays("test", {})
    assert (one.patients, one.wards) == (other.patients, other.wards)
    for name in ("bounds", "times", "micros"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()


def test_what_is_older_than_a_year_is_forgotten() -> None:
    """With the stays that have nothing left; who is still there keeps the number of the stay."""
    year_h = WINDOW_S / 3_600
    scores = Scores()
    scores.extend([told(0, 0.1, patient="p-old"), told(0, 0.1), told(1, 0.2)])
    assert scores.stays("test", {}).patients == ["p-old", "p-1"]
    scores.extend([told(year_h + h, 0.5, patient="p-new") for h in (0.5, 1)])
    scores.extend([told(2, 0.3)])
    stays = scores.stays("test", {})
    assert stays.patients == ["p-1", "p-new"]
    assert stays.micros.tolist() == [200_000, 300_000, 500_000, 500_000]
