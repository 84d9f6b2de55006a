"""Many patients' series as flat arrays, so that statistics of all of them are a few array calls.

A batch holds, for each patient and variable, one segment: the observations that count, by time.
Python touches a patient's observations only when the record has changed since the last time.

Letters in shape comments: P patients, V variables, S = P * V segments, O observations,
K segments of a view.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from models.record import PatientRecord
from models.series import Series, SeriesCache
from models.variables import Variable

Array = NDArray[np.float64]
Index = NDArray[np.int64]

HOUR_S = 3600.0
# What lies before the window is cut off in steps, so that a patient's arrays serve for a while.
_CUT_S = 6 * HOUR_S


class Asked(NamedTuple):
    """A patient, the time of the question, and the earliest time that counts."""

    record: PatientRecord
    as_of: float
    start: float


class _Kept:
    """One patient's observations from `cut` on, variable after variable."""

    __slots__ = ("cut", "lengths", "rejecting", "revision", "times", "values")

    def __init__(self, cut: float, variables: int) -> None:
        self.revision = -1
        self.cut = cut
        self.times, self.values = array("d"), array("d")
        self.lengths = [0] * variables
        self.rejecting: set[int] = set()  # variables of which something could not be used

    def renew(self, i: int, series: Series) -> None:
        """Take over one variable."""
        lo = 0
        if series.times and series.times[0] < self.cut:
            lo = bisect_left(series.times, self.cut)
        at = sum(self.lengths[:i])
        old = slice(at, at + self.lengths[i])
        self.times[old] = array("d", series.times[lo:])
        self.values[old] = array("d", series.values[lo:])
        self.lengths[i] = len(series.times) - lo
        if series.rejected:
            self.rejecting.add(i)
        else:
            self.rejecting.discard(i)


class ColumnReader:
    """Lays out batches, remembering each patient's arrays."""

    def __init__(self, variables: tuple[Variable, ...]) -> None:
        self._cache = SeriesCache(variables)
        self._kept: WeakKeyDictionary[PatientRecord, _Kept] = WeakKeyDictionary()

    def series(self, record: PatientRecord) -> list[Series]:
        """The patient's series, one for each variable."""
        return self._cache.of(record)

    def forget(self, record: PatientRecord) -> None:
        """Let go of a patient's arrays."""
        self._kept.pop(record, None)
        self._cache.forget(record)

    def rejecting(self, record: PatientRecord) -> list[int]:
        """Variables of which something could not be used, when the patient was last read."""
        kept = self._kept.get(record)
        return sorted(kept.rejecting) if kept is not None and kept.rejecting else []

    def read(self, asked: Sequence[Asked]) -> Batch:
        """All patients' observations with start <= time <= as_of, and nothing else."""
        times, values, lengths = array("d"), array("d"), list[int]()
        for one in asked:
            kept = self._follow(one.record, one.start)
            times += kept.times
            values += kept.values
            lengths += kept.lengths
        return Batch(
            np.frombuffer(times, dtype=np.float64),
            np.frombuffer(values, dtype=np.float64),
            np.array(lengths, dtype=np.int64),
            np.array([one.start for one in asked]),
            np.array([one.as_of for one in asked]),
        )

    def _follow(self, record: PatientRecord, start: float) -> _Kept:
        cut = start // _CUT_S * _CUT_S
        kept = self._kept.get(record)
        if kept is not None and kept.revision == record.revision and kept.cut == cut:
            return kept
        all_series = self._cache.of(record)
        if kept is None or kept.cut != cut:
            kept = self._kept[record] = _Kept(cut, len(all_series))
        for i in self._cache.touched(record, kept.revision):
            kept.renew(i, all_series[i])
        kept.revision = record.revision
        return kept


class Batch:
    """Observations in segments: patient after patient, in it variable after variable."""

    def __init__(
        self, times: Array, values: Array, lengths: Index, starts: Array, as_of: Array
    ) -> None:
        """`times`, `values` (O,), `lengths` (S,), `starts`, `as_of` (P,) epoch seconds."""
        self.patients = len(as_of)
        by_patient = lengths.reshape(self.patients, -1).sum(1)
        until = np.repeat(as_of, by_patient)
        counts = (times >= np.repeat(starts, by_patient)) & (times <= until)
        if not counts.all():
            segment = np.repeat(np.arange(len(lengths)), lengths)
            lengths = np.bincount(segment[counts], minlength=len(lengths))
            times, values, until = times[counts], values[counts], until[counts]
        self.lengths: Index = lengths  # (S,)
        # One more at the end, so that a segment's end is always a place.
        self.values: Array = np.append(values, 0.0)
        self.ages: Array = np.append((until - times) / HOUR_S, 0.0)  # hours before the question
        ends = np.cumsum(lengths)
        full = np.flatnonzero(lengths)
        begin, end = ends[full] - lengths[full], ends[full]
        self.all = View(self, full, begin, end, np.arange(len(full)), adjacent=True)
        self._younger: dict[float, Index] = {}

    def younger(self, hours: float) -> Index:
        """For each segment of `all` the number of observations younger than so many hours."""
        found = self._younger.get(hours)
        if found is None:
            found = self.all.reduce(np.add, (self.ages < hours).astype(np.int64))
            self._younger[hours] = found
        return found


class View(NamedTuple):
    """Stretches of segments, each with an observation at least; statistics of them are (K,)."""

    batch: Batch
    segments: Index  # which they are part of
    begin: Index
    end: Index
    which: Index  # places of the segments in the view of all
    adjacent: bool  # does each begin where the one before ends?

    def reduce(self, how: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
        """A reduction over each stretch; the same for a segment whatever else is in the batch."""
        if not len(self.segments):
            return values[:0]
        if self.adjacent:
            return np.asarray(how.reduceat(values[: self.end[-1]], self.begin))
        edges = np.stack([self.begin, self.end], 1).ravel()
        return np.asarray(how.reduceat(values, edges)[::2])

    def of(self, variables: NDArray[np.bool_]) -> View:
        """Of some variables alone; `variables` (V,)."""
        chosen = variables[self.segments % len(variables)]
        return self._some(chosen, self.begin[chosen])

    def within(self, hours: float) -> View:
        """What is younger than so many hours."""
        recent = self.batch.younger(hours)[self.which]
        some = recent > 0
        return self._some(some, (self.end - recent)[some])

    def _some(self, which: NDArray[np.bool_], begin: Index) -> View:
        """Some of the stretches, from other places on."""
        return View(
            self.batch,
            self.segments[which],
            begin,
            self.end[which],
            self.which[which],
            adjacent=False,
        )

    def spread(self, *statistics: Array) -> Array:
        """(K,) each → (statistics, P, V), NaN where there is nothing."""
        table = np.full((len(statistics), len(self.batch.lengths)), np.nan)
        table[:, self.segments] = statistics
        return table.reshape(len(statistics), self.batch.patients, -1)
