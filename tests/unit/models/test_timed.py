"""Forests by hour in the stay: each alone at its hour, mixed between, the same in every batch."""

from __future__ import annotations

import math

import pytest
import torch

from models.leafwise import LeafwiseForest, LeafwiseTrees
from models.timed import TimedForest, apart, side_by_side
from tests.unit.models.made_trees import made_trees

_ANCHORS = torch.tensor([1.0, 12.0, 48.0])
_COUNTS = [10, 7, 12]
_MEMBERS, _FEATURES = 2, 6


def _by_anchor() -> list[LeafwiseTrees]:
    """Forests of different lengths."""
    return [made_trees(2 + i, _MEMBERS, count, _FEATURES) for i, count in enumerate(_COUNTS)]


def _timed() -> TimedForest:
    return TimedForest(_ANCHORS, torch.tensor(_COUNTS), side_by_side(_by_anchor()), _FEATURES)


def test_forests_side_by_side_come_apart_as_they_were() -> None:
    for one, other in zip(apart(side_by_side(_by_anchor()), _COUNTS), _by_anchor(), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def _x(n: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(3)
    return torch.randn((n, _FEATURES), generator=g, dtype=torch.float64)


def _alone(anchor: int) -> LeafwiseForest:
    return LeafwiseForest(_by_anchor()[anchor], _FEATURES)


@pytest.mark.parametrize(("hour", "anchor"), [(0.0, 0), (1.0, 0), (12.0, 1), (48.0, 2), (300.0, 2)])
def test_at_an_anchor_and_beyond_the_ends_one_forest_answers(hour: float, anchor: int) -> None:
    x = _x(5)
    scores, parts = _timed()(x, torch.full((5,), hour), 5)
    own, shares = _alone(anchor)(x, 5)
    shares = shares[:, 0]
    assert torch.allclose(scores, own, atol=1e-12)
    assert torch.allclose(parts, shares, atol=1e-12)


def test_between_anchors_the_weights_follow_the_logarithm_of_time() -> None:
    x = _x(4)
    scores, _ = _timed()(x, torch.full((4,), 24.0))
    middle = 0.5 * (_alone(1)(x)[0] + _alone(2)(x)[0])  # 24 is the geometric mean of 12 and 48
    assert torch.allclose(scores, middle, atol=1e-12)


def test_a_batch_of_all_hours_gives_the_bits_of_each_alone() -> None:
    forest, x = _timed(), _x(90)
    hours = torch.linspace(0, 60, 90, dtype=torch.float64)
    scores, parts = forest(x, hours, 40)
    assert parts.shape == (40, _FEATURES)
    for i in range(90):
        alone, why = forest(x[i : i + 1], hours[i : i + 1], 1)
        assert torch.equal(alone[0], scores[i])
        assert i >= 40 or torch.equal(why[0], parts[i])


def test_parts_and_the_forests_means_sum_to_the_score() -> None:
    forest, x = _timed(), _x(30)
    hours = torch.full((30,), 7.0)
    scores, parts = forest(x, hours, 30)
    share = math.log(7.0) / math.log(12.0)
    mean = (1 - share) * float(_alone(0).expected) + share * float(_alone(1).expected)
    assert torch.allclose(mean + parts.sum(1), scores.mean(1), atol=1e-9)
