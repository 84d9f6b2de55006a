"""Figures of hourly scores agree with the plain ones; intervals resample patients."""

from __future__ import annotations

import numpy as np
import pytest

from models import metrics
from models.hourly_metrics import Hours, Ranked, auprc, auroc, ranking, slope, utility_estimate
from models.utility import gains


def _hours(patients: int = 60, each: int = 20) -> Hours:
    rng = np.random.default_rng(1)
    level = rng.normal(size=patients).repeat(each)
    z = np.round(level + rng.normal(size=len(level)), 1) - 1.5  # with ties
    labels = (rng.random(len(z)) < 1 / (1 + np.exp(-z))).astype(float)
    return Hours(np.arange(patients).repeat(each), labels, z)


def test_ranking_is_that_of_the_plain_metrics() -> None:
    hours = _hours()
    counts = Ranked(hours).counts(None)
    assert auroc(*counts) == pytest.approx(metrics.auroc(hours.labels, hours.scores))
    assert auprc(*counts) == pytest.approx(metrics.auprc(hours.labels, hours.scores))


def test_a_weight_is_that_many_copies() -> None:
    hours = _hours(8, 10)
    weights = np.array([0, 1, 2, 1, 0, 3, 1, 1])
    rows = np.repeat(np.arange(80), weights[hours.patient])
    counts = Ranked(hours).counts(weights.astype(float))
    assert auroc(*counts) == pytest.approx(metrics.auroc(hours.labels[rows], hours.scores[rows]))


def test_intervals_are_wider_than_those_of_independent_hours() -> None:
    hours = _hours()
    alone = hours._replace(patient=np.arange(len(hours.labels)))
    grouped, single = (ranking(h, h.patient.max() + 1, 200)["auroc"] for h in (hours, alone))
    assert grouped.value == single.value
    assert grouped.high - grouped.low > single.high - single.low
    assert grouped.low < grouped.value < grouped.high


def test_the_slope_is_near_one_for_the_probabilities_that_made_the_labels() -> None:
    found = slope(_hours(300), 300)
    assert found.low < 1 < found.high


def test_utility_has_its_interval() -> None:
    known = [gains([[0] * 12 + [1] * 9])] * 5 + [gains([[0] * 9])] * 5
    alarms = (
        [np.arange(21) >= 6] * 3 + [np.zeros(21, dtype=bool)] * 2 + [np.ones(9, dtype=bool)] * 5
    )
    found = utility_estimate(known, alarms)
    assert found.low < found.value < found.high < 1
