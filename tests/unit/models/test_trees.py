"""Oblivious trees: scores are those of walking down the trees, reasons their Shapley values."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from models.grid import STEP, on_grid
from models.trees import Forest, Trees, shapley

_MEMBERS, _TREES, _DEPTH, _FEATURES = 3, 40, 3, 12


def _trees(seed: int = 0) -> Trees:
    g = torch.Generator().manual_seed(seed)
    shape = (_MEMBERS, _TREES, _DEPTH)
    leaves = (_MEMBERS, _TREES, 2**_DEPTH)
    return Trees(
        columns=torch.randint(0, _FEATURES - 1, shape, generator=g),  # the last is never read
        borders=torch.randn(shape, generator=g),
        unmeasured=torch.rand(shape, generator=g) < 0.5,
        leaves=0.1 * torch.randn(leaves, generator=g),
        covers=torch.randint(0, 50, leaves, generator=g).float(),
        levels=torch.randn(_MEMBERS, generator=g),
    )


def _patients(n: int = 200) -> Tensor:
    g = torch.Generator().manual_seed(1)
    x = torch.randn((n, _FEATURES), generator=g, dtype=torch.float64)
    return x.masked_fill(torch.rand((n, _FEATURES), generator=g) < 0.3, math.nan)


def _by_hand(trees: Trees, x: list[float], m: int) -> float:
    total = float(on_grid(trees.levels)[m])
    for t in range(_TREES):
        leaf = 0
        for d in range(_DEPTH):
            value = x[int(trees.columns[m, t, d])]
            border = float(trees.borders[m, t, d])
            passed = bool(trees.unmeasured[m, t, d]) if math.isnan(value) else value > border
            leaf += passed << d
        total += float(on_grid(trees.leaves)[m, t, leaf])
    return total


def test_scores_are_those_of_walking_down_the_trees() -> None:
    trees, x = _trees(), _patients(20)
    scores, _ = Forest(trees, _FEATURES)(x)
    for i, m in itertools.product(range(20), range(_MEMBERS)):
        assert scores[i, m] == _by_hand(trees, x[i].float().tolist(), m)


def test_parts_sum_to_the_mean_of_the_members_without_a_remainder() -> None:
    forest, x = Forest(_trees(), _FEATURES), _patients()
    scores, parts = forest(x, explained=150)
    assert parts.shape == (150, 1, _FEATURES)
    difference = forest.expected + parts[:, 0].sum(1) - scores[:150].mean(1)
    assert difference.abs().max() < 1e-12
    assert not parts[:, :, -1].any()


def test_groups_of_members_are_explained_apart() -> None:
    one, other, x = _trees(), _trees(9), _patients(30)
    fewer = Trees(*(t[:, :7] for t in other[:-1]), levels=other.levels)
    scores, parts = Forest(one, _FEATURES, fewer)(x, 30)
    for g, trees in enumerate((one, fewer)):
        alone, shares = Forest(trees, _FEATURES)(x, 30)
        assert torch.equal(scores[:, g * _MEMBERS : (g + 1) * _MEMBERS], alone)
        assert torch.allclose(parts[:, g], shares[:, 0], atol=1e-12)


def test_a_batch_of_one_gives_the_same_bits() -> None:
    forest, x = Forest(_trees(), _FEATURES), _patients()
    scores, parts = forest(x, len(x))
    for i in (0, 63, 64, 199):
        alone, why = forest(x[i : i + 1], 1)
        assert torch.equal(alone[0], scores[i])
        assert torch.equal(why[0], parts[i])


def test_an_empty_batch_has_the_right_shape() -> None:
    scores, parts = Forest(_trees(), _FEATURES)(_patients(0))
    assert (scores.shape, parts.shape) == ((0, _MEMBERS), (0, 1, _FEATURES))


def _value(leaves: list[float], covers: list[float], known: dict[int, int]) -> float:
    """The mean of the leaves that agree with some answers, weighted by their cover."""
    fits = [i for i in range(8) if all(i >> d & 1 == b for d, b in known.items())]
    return sum(leaves[i] * covers[i] for i in fits) / sum(covers[i] for i in fits)


def test_shapley_values_are_averages_over_all_orders_of_asking() -> None:
    g = torch.Generator().manual_seed(4)
    leaves = on_grid(torch.randn((1, 8), generator=g))
    covers = torch.rand((1, 8), generator=g) * 100
    means, parts = shapley(leaves, covers)
    values, weights = leaves[0].tolist(), covers[0].tolist()
    assert float(means[0]) == pytest.approx(_value(values, weights, {}), abs=1e-4)
    for leaf in range(8):
        expected = [0.0, 0.0, 0.0]
        for order in itertools.permutations(range(3)):
            known: dict[int, int] = {}
            for d in order:
                before = _value(values, weights, known)
                known[d] = leaf >> d & 1
                expected[d] += (_value(values, weights, known) - before) / 6
        assert parts[:, 0, leaf].tolist() == pytest.approx(expected, abs=1e-4)
        assert float(parts[:, 0, leaf].sum() + means[0]) == float(leaves[0, leaf])


def test_the_grid_is_finer_than_what_is_printed_of_a_tree() -> None:
    values = torch.tensor([0.1, -3.25, 1e-9])
    assert (on_grid(values) - values).abs().max() <= STEP / 2
    assert torch.equal(on_grid(on_grid(values)), on_grid(values))


def test_trees_whose_leaves_do_not_fit_their_tests_are_refused() -> None:
    trees = _trees()
    with pytest.raises(ValueError, match="leaves"):
        Forest(trees._replace(leaves=trees.leaves[:, :, :4]), _FEATURES)
