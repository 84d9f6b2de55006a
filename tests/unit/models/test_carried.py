"""What is carried on from question to question is what all trees say when they are asked anew."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from models.borders import Tables
from models.carried import Carried, Full, Seat
from models.grid import STEP
from models.leafwise import LEAVES, TESTS, LeafwiseForest, LeafwiseTrees
from models.trees import Forest, Trees

_MEMBERS, _TREES, _DEPTH, _FEATURES, _PATIENTS = 2, 12, 3, 5, 3
_BORDERS = np.array([-1.5, -0.5, 0.0, 0.5, 0.5, 2.0], np.float32)
# On a border, beside it, far from all, the largest numbers, and not measured.
_VALUE = st.sampled_from(
    [*_BORDERS.tolist(), -0.0, 0.1, 0.500_000_1, -9.0, 9.0, 1e300, -1e300, float("nan")]
)
_VISITS = st.lists(
    st.tuples(
        st.lists(st.integers(0, _PATIENTS - 1), min_size=1, max_size=5),
        arrays(np.float64, (5, _FEATURES), elements=_VALUE),
    ),
    min_size=1,
    max_size=6,
)  # in each batch who is asked about, and values for so many rows


def _trees(seed: int) -> Trees:
    g = torch.Generator().manual_seed(seed)
    tests, leaves = (_MEMBERS, _TREES, _DEPTH), (_MEMBERS, _TREES, 2**_DEPTH)
    return Trees(
        columns=torch.randint(0, _FEATURES - 1, tests, generator=g),
        borders=torch.from_numpy(_BORDERS)[torch.randint(0, 6, tests, generator=g)],
        unmeasured=torch.rand(tests, generator=g) < 0.5,
        leaves=0.2 * torch.randn(leaves, generator=g),
        covers=torch.rand(leaves, generator=g),
        levels=torch.randn(_MEMBERS, generator=g),
    )


def _leafwise(seed: int) -> LeafwiseTrees:
    """Each test hangs below the one before; the last has two leaves."""
    g = torch.Generator().manual_seed(seed)
    tests, leaves = (_MEMBERS, _TREES, TESTS), (_MEMBERS, _TREES, LEAVES)
    children = torch.tensor([[~d, d + 1] for d in range(TESTS)])
    children[-1, 1] = ~TESTS
    return LeafwiseTrees(
        columns=torch.randint(0, _FEATURES, tests, generator=g),
        borders=torch.from_numpy(_BORDERS)[torch.randint(0, 6, tests, generator=g)],
        unmeasured=torch.rand(tests, generator=g) < 0.5,
        children=children.expand(*tests, 2),
        leaves=0.2 * torch.randn(leaves, generator=g),
        covers=torch.rand(leaves, generator=g),
        levels=torch.randn(_MEMBERS, generator=g),
    )


_OBLIVIOUS = Forest(_trees(0), _FEATURES, _trees(1))
_LEAFWISE = LeafwiseForest(_leafwise(0), _FEATURES)


def _check(
    forest: Forest | LeafwiseForest,
    visits: list[tuple[list[int], NDArray[np.float64]]],
) -> None:
    seats = [Seat() for _ in range(_PATIENTS)]
    for who, values in visits:
        x = values[: len(who)]
        scores, parts = forest.carried(x, [seats[i] for i in who])
        anew, shares = forest(torch.from_numpy(x), len(x))
        assert np.array_equal(scores, anew.numpy())
        assert np.array_equal(parts, shares.numpy())


@settings(deadline=None)
@given(_VISITS)
def test_oblivious_trees_carried_on_give_the_bits_of_asking_anew(
    visits: list[tuple[list[int], NDArray[np.float64]]],
) -> None:
    _check(_OBLIVIOUS, visits)


@settings(deadline=None)
@given(_VISITS)
def test_leafwise_trees_carried_on_give_the_bits_of_asking_anew(
    visits: list[tuple[list[int], NDArray[np.float64]]],
) -> None:
    _check(_LEAFWISE, visits)


@pytest.mark.parametrize("full", [0, 10**9])
def test_asking_in_full_or_one_by_one_gives_the_same(
    full: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it costs nothing all rows with a change are asked in full, where it costs much none."""
    monkeypatch.setattr("models.carried._CALL", full)
    monkeypatch.setattr("models.carried._FULL", full)
    rng = np.random.default_rng(2)
    values = rng.choice([*_BORDERS, np.nan, 0.1, 9.0], (30, 5, _FEATURES))
    _check(Forest(_trees(0), _FEATURES, _trees(1)), [([0, 1, 2, 0, 1], x) for x in values])


def _one_test() -> Tables:
    """A tree that says a step for what lies above 0."""
    column = np.zeros((1, 1), dtype=np.intp)
    return Tables(
        columns=column,
        borders=np.zeros((1, 1), dtype=np.float32),
        unmeasured=np.zeros((1, 1), dtype=np.bool_),
        reached=np.array([[0, 1]], dtype=np.uint8),
        leaves=np.array([[0, 1]], dtype=np.int32),
        shares=np.array([[[0], [1]]], dtype=np.int32),
        sum_of=np.zeros(1, dtype=np.intp),
        part_of=column,
    )


def test_who_loses_the_seat_to_others_is_asked_in_full_and_answered_alike() -> None:
    asked: list[int] = []

    def in_full(x: NDArray[np.float64]) -> Full:
        asked.append(len(x))
        said = (x > 0).astype(np.int32)
        return Full(said.astype(np.uint8), said, said)

    carried = Carried(_one_test(), 1, in_full, most=3)
    seats = [Seat() for _ in range(5)]
    for turn in range(4):
        x = np.array([[1.0], [-1.0], [1.0], [-1.0], [1.0]]) * (-1) ** turn
        assert carried(x, seats)[0].tolist() == (x > 0).astype(int).tolist()
    assert sum(asked) > 5  # five patients do not fit three seats
    asked.clear()
    for turn in range(4):
        x = np.array([[1.0], [-1.0]]) * (-1) ** turn
        assert carried(x, seats[:2])[0].tolist() == (x > 0).astype(int).tolist()
    assert sum(asked) <= 2  # two do: once each at most


def test_sums_are_told_in_whole_steps() -> None:
    forest = Forest(_trees(3), _FEATURES)
    scores, _ = forest.carried(np.zeros((1, _FEATURES)), [Seat()])
    assert np.array_equal(np.round(scores / STEP) * STEP, scores)
