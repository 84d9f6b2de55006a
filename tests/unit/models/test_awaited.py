"""What has yet to come of a patient is learned from those of whom it came."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from models.encoding import Column
from models.fusion import Weights
from models.training.awaited import covariance, foreseen, reach
from models.training.linear import Course, Fitted, Linear
from models.training.others import sureness


def test_parts_vary_together_as_they_do_where_all_are_known() -> None:
    rng = np.random.default_rng(1)
    truth = np.array([[1.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.5]])
    parts = rng.multivariate_normal([1.0, -2.0, 0.0], truth, 6_000)
    parts[parts[:, 0] > 1.5, 1] = np.nan  # missing for a reason that is known
    parts[::3, 2] = np.nan
    assert covariance(parts) == pytest.approx(truth, abs=0.06)


def test_a_score_is_foreseen_from_the_others() -> None:
    rng = np.random.default_rng(2)
    one = rng.normal(size=4_000)
    scores = np.stack([one, 2 * one + 1 + 0.1 * rng.normal(size=4_000)], 1)
    scores[1_000:, 1] = np.nan
    lines, around = foreseen(scores)
    assert lines[1, 1] == pytest.approx([1.0, 2.0, 0.0], abs=0.02)
    assert np.ptp(around[1, 1]) < 0.5
    assert np.ptp(around[0, 1]) > 4.0, "without it, as they usually are"
    assert lines[0, 1] == pytest.approx([np.nanmean(scores[:, 1]), 0.0, 0.0])


def test_a_score_that_few_have_with_the_others_is_foreseen_as_it_usually_is() -> None:
    scores = np.random.default_rng(3).normal(size=(100, 2))
    scores[29:60, 1] = scores[60:, 0] = np.nan
    lines, _ = foreseen(scores)
    assert lines[1, 1].tolist() == lines[0, 1].tolist()


def test_the_reach_holds_the_stated_share_of_the_worst_pattern_without_the_fold_it_serves() -> None:
    off = np.stack([np.linspace(0, 1, 1_000), np.linspace(0, 2, 1_000)])
    folds = np.arange(1_000) % 5
    assert reach(off, folds, 5) == pytest.approx([1.8] * 5, abs=0.01)
    off[:, folds == 2] *= 10
    assert reach(off, folds, 5)[2] == pytest.approx(1.8, abs=0.01)


def test_how_far_other_patients_would_have_moved_a_score() -> None:
    """Of a score that is the mean of n normal numbers it is 1.645 of its standard error."""
    rng = np.random.default_rng(4)
    count = 2_000
    noise = rng.normal(size=count)
    course = Course(np.arange(count) % 2 * 1.0, noise, np.ones(count, dtype=np.bool_))
    gain = torch.tensor([[0.0], [1.0]], dtype=torch.float64)

    def way(x: Any, course: Course, *_: Any) -> Fitted:
        mean = np.array([course.days.mean()])
        linear = [Linear(np.zeros(1), np.ones(1), mean, 0.0)]
        return Fitted(linear, Weights(gain, 0 * gain), np.zeros((1, 1)))

    columns = [Column(0, 0, None, False)]
    level, share = sureness(way, np.ones((count, 1)), course, columns, 1, 1.0, 7)
    foretold = np.sqrt(level + share / count)
    assert 0.3 < foretold / (1.645 / np.sqrt(count)) < 3
