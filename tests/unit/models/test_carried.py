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
from models.leafwise import LeafwiseForest
from tests.unit.models.made_trees import BORDERS, made_trees

_FEATURES, _PATIENTS = 5, 3
# On a border, beside it, far from all, the largest numbers, and not measured.
_VALUE = st.sampled_from(
    [*BORDERS.tolist(), -0.0, 0.1, 0.500_000_1, -9.0, 9.0, 1e300, -1e300, float("nan")]
)
_VISITS = st.lists(
    st.tuples(
        st.lists(st.integers(0, _PATIENTS - 1), min_size=1, max_size=5),
        arrays(np.float64, (5, _FEATURES), elements=_VALUE),
    ),
    min_size=1,
    max_size=6,
)  # in each batch who is asked about, and values for so many rows


_ALONE = LeafwiseForest(made_trees(0, 2, 12, _FEATURES), _FEATURES)
_GROUPS = LeafwiseForest(
    made_trees(1, 2, 12, _FEATURES - 1), _FEATURES, made_trees(2, 2, 5, _FEATURES)
)


def _check(forest: LeafwiseForest, visits: list[tuple[list[int], NDArray[np.float64]]]) -> None:
    seats = [Seat() for _ in range(_PATIENTS)]
    for who, values in visits:
        x = values[: len(who)]
        scores, parts = forest.carried(x, [seats[i] for i in who])
        anew, shares = forest(torch.from_numpy(x), len(x))
        assert np.array_equal(scores, anew.numpy())
        assert np.array_equal(parts, shares.numpy())


@settings(deadline=None)
@given(_VISITS)
def test_what_is_carried_on_has_the_bits_of_asking_anew(
    visits: list[tuple[list[int], NDArray[np.float64]]],
) -> None:
    _check(_ALONE, visits)


@settings(deadline=None)
@given(_VISITS)
def test_so_has_what_is_carried_on_of_several_groups(
    visits: list[tuple[list[int], NDArray[np.float64]]],
) -> None:
    _check(_GROUPS, visits)


@pytest.mark.parametrize("full", [0, 10**9])
def test_asking_in_full_or_one_by_one_gives_the_same(
    full: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it costs nothing all rows with a change are asked in full, where it costs much none."""
    monkeypatch.setattr("models.carried._CALL", full)
    monkeypatch.setattr("models.carried._FULL", full)
    rng = np.random.default_rng(2)
    values = rng.choice([*BORDERS, np.nan, 0.1, 9.0], (30, 5, _FEATURES))
    _check(
        LeafwiseForest(made_trees(0, 2, 12, _FEATURES), _FEATURES),
        [([0, 1, 2, 0, 1], x) for x in values],
    )


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
    forest = LeafwiseForest(made_trees(3, 2, 12, _FEATURES), _FEATURES)
    scores, _ = forest.carried(np.zeros((1, _FEATURES)), [Seat()])
    assert np.array_equal(np.round(scores / STEP) * STEP, scores)
