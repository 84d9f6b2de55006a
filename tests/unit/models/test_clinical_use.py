"""What counts as a warning, and what a rule's figures are made of."""

from __future__ import annotations

import numpy as np
import pytest

from models.clinical_use import WARNING_H, at_thresholds, warned_since
from models.resampling import Resamples

_NAN = np.nan


def _on(*spans: tuple[int, int], hours: int = 48) -> np.ndarray:
    found = np.zeros(hours, dtype=bool)
    for first, last in spans:  # hours from 1, both included
        found[first - 1 : last] = True
    return found


@pytest.mark.parametrize(
    ("spans", "end_h", "since"),
    [
        ([(1, 48)], 48, 1),  # never cleared
        ([(1, 30)], 48, _NAN),  # cleared eighteen hours before
        ([(1, 36)], 48, _NAN),  # cleared twelve hours before
        ([(1, 37)], 48, 1),
        ([(1, 5), (44, 48)], 48, 44),  # the first had cleared
        ([(30, 38), (44, 48)], 48, 30),  # both warn: the first counts
        ([(1, 10)], 20, 1),  # what was on before an earlier end
        ([(21, 48)], 20, _NAN),  # began only after it
        ([], 48, _NAN),
    ],
)
def test_an_alarm_warns_if_it_was_on_shortly_before_the_end(
    spans: list[tuple[int, int]], end_h: float, since: float
) -> None:
    assert WARNING_H == 12
    found = warned_since(_on(*spans)[None], np.array([float(end_h)]))
    assert np.array_equal(found, [since], equal_nan=True)


def _cohort() -> tuple[np.ndarray, np.ndarray, list[int | None]]:
    """Two who die on day 4, one warned and one whose alarm cleared; two who live, one alarmed."""
    grid = np.full((4, 48), 0.01)
    grid[0, 40:] = grid[1, :10] = grid[2, 3] = 0.9
    return np.array([1.0, 1.0, 0.0, 0.0]), grid, [4, 4, None, None]


def test_lead_time_counts_the_alarm_that_stood_at_the_end() -> None:
    row = at_thresholds(*_cohort(), clear_at=0.75)[-1]
    assert row["sensitivity"] == 1.0
    assert row["deaths_warned"] == 0.5
    assert row["warned_since_h"] == 41
    assert row["lead_time_h"] == 5 * 24 - 41
    assert row["positive_predictive_value"] == round(2 / 3, 4)
    assert row["alarms_per_patient_day"] == round(3 / 8, 4)


def test_every_figure_of_a_threshold_has_an_interval_that_holds_it() -> None:
    rng = np.random.default_rng(4)
    labels = (rng.random(200) < 0.3).astype(float)
    grid = 1 / (1 + np.exp(-rng.normal(-2 + 1.5 * labels[:, None], 1, (200, 48))))
    days = [int(rng.integers(1, 20)) if y else None for y in labels]
    for row in at_thresholds(labels, grid, days, 0.75, Resamples(200, 200)):
        assert row["intervals"].keys() == row.keys() - {"threshold", "intervals"}
        for name, (low, high) in row["intervals"].items():
            assert low <= row[name] <= high


def test_without_deaths_or_hours_figures_are_not_defined() -> None:
    labels, grid, days = _cohort()
    rows = at_thresholds(0 * labels, grid, days, 0.75, Resamples(4, 20))
    assert rows[0]["sensitivity"] is rows[0]["lead_time_h"] is None
    assert rows[0]["intervals"]["lead_time_h"] == [None, None]
    silent = at_thresholds(labels, grid * np.nan, days, 0.75, Resamples(4, 20))
    assert silent[0]["alarms_per_patient_day"] is silent[0]["positive_predictive_value"] is None
