"""A forest's answers, carried on: a new observation costs the tests whose answers change.

Between two questions about one patient few of the thousands of tests of a forest change their
answers. So a patient who is asked about again and again has a seat. It holds for each feature the
two borders that the value lies between, for each tree its set of answers, and the sums over all
trees. A value that stays between its borders costs two comparisons. One that leaves them flips the
tests of the borders that it passes; what their trees said before is taken out of the sums, and what
they say now is put in.

Sums are whole numbers of steps (`models.grid`), so taking out and putting in leaves no trace: they
are those of asking all trees anew, bit for bit. Seats only save time. There is a fixed number, the
oldest is given away when all are taken, and whoever has none is asked in full.

Letters in shape comments: N patients, F features, R trees, D tests of a tree, A = 2 ** D sets of
answers, L leaves, S sums (groups of trees * members), P parts (groups * features), C seats,
I borders of all features, E tests whose answers change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.borders import (
    Array,
    Bytes,
    Places,
    Single,
    Tables,
    Whole,
    edges_of,
    key,
    ranges,
    single,
)

MOST_SEATS = 4_096
_FIRST_SEATS = 64
_CALL, _FULL = 1_500, 300  # costs of asking in full, in tests whose answers change
_CHUNK = 256  # patients at a time: what is noted of their trees stays in the processor's cache


class Full(NamedTuple):
    """What all trees say when they are asked anew."""

    answers: Bytes  # (N, R) sets of answers
    sums: Whole  # (N, S) in steps
    parts: Whole  # (N, P) in steps


class Seat:
    """A patient's, in the forests of one model. Which it is changes with time."""

    __slots__ = ("place",)

    def __init__(self) -> None:
        self.place = 0


class _State(NamedTuple):
    """Of all seats."""

    places: Whole  # (C, F) among the edges
    low: Single  # (C, F)
    high: Single  # (C, F)
    answers: Bytes  # (C, R) sets of answers
    sums: Whole  # (C, S) in steps
    parts: Whole  # (C, P) in steps


class Carried:
    """Sums and parts of patients who are asked about again and again."""

    def __init__(
        self,
        tables: Tables,
        n_features: int,
        in_full: Callable[[Array], Full],
        most: int = MOST_SEATS,
    ) -> None:
        """`in_full` asks all trees about patients (N, F); `most` are the seats."""
        self._tables = tables
        self._edges = edges_of(tables, n_features)
        self._in_full = in_full
        self._most = most
        self._owners: list[Seat | None] = []
        self._next = 0
        groups = int(tables.part_of.max()) // n_features + 1
        sums, parts = int(tables.sum_of.max()) + 1, groups * n_features
        self._state = _state(0, n_features, len(tables.leaves), sums, parts)
        self._noted = np.zeros(_CHUNK * len(tables.leaves), dtype=np.int32)

    def __call__(self, x: Array, seats: Sequence[Seat]) -> tuple[Whole, Whole]:
        """(N, F) values → (N, S) sums, (N, P) parts, in steps.

        Several rows of one patient cost least in the order of time.
        """
        sums = np.empty((len(x), self._state.sums.shape[1]), dtype=np.int32)
        parts = np.empty((len(x), self._state.parts.shape[1]), dtype=np.int32)
        for turn in _turns(seats):
            known = [self._holds(seats[i]) for i in turn]
            old = [i for i, here in zip(turn, known, strict=True) if here]
            new = [i for i, here in zip(turn, known, strict=True) if not here]
            if old:  # first, since newcomers may take their seats
                places = np.array([seats[i].place for i in old])
                self._follow(places, x if len(old) == len(x) else x[old])
                sums[old], parts[old] = self._state.sums[places], self._state.parts[places]
            if new:
                full = self._in_full(x[new])
                sums[new], parts[new] = full.sums, full.parts
                self._settle([seats[i] for i in new], x[new], full)
        return sums, parts

    def _holds(self, seat: Seat) -> bool:
        return seat.place < len(self._owners) and self._owners[seat.place] is seat

    def _settle(self, seats: Sequence[Seat], x: Array, full: Full) -> None:
        """Give seats to those who were asked in full."""
        edges = self._edges
        for at in range(0, len(seats), self._most):
            some = slice(at, at + self._most)
            values = single(x[some])
            keys = key(np.arange(values.shape[1]), values)
            found = np.searchsorted(edges.keys, keys, side="right")
            places = self._places(seats[some])
            new = (found, edges.low[found], edges.high[found], *(said[some] for said in full))
            kept: tuple[NDArray[Any], ...] = self._state
            for part, one in zip(kept, new, strict=True):
                part[places] = one

    def _places(self, seats: Sequence[Seat]) -> Places:
        """Seats for so many, whoever has them."""
        end = self._next + len(seats)
        if end > len(self._owners) < self._most:
            self._widen(end)
        if end > len(self._owners):
            self._next, end = 0, len(seats)
        places = np.arange(self._next, end)
        for place, seat in enumerate(seats, self._next):
            self._owners[place], seat.place = seat, place
        self._next = end
        return places

    def _widen(self, least: int) -> None:
        """More seats, keeping what is there."""
        count = min(max(least, 2 * len(self._owners), _FIRST_SEATS), self._most)
        wider = _state(count, *(part.shape[1] for part in self._state[2:]))
        new: tuple[NDArray[Any], ...] = wider
        old: tuple[NDArray[Any], ...] = self._state
        for part, known in zip(new, old, strict=True):
            part[: len(known)] = known
        self._state = wider
        self._owners += [None] * (count - len(self._owners))

    def _follow(self, seats: Places, x: Array) -> None:
        """Bring (N,) seats up to date, each named once."""
        far: list[Places] = []
        for at in range(0, len(x), _CHUNK):
            far.append(at + self._compare(seats[at : at + _CHUNK], single(x[at : at + _CHUNK])))
        rows = np.concatenate(far)
        if len(rows):
            full = self._in_full(x[rows])
            self._state.answers[seats[rows]] = full.answers
            self._state.sums[seats[rows]] = full.sums
            self._state.parts[seats[rows]] = full.parts

    def _compare(self, seats: Places, values: Single) -> Places:
        """Which values lie no longer between the borders that they lay between?

        Gives the rows of which so many tests change that all are better asked in full.
        """
        state, edges = self._state, self._edges
        left = (values < state.low[seats]) | (values >= state.high[seats])
        row, column = left.nonzero()
        seat = seats[row]
        old = state.places[seat, column]
        new = np.searchsorted(edges.keys, key(column, values[row, column]), side="right")
        state.places[seat, column] = new
        state.low[seat, column], state.high[seat, column] = edges.low[new], edges.high[new]
        far = _far(row, np.abs(new - old), len(seats))
        if len(far):
            near = ~np.isin(row, far)
            row, seat, old, new = row[near], seat[near], old[near], new[near]
        if len(row):
            count = np.abs(new - old)
            passed = ranges(np.minimum(old, new), count)
            flips = np.where((new > old).repeat(count), edges.up[passed], edges.down[passed])
            self._flip(row.repeat(count), seat.repeat(count), edges.trees[passed], flips)
        return far

    def _flip(self, row: Places, seat: Places, tree: Places, flips: Bytes) -> None:
        """(E,) each: change the answers, and the sums of the trees that now reach another leaf."""
        n_trees = self._state.answers.shape[1]
        note, number = row * n_trees + tree, np.arange(len(row), dtype=np.int32)
        self._noted[note] = number
        once = (self._noted[note] == number).nonzero()[0]  # of several tests of one tree, one
        cells, answers = seat * n_trees + tree, self._state.answers.reshape(-1)
        seat, tree, changed = seat[once], tree[once], cells[once]
        before = self._leaf(tree, answers[changed])
        np.add.at(answers, cells, flips)
        after = self._leaf(tree, answers[changed])
        other = (before != after).nonzero()[0]
        self._exchange(seat[other], tree[other], before[other], after[other])

    def _leaf(self, tree: Places, answers: Bytes) -> Places:
        """Among all leaves of all trees."""
        reached = self._tables.reached
        leaf = reached.reshape(-1)[tree * reached.shape[1] + answers]
        found: Places = tree * self._tables.leaves.shape[1] + leaf
        return found

    def _exchange(self, seat: Places, tree: Places, before: Places, after: Places) -> None:
        """Take what one leaf says out of the sums, put in what the other says."""
        tables, (*_, sums, parts) = self._tables, self._state
        leaves = tables.leaves.reshape(-1)
        to = seat * sums.shape[1] + tables.sum_of[tree]
        np.add.at(sums.reshape(-1), to, leaves[after] - leaves[before])
        shares = tables.shares.reshape(-1, tables.shares.shape[2])
        to = (seat * parts.shape[1])[:, None] + tables.part_of[tree]
        np.add.at(parts.reshape(-1), to.ravel(), (shares[after] - shares[before]).ravel())


def seated(points: Sequence[Seat], patients: Sequence[Seat]) -> list[Seat | None]:
    """Who of a batch is asked from a seat: patients, and points of those who have but one.

    Many moments of one patient cost less in full, all at once, than one after the other.
    """
    if not points:
        return list(patients)
    rows = Counter(points)
    return [*(seat if rows[seat] == 1 else None for seat in points), *patients]


def _far(row: Places, count: Places, rows: int) -> Places:
    """Rows of which it costs less to ask all tests than to change the answers of some.

    `row` (E,) has values that passed `count` (E,) borders. By measurement a test that changes costs
    a tenth of a microsecond, asking in full 150 for the call and 30 for each patient.
    """
    passed = np.bincount(row, count, minlength=rows)
    far: Places = (passed > _FULL).nonzero()[0]
    return far if passed[far].sum() > _CALL + _FULL * len(far) else far[:0]


def _turns(seats: Sequence[Seat]) -> Iterator[list[int]]:
    """First rows of all patients, then second ones of those who have one, and so on."""
    if len(set(seats)) == len(seats):
        yield list(range(len(seats)))
        return
    rows: dict[Seat, list[int]] = {}
    for i, seat in enumerate(seats):
        rows.setdefault(seat, []).append(i)
    waiting, turn = list(rows.values()), 0
    while waiting:
        yield [own[turn] for own in waiting]
        turn += 1
        waiting = [own for own in waiting if len(own) > turn]


def _state(count: int, features: int, trees: int, sums: int, parts: int) -> _State:
    return _State(
        np.zeros((count, features), dtype=np.int32),
        np.zeros((count, features), dtype=np.float32),
        np.zeros((count, features), dtype=np.float32),
        np.zeros((count, trees), dtype=np.uint8),
        np.zeros((count, sums), dtype=np.int32),
        np.zeros((count, parts), dtype=np.int32),
    )
