"""The challenge's utility, against worked examples and a direct reading of its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.utility import best_threshold, gains, patient, utility


def _by_definition(labels: list[int], alarms: list[bool]) -> float:
    """Hour by hour, as the figure of the paper draws it."""
    if not any(labels):
        return sum(-0.05 for alarm in alarms if alarm)
    onset = labels.index(1) + 6
    total = 0.0
    for hour, alarm in enumerate(alarms):
        t = hour - onset
        if t > 3:
            continue
        if alarm:
            total += max(-0.05, t / 6 + 2) if t <= -6 else 1 / 3 - t / 9
        elif t > -6:
            total += -2 * (t + 6) / 9
    return total


def test_a_worked_example_of_the_challenge() -> None:
    """Onset ten hours on; alarms from the third hour to the end are worth 3.3889."""
    labels = [0, 0, 0, 0, 1, 1]
    alarm, silence = patient(labels)
    on = np.array([False, False, True, True, True, True])
    assert np.where(on, alarm, silence).sum() == pytest.approx(3.388888888888889)


_patients = st.lists(
    st.tuples(st.integers(1, 40), st.integers(0, 60), st.randoms(use_true_random=False)),
    min_size=1,
    max_size=6,
)


@given(_patients)
def test_it_is_what_the_definition_says(made: list[tuple[int, int, object]]) -> None:
    cohort = [[int(hour >= first) for hour in range(n)] for n, first, _ in made]
    alarms = [[r.random() < 0.5 for _ in range(n)] for n, _, r in made]  # type: ignore[attr-defined]
    none = [[False] * n for n, _, _ in made]
    known = gains(cohort)
    gained = known.gain[np.concatenate([np.array(a) for a in alarms])].sum()
    expected = sum(
        _by_definition(y, a) - _by_definition(y, z)
        for y, a, z in zip(cohort, alarms, none, strict=True)
    )
    assert gained == pytest.approx(expected)
    assert known.best >= gained - 1e-9


def test_the_best_alarms_have_one_and_none_has_nothing() -> None:
    labels = [[0] * 30 + [1] * 9, [0] * 20]
    known = gains(labels)
    alarm = np.zeros(59, dtype=bool)
    assert utility(known, alarm) == 0
    alarm[24:39] = True
    assert utility(known, alarm) == pytest.approx(1.0)
    assert np.isnan(utility(gains([[0, 0]]), np.array([True, False])))


def test_the_best_threshold_earns_most_and_ties_go_together() -> None:
    known = gains([[0] * 12 + [1] * 9, [0] * 10])
    scores = np.r_[np.zeros(6), np.ones(15), np.zeros(5), np.full(5, -np.inf)]
    assert best_threshold(known, scores) == 1.0
    assert best_threshold(gains([[0, 0]]), np.array([2.0, 1.0])) == 2.0
