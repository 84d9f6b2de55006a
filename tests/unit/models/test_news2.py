"""NEWS2: the chart's points at every border, what is not known, and the rule's triggers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.cohorts.physionet2012 import load
from connectors.facts import Observation
from models import evaluation, news2
from models.bundle import BundleError, load_bundle, read
from models.ensemble import Scorer
from models.news2 import Chart, effective, total
from models.news2_model import RED_SCORE, News2Model
from models.record import PatientRecord
from models.risk import Assessment
from models.rule import SHIPPED
from models.training.cohort import COHORT, stays
from tests.unit.models.patients import HOUR, START, admission, observation, record

RESPIRATION, SATURATION, PULSE, SYSTOLIC, TEMPERATURE = (
    "9279-1", "2708-6", "8867-4", "8480-6", "8310-5",
)  # fmt: skip
FLOW, FRACTION, GCS, ACVPU, SCALE = "3151-8", "3150-6", "9269-2", "80288-4", "news2-spo2-scale"
_UNITS = {
    RESPIRATION: "/min", SATURATION: "%", PULSE: "/min", SYSTOLIC: "mm[Hg]", TEMPERATURE: "Cel",
    FLOW: "L/min", FRACTION: "%", GCS: "{score}",
}  # fmt: skip
WELL: dict[str, float | str] = {
    RESPIRATION: 16, SATURATION: 98, PULSE: 70, SYSTOLIC: 120, TEMPERATURE: 36.8, GCS: 15, FLOW: 0,
}  # fmt: skip


def _seen(code: str, value: float | str, hour: float = 1.0) -> Observation:
    return observation(code, hour, value, unit=_UNITS.get(code, ""))


def _patient(values: dict[str, float | str]) -> PatientRecord:
    return record([admission(), *(_seen(c, v) for c, v in values.items())])


def _points(values: dict[str, float | str], hour: float = 2.0) -> dict[str, int]:
    return {p.name: p.points for p in Chart().read(_patient(values), START + hour * HOUR)}


@pytest.fixture(scope="module")
def model() -> News2Model:
    """The shipped bundle."""
    return News2Model(read(SHIPPED / "news2", "news2"))


def _answer(model: News2Model, values: dict[str, float | str]) -> Assessment:
    return model.assess([(_patient(values), START + 2 * HOUR)])[0]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (news2.respiration_points, {8: 3, 9: 1, 11: 1, 12: 0, 20: 0, 21: 2, 24: 2, 25: 3}),
        (news2.pressure_points, {90: 3, 91: 2, 100: 2, 101: 1, 110: 1, 111: 0, 219: 0, 220: 3}),
        (
            news2.pulse_points,
            {40: 3, 41: 1, 50: 1, 51: 0, 90: 0, 91: 1, 110: 1, 111: 2, 130: 2, 131: 3},
        ),
        (
            news2.temperature_points,
            {35.0: 3, 35.04: 3, 35.1: 1, 36.0: 1, 36.1: 0, 38.0: 0, 38.1: 1, 39.0: 1, 39.1: 2},
        ),
        (
            lambda v: news2.saturation_points(v, 1, False),
            {91: 3, 92: 2, 93: 2, 94: 1, 95: 1, 96: 0},
        ),
        (lambda v: news2.saturation_points(v, 1, True), {91: 3, 95.4: 1, 95.5: 0, 100: 0}),
        (
            lambda v: news2.saturation_points(v, 2, False),
            {83: 3, 84: 2, 85: 2, 86: 1, 87: 1, 88: 0, 92: 0, 93: 0, 97: 0, 100: 0},
        ),
        (
            lambda v: news2.saturation_points(v, 2, True),
            {83: 3, 85: 2, 87: 1, 88: 0, 92: 0, 93: 1, 94: 1, 95: 2, 96: 2, 97: 3, 100: 3},
        ),
    ],
)
def test_points_change_where_the_chart_changes(
    points: Callable[[float], int], expected: dict[float, int]
) -> None:
    assert {value: points(value) for value in expected} == expected


def test_a_well_patient_has_no_points() -> None:
    assert set(_points(WELL).values()) == {0}


@pytest.mark.parametrize(
    ("change", "points"),
    [
        ({GCS: 14}, 3),
        ({GCS: 15, ACVPU: "V"}, 3),
        ({GCS: 15, ACVPU: "new confusion"}, 3),
        ({ACVPU: "Alert"}, 0),
        ({FLOW: 2}, 2),
        ({FRACTION: 40}, 2),
        ({FRACTION: 21}, 0),
        ({"20124-4": "mechanical ventilation"}, 2),
        ({SATURATION: 90}, 3),
        ({SATURATION: 90, SCALE: "2"}, 0),
        ({SATURATION: 97, SCALE: "2", FLOW: 2}, 5),
        ({SATURATION: 97, SCALE: "1", FLOW: 2}, 2),
    ],
)
def test_oxygen_consciousness_and_scale_come_from_observations(
    change: dict[str, float | str], points: int
) -> None:
    values = {k: v for k, v in WELL.items() if not (k == FLOW and (FRACTION in change))}
    values = {k: v for k, v in values.items() if not (k in (GCS, FLOW) and len(change) == 1)}
    assert sum(_points(values | change).values()) == points


def test_the_newest_value_within_a_day_and_the_stay_counts() -> None:
    patient = record([
        _seen(RESPIRATION, 30, -1.0), admission(), _seen(PULSE, 140, 1.0), _seen(PULSE, 70, 2.0),
        _seen(SYSTOLIC, 80, 2.0),
    ])  # fmt: skip
    chart = {p.name: p for p in Chart().read(patient, START + 3 * HOUR)}
    assert chart["Respiratory rate"].observation is None
    assert (chart["Pulse"].points, chart["Systolic pressure"].points) == (0, 3)
    assert {p.value for p in Chart().read(patient, START + 27 * HOUR)} == {None}


def test_the_later_of_two_pressures_counts() -> None:
    patient = record([admission(), _seen(SYSTOLIC, 120, 1.0), observation("76215-3", 2, 85.0)])
    chart = {p.name: p.points for p in Chart().read(patient, START + 3 * HOUR)}
    assert chart["Systolic pressure"] == 3


def test_what_was_not_observed_is_said(model: News2Model) -> None:
    answer = _answer(model, {PULSE: 70})
    assert answer.log_odds is not None
    assert answer.missing.features == [
        "Respiratory rate", "Oxygen saturation, scale 1", "Supplemental oxygen",
        "Systolic pressure", "Consciousness", "Temperature",
    ]  # fmt: skip
    assert _answer(model, WELL).missing.features == []


@pytest.mark.parametrize(
    ("change", "fires", "critical"),
    [
        ({}, False, False),
        ({PULSE: 120, RESPIRATION: 22}, False, False),  # 4
        ({PULSE: 120, RESPIRATION: 22, SYSTOLIC: 105}, True, False),  # 5
        ({RESPIRATION: 25}, True, False),  # 3 in one parameter
        ({RESPIRATION: 25, PULSE: 120, SYSTOLIC: 105}, True, False),  # 6
        ({RESPIRATION: 25, PULSE: 120, SYSTOLIC: 95}, True, True),  # 7
    ],
)
def test_the_rule_fires_at_the_chart_s_triggers(
    model: News2Model, change: dict[str, float | str], fires: bool, critical: bool
) -> None:
    probability = _answer(model, WELL | change).probability
    assert probability is not None
    assert (probability >= model.rule.fire, probability >= model.rule.critical) == (fires, critical)
    assert fires or probability < model.rule.clear


def test_points_are_the_contributions(model: News2Model) -> None:
    (evidence,) = _answer(model, WELL | {RESPIRATION: 25, PULSE: 100}).evidence
    assert evidence.modality == "news2"
    shown = {c.feature: c.contribution for c in evidence.top}
    slope = shown["Pulse, 1 point"]
    assert slope > 0
    assert shown["Respiratory rate, 3 points"] == pytest.approx(3 * slope, abs=2e-6)
    assert shown[RED_SCORE] == pytest.approx(slope, abs=2e-6)  # 4 points count as 5
    assert round(sum(shown.values()), 6) == evidence.llr


_values = st.dictionaries(
    st.sampled_from([RESPIRATION, SATURATION, PULSE, SYSTOLIC, TEMPERATURE, GCS, FLOW]),
    st.floats(0, 250),
)


@settings(deadline=None, max_examples=100)
@given(values=_values)
def test_a_red_score_and_only_that_raises_the_total(values: dict[str, float]) -> None:
    chart = Chart().read(_patient(dict(values)), START + 2 * HOUR)
    assert 0 <= total(chart) <= 20
    red = any(p.points == 3 for p in chart)
    assert effective(chart) == (max(total(chart), 5) if red else total(chart))


def test_a_bundle_for_another_chart_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = news2.contract() | {"window_s": 3600.0}
    monkeypatch.setattr("models.news2.contract", lambda: changed)
    with pytest.raises(BundleError, match="window"):
        load_bundle(None, "news2")


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_card_s_figure_is_that_of_the_shipped_weights(shared: Path, model: News2Model) -> None:
    """Cross-fitted AUROC at 48 hours on set a, recomputed."""
    cohort = list(stays(load(shared / "data" / "physionet2012", ["a"])))
    figures = evaluation.summary(evaluation.final(cohort, Scorer(model, COHORT)))
    for name in ("scored", "auroc", "calibration_slope"):
        assert figures[name] == model.bundle.about["figures"][name]
