"""A forest's answers, carried on: a new observation costs the tests whose answers change.

Between two questions about one patient few of the thousands of tests of a forest change their
answers. So a patient who is asked about again and again has a seat. It holds for each feature the
two borders that the value lies between, for each tree its set of answers, and the sums over all
trees. A value that stays between its borders costs two comparisons. One that leaves them flips the
tests of the borders that it passes; what their trees said before is taken out of the sums, and what
they say now is put in. Several moments of one patient follow one another in one go.

Sums are whole numbers of steps (`models.grid`), so taking out and putting in leaves no trace: they
are those of asking all trees anew, bit for bit. Seats only save time. There is a fixed number, the
oldest is given away when all are taken, and whoever has none is asked in full.

Letters in shape comments: N rows (patients' moments), M patients, F features, R trees, D tests of a
tree, A = 2 ** D sets of answers, L leaves, S sums (groups of trees * members), P parts (groups *
features), C seats, E tests whose answers change, T trees whose answers change at a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from models.moments import Moments, Passed

MOST_SEATS = 4_096
_FIRST_SEATS = 64
_CALL, _FULL = 2_000, 450  # costs of asking in full, in tests whose answers change
_CHUNK = 64  # patients at a time: what is noted of them stays in the processor's cache


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

    def __call__(self, x: Array, seats: Sequence[Seat]) -> tuple[Whole, Whole]:
        """(N, F) values → (N, S) sums, (N, P) parts, in steps; rows of one patient by time."""
        sums = np.empty((len(x), self._state.sums.shape[1]), dtype=np.int32)
        parts = np.empty((len(x), self._state.parts.shape[1]), dtype=np.int32)
        mine: dict[Seat, list[int]] = {}
        for i, seat in enumerate(seats):
            mine.setdefault(seat, []).append(i)
        known = [seat for seat in mine if self._holds(seat)]
        new = [seat for seat in mine if not self._holds(seat)]
        far: list[Seat] = []
        for at in range(0, len(known), _CHUNK):
            some = known[at : at + _CHUNK]
            moments = Moments.of_patients([mine[seat] for seat in some])
            left, *told = self._follow(_places(some), moments, single(x[moments.rows]))
            sums[moments.rows], parts[moments.rows] = told
            far += [some[i] for i in left.tolist()]
        if new or far:
            moments = Moments.of_patients([mine[seat] for seat in (*far, *new)])
            full = self._in_full(x[moments.rows])
            sums[moments.rows], parts[moments.rows] = full.sums, full.parts
            last = Full._make(said[moments.last] for said in full)
            self._settle(far, new, x[moments.rows[moments.last]], last)
        return sums, parts

    def _holds(self, seat: Seat) -> bool:
        return seat.place < len(self._owners) and self._owners[seat.place] is seat

    def _settle(self, known: Sequence[Seat], new: Sequence[Seat], x: Array, full: Full) -> None:
        """Let those who were asked in full go on from there: some from their seats, some new."""
        n = len(known)
        if n:
            self._keep(_places(known), x[:n], Full._make(said[:n] for said in full))
        for at in range(n, len(x), self._most):
            some = slice(at, at + self._most)
            places = self._give(new[at - n : at - n + self._most])
            self._keep(places, x[some], Full._make(said[some] for said in full))

    def _keep(self, places: Places, x: Array, full: Full) -> None:
        edges = self._edges
        values = single(x)
        keys = key(np.arange(values.shape[1]), values)
        found = np.searchsorted(edges.keys, keys, side="right")
        kept: tuple[NDArray[Any], ...] = self._state
        now = (found, edges.low[found], edges.high[found], *full)
        for part, one in zip(kept, now, strict=True):
            part[places] = one

    def _give(self, seats: Sequence[Seat]) -> Places:
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

    def _follow(
        self, seats: Places, moments: Moments, values: Single
    ) -> tuple[Places, Whole, Whole]:
        """Bring (M,) seats up to date → who is better asked in full, since so many tests change;
        (N, S) sums, (N, P) parts of the others.
        """
        passed = self._compare(seats, moments, values)
        far = _far(moments, passed)
        if len(far):
            near = np.ones(len(seats), dtype=np.bool_)
            near[far] = False
            passed = passed.some(near[moments.of[passed.row]])
        state = self._state
        changes = self._flip(seats, moments, passed) if len(passed.row) else None
        if changes and moments.several:
            sums = np.zeros((len(values), state.sums.shape[1]), dtype=np.int32)
            parts = np.zeros((len(values), state.parts.shape[1]), dtype=np.int32)
            self._exchange(sums, parts, *changes)
            sums = moments.running(sums, state.sums.take(seats, axis=0))
            parts = moments.running(parts, state.parts.take(seats, axis=0))
            state.sums[seats], state.parts[seats] = sums[moments.last], parts[moments.last]
            return far, sums, parts
        if changes:
            row, *leaves = changes
            self._exchange(state.sums, state.parts, seats.take(row), *leaves)
        each = seats.take(moments.of)
        return far, state.sums.take(each, axis=0), state.parts.take(each, axis=0)

    def _compare(self, seats: Places, moments: Moments, values: Single) -> Passed:
        """Which values lie no longer between the borders that they lay between?"""
        state, edges = self._state, self._edges
        each = seats.take(moments.of)
        low, high = state.low.take(each, axis=0), state.high.take(each, axis=0)
        left = (values < low) | (values >= high)
        if moments.several:
            left = np.logical_or.reduceat(left, moments.first)
        patient, column = left.nonzero()
        count = moments.number[patient]
        row, columns = ranges(moments.first[patient], count), column.repeat(count)
        new = np.searchsorted(edges.keys, key(columns, values[row, columns]), side="right")
        ends = count.cumsum()
        seat, last = seats[patient], new[ends - 1]
        old = np.empty_like(new)
        old[1:] = new[:-1]
        old[ends - count] = state.places[seat, column]
        state.places[seat, column] = last
        state.low[seat, column], state.high[seat, column] = edges.low[last], edges.high[last]
        return Passed(row, old, new).some(new != old)

    def _flip(self, seats: Places, moments: Moments, passed: Passed) -> tuple[Places, ...]:
        """Change the answers; tells (T,) each the row, the tree, and the leaves before and after
        of the trees that reach another leaf.
        """
        n_trees, most = self._state.answers.shape[1], int(moments.number.max())
        row, tree, flips = self._tests(passed)
        whose = moments.of.take(row)
        moment = (whose * n_trees + tree) * most + row - moments.first.take(whose)
        order = moment.argsort()  # several tests of one tree, and moments of one patient, together
        moment, flips = moment.take(order), flips.take(order)
        heads = np.append(True, moment[1:] != moment[:-1]).nonzero()[0]
        flips = np.add.reduceat(flips, heads, dtype=np.uint8)
        order = order.take(heads)
        row, tree = row.take(order), tree.take(order)
        answers = self._state.answers.reshape(-1)
        cells = seats.take(moments.of.take(row)) * n_trees + tree
        before = answers.take(cells)
        if moments.several:
            total = np.add.accumulate(flips, dtype=np.uint8) - flips
            begin = np.append(True, cells[1:] != cells[:-1])
            before += total - total.take(np.maximum.accumulate(np.arange(len(cells)) * begin))
        after = before + flips
        answers[cells] = after  # of several moments the last
        before, after = self._leaf(tree, before), self._leaf(tree, after)
        other = (before != after).nonzero()[0]
        return row.take(other), tree.take(other), before.take(other), after.take(other)

    def _tests(self, passed: Passed) -> tuple[Places, Places, Bytes]:
        """(E,) each: rows, trees and what is added to their answers."""
        edges, count = self._edges, np.abs(passed.new - passed.old)
        at = ranges(np.minimum(passed.old, passed.new), count)
        flips = np.where(
            (passed.new > passed.old).repeat(count), edges.up.take(at), edges.down.take(at)
        )
        return passed.row.repeat(count), edges.trees.take(at), flips

    def _leaf(self, tree: Places, answers: Bytes) -> Places:
        """Among all leaves of all trees."""
        reached = self._tables.reached
        leaf = reached.reshape(-1).take(tree * reached.shape[1] + answers)
        found: Places = tree * self._tables.leaves.shape[1] + leaf
        return found

    def _exchange(
        self, sums: Whole, parts: Whole, row: Places, tree: Places, before: Places, after: Places
    ) -> None:
        """What one leaf says is taken out of rows of sums and parts, what the other says put in."""
        tables, leaves = self._tables, self._tables.leaves.reshape(-1)
        shares = tables.shares.reshape(-1, tables.shares.shape[2])
        to = row * sums.shape[1] + tables.sum_of.take(tree)
        np.add.at(sums.reshape(-1), to, leaves.take(after) - leaves.take(before))
        to = (row * parts.shape[1])[:, None] + tables.part_of.take(tree, axis=0)
        change = shares.take(after, axis=0) - shares.take(before, axis=0)
        np.add.at(parts.reshape(-1), to.reshape(-1), change.reshape(-1))


def _places(seats: Sequence[Seat]) -> Places:
    return np.array([seat.place for seat in seats], dtype=np.intp)


def _far(moments: Moments, passed: Passed) -> Places:
    """Patients of whom it costs less to ask all tests than to change the answers of some.

    By measurement a test that changes costs .08 microseconds, asking in full 170 for the call and
    35 for each row.
    """
    tests = np.bincount(
        moments.of[passed.row], np.abs(passed.new - passed.old), len(moments.number)
    )
    far: Places = (tests > _FULL * moments.number).nonzero()[0]
    cost = _CALL + _FULL * int(moments.number[far].sum())
    return far if tests[far].sum() > cost else far[:0]


def _state(count: int, features: int, trees: int, sums: int, parts: int) -> _State:
    return _State(
        np.zeros((count, features), dtype=np.int32),
        np.zeros((count, features), dtype=np.float32),
        np.zeros((count, features), dtype=np.float32),
        np.zeros((count, trees), dtype=np.uint8),
        np.zeros((count, sums), dtype=np.int32),
        np.zeros((count, parts), dtype=np.int32),
    )
