"""Figures of all draws at once agree with the plain ones, and each has an interval."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from models import metrics
from models.clinical_use import decision_curve
from models.grouped_metrics import (
    Band,
    Grouped,
    binned,
    calibration,
    ece_interval,
    group,
    intervals,
    precision_recall,
    roc,
)
from models.hourly_metrics import Hours
from models.resampling import Resamples, wilson


def _hours(patients: int = 60, each: int = 20, ties: bool = True) -> Hours:
    rng = np.random.default_rng(1)
    level = rng.normal(size=patients).repeat(each)
    z = level + rng.normal(size=len(level)) - 1.5
    z = np.round(z, 1) if ties else z
    labels = (rng.random(len(z)) < 1 / (1 + np.exp(-z))).astype(float)
    return Hours(np.arange(patients).repeat(each), labels, z)


def _plain(labels: metrics.Array, scores: metrics.Array) -> dict[str, float]:
    slope, intercept = metrics.calibration_line(labels, scores)
    return {
        "auroc": metrics.auroc(labels, scores),
        "auprc": metrics.auprc(labels, scores),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
    }


def test_every_draw_has_the_figures_of_that_many_copies() -> None:
    hours, resamples = _hours(12, 10), Resamples(12, 5)
    found = group(hours, resamples).figures()
    cohort = np.arange(len(hours.labels))
    drawn = [cohort, *(cohort.repeat(t.astype(int)[hours.patient]) for t in resamples.times)]
    for i, rows in enumerate(drawn):
        expected = _plain(hours.labels[rows], hours.scores[rows])
        assert {k: v[i] for k, v in found.items()} == pytest.approx(expected, abs=1e-5)


def test_grouping_changes_little() -> None:
    hours = _hours(300, 20, ties=False)
    found = group(hours, Resamples(300, 1), 500).figures()
    expected = _plain(hours.labels, hours.scores)
    assert {k: v[0] for k, v in found.items()} == pytest.approx(expected, abs=2e-3)


def test_intervals_hold_the_value() -> None:
    hours = _hours()
    found = intervals(hours, Resamples(60, 200))
    values = _plain(hours.labels, hours.scores)
    values["ece"] = metrics.ece(hours.labels, 1 / (1 + np.exp(-hours.scores)))
    assert found.keys() == values.keys()
    for name, (low, high) in found.items():
        assert low < values[name] < high


@pytest.mark.parametrize("curve", [roc, precision_recall])
def test_bands_hold_the_curve(curve: Callable[[Grouped], Band]) -> None:
    band = curve(group(_hours(), Resamples(60, 200)))
    assert (band.low <= band.y + 1e-9).all()
    assert (band.y <= band.high + 1e-9).all()
    assert (band.high - band.low).mean() > 0.02


def test_bands_are_those_of_patients_not_of_their_hours() -> None:
    hours = _hours()
    # An outcome that a patient's hours share: they tell hardly more than one hour does.
    ill = np.random.default_rng(2).random(60) < 0.4
    hours = hours._replace(labels=ill[hours.patient].astype(float))
    alone = hours._replace(patient=np.arange(len(hours.labels)))
    wide, narrow = (roc(group(h, Resamples(n, 200))) for h, n in ((hours, 60), (alone, 1_200)))
    assert (wide.high - wide.low).mean() > 1.3 * (narrow.high - narrow.low).mean()


def test_the_area_under_the_curve_is_the_figure() -> None:
    rows = group(_hours(), Resamples(60, 1))
    figures, band = rows.figures(), roc(rows)
    assert np.trapezoid(band.y, band.x) == pytest.approx(figures["auroc"][0], abs=2e-3)
    assert precision_recall(rows).y.mean() == pytest.approx(figures["auprc"][0], abs=5e-3)


def test_calibration_has_the_bins_of_the_plain_metric_and_bars_in_each() -> None:
    hours = _hours()
    p = 1 / (1 + np.exp(-hours.scores))
    found = calibration(binned(hours, Resamples(60, 100)))
    plain = metrics.calibration_bins(hours.labels, p)
    assert [(b["predicted"], b["observed"]) for b in found] == [
        pytest.approx((x, y), abs=1e-4) for x, y, _ in plain
    ]
    assert all(b["low"] <= b["observed"] <= b["high"] and b["low"] < b["high"] for b in found)


def test_a_bin_without_events_is_not_certain() -> None:
    hours = Hours(np.arange(20), np.r_[np.zeros(15), np.ones(5)], np.r_[[-3.0] * 10, [1.0] * 10])
    first, second = calibration(binned(hours, Resamples(20, 100), 2))
    low, high = wilson(0.0, 10)
    assert (first["observed"], first["low"]) == (0.0, 0.0)
    assert first["high"] == pytest.approx(high, abs=1e-4)
    assert 0.2 < high < 0.35  # Wilson's upper bound for none of ten is .278
    assert low == 0.0
    assert second["low"] < 0.5 < second["high"]


def test_a_bin_s_certainty_is_that_of_its_patients_not_of_its_hours() -> None:
    hours = Hours(np.arange(4).repeat(50), np.zeros(200), np.zeros(200))
    one = calibration(binned(hours, Resamples(4, 10), 1))[0]
    assert one["high"] == pytest.approx(wilson(0.0, 4)[1], abs=1e-4)


_DEGENERATE = {
    "no rows": Hours(np.zeros(0, np.int64), np.zeros(0), np.zeros(0)),
    "one row": Hours(np.zeros(1, np.int64), np.ones(1), np.zeros(1)),
    "no event": Hours(np.arange(5), np.zeros(5), np.linspace(-2, 1, 5)),
    "events only": Hours(np.arange(5), np.ones(5), np.linspace(-2, 1, 5)),
    "one event": Hours(np.arange(5), np.array([0.0, 1.0, 0.0, 0.0, 0.0]), np.linspace(-2, 1, 5)),
    "one score": Hours(np.arange(5), np.array([0.0, 1.0, 0.0, 1.0, 0.0]), np.zeros(5)),
    "separable": Hours(np.arange(4), np.array([0.0, 0.0, 1.0, 1.0]), np.array([-2.0, -1, 1, 2])),
}


@pytest.mark.parametrize("name", _DEGENERATE)
def test_degenerate_sets_give_what_is_defined(name: str) -> None:
    hours, resamples = _DEGENERATE[name], Resamples(5, 30)
    found = group(hours, resamples).figures()
    assert all(v.shape == (31,) for v in found.values())
    if name in ("no event", "events only", "one row", "no rows"):
        assert np.isnan(found["auroc"]).all()
    if name in ("one score", "separable"):
        assert np.isnan(found["calibration_slope"][0])
    assert ece_interval(binned(hours, resamples))
    assert len(calibration(binned(hours, resamples))) == min(10, len(hours.labels))
    assert decision_curve(hours, resamples)[0]["threshold"] == 0.02


def test_roc_and_precision_need_both_outcomes() -> None:
    rows = group(_DEGENERATE["no event"], Resamples(5, 30))
    assert np.isnan(roc(rows).y).all()
    assert np.isnan(precision_recall(rows).low).all()
    rows = group(_DEGENERATE["one event"], Resamples(5, 30))
    assert np.isfinite(roc(rows).low).all()


def test_net_benefit_is_that_of_vickers_and_elkin_with_its_interval() -> None:
    hours = _hours()
    p = 1 / (1 + np.exp(-hours.scores))
    row = next(r for r in decision_curve(hours, Resamples(60, 100)) if r["threshold"] == 0.2)
    called = p >= 0.2
    hits, false = (called & (hours.labels == 1)).mean(), (called & (hours.labels == 0)).mean()
    assert row["net_benefit"] == pytest.approx(hits - false * 0.25, abs=1e-4)
    share = hours.labels.mean()
    assert row["treat_all"] == pytest.approx(share - 0.25 * (1 - share), abs=1e-4)
    for name in ("net_benefit", "treat_all"):
        low, high = row["intervals"][name]
        assert low < row[name] < high
