"""A patient's variables as converted time series, kept up to date as the record folds.

Each observation is converted once. The cache lives as long as the record does and follows it by
the identity and length of the record's own series: a new value at the end is appended, anything
else (a correction, a deletion, late data) rebuilds that one variable.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from weakref import WeakKeyDictionary

from connectors.clock import iso
from connectors.contract import SetAside
from connectors.facts import Observation
from models.record import PatientRecord
from models.units import Rejection, canonical
from models.variables import Variable


class Rejected(NamedTuple):
    """An observation that a model would have read and could not."""

    time: float
    observation: Observation
    reason: Rejection


class Series:
    """One variable of one patient: what could be used, by (time, value).

    Values of equal time are ordered by value, not by the identity of their fact: two feeds of the
    same patient give the same series.
    """

    __slots__ = (
        "_revision", "_sources", "_taken", "observations", "rejected", "times", "values", "version",
    )  # fmt: skip

    def __init__(self) -> None:
        self.times: list[float] = []
        self.values: list[float] = []  # canonical unit
        self.observations: list[Observation] = []
        self.rejected: list[Rejected] = []  # by time
        self.version = 0  # changes whenever something else than the end does
        self._revision = -1  # of the record that was followed last
        self._sources: list[list[Observation]] = []
        self._taken: list[int] = []  # how much of each

    def refresh(self, record: PatientRecord, variable: Variable) -> None:
        """Follow the record, unless another reader had it done."""
        if self._revision != record.revision:
            self._follow(record, variable)
            self._revision = record.revision  # not where that raised: the next reader tries again

    def _follow(self, record: PatientRecord, variable: Variable) -> None:
        filled = [s for code in variable.codes if (s := record.series(code))]
        # What came at the end of lists that are the same is taken over; else all is read anew.
        new: list[Observation] = []
        same = len(filled) == len(self._sources)
        for s, seen, n in zip(filled, self._sources, self._taken, strict=False):
            same = same and s is seen
            if len(s) > n:
                new += s[n:]
        if same and self._append(new, variable):
            self._taken[:] = map(len, filled)  # in place: new lists are work for the collector
            return
        self._rebuild(filled, variable)
        self._sources, self._taken = filled, [len(s) for s in filled]

    def _append(self, new: list[Observation], variable: Variable) -> bool:
        """Add what came at the end; False when it does not belong there."""
        rows, rejected = _rows(new, variable)
        if rows and self.times and rows[0][0] <= self.times[-1]:
            return False
        self._extend(rows, rejected)
        return True

    def _rebuild(self, sources: list[list[Observation]], variable: Variable) -> None:
        rows, rejected = _rows((o for source in sources for o in source), variable)
        self.times, self.values, self.observations, self.rejected = [], [], [], []
        self._extend(rows, rejected)
        self.version += 1

    def _extend(
        self, rows: list[tuple[float, float, Observation]], rejected: list[Rejected]
    ) -> None:
        if rejected:
            self.rejected += rejected
            self.rejected.sort(key=lambda r: (r.time, r.observation.id))
        if len(rows) == 1:  # nearly always
            time, value, observation = rows[0]
            self.times.append(time)
            self.values.append(value)
            self.observations.append(observation)
            return
        self.times += [time for time, _, _ in rows]
        self.values += [value for _, value, _ in rows]
        self.observations += [observation for _, _, observation in rows]

    def span(self, start: float, end: float) -> tuple[int, int]:
        """Indices [lo, hi) of start <= time <= end."""
        times = self.times
        hi = len(times)
        if hi and times[-1] > end:
            hi = bisect_right(times, end)
        lo = 0
        if hi and times[0] < start:
            lo = bisect_left(times, start, 0, hi)
        return lo, hi

    def newest(self, lo: int, hi: int) -> slice:
        """Of the indices [lo, hi) those of the newest time: several, where feeds contradict."""
        return slice(bisect_left(self.times, self.times[hi - 1], lo, hi), hi)


def _rows(
    observations: Iterable[Observation], variable: Variable
) -> tuple[list[tuple[float, float, Observation]], list[Rejected]]:
    """(time, canonical value, observation) of those that can be used, in order; and the others."""
    rows, rejected = [], []
    for o in observations:
        value = canonical(variable, o)
        if isinstance(value, Rejection):
            rejected.append(Rejected(o.time, o, value))
        else:
            rows.append((o.time, value, o))
    if len(rows) > 1:
        rows.sort(key=lambda row: row[:2])
    return rows, rejected


# Of each record what any reader of it follows: one series for each variable, whoever asks.
_FOLLOWED: WeakKeyDictionary[PatientRecord, dict[Variable, Series]] = WeakKeyDictionary()


@dataclass(slots=True)
class _Followed:
    """A record, as far as it was followed."""

    series: list[Series]
    touched: set[int]  # positions of the variables that changed with the last step
    since: int = -1  # the revision before that step
    revision: int = -1


class SeriesCache:
    """The series of many patients; forgets a patient when the record goes.

    Readers of the same variable share its series, so that an observation is converted once.
    """

    def __init__(self, variables: tuple[Variable, ...]) -> None:
        self.variables = variables
        self._read_by: dict[str, list[int]] = {}  # code → positions of the variables that read it
        for i, variable in enumerate(variables):
            for code in variable.codes:
                self._read_by.setdefault(code, []).append(i)
        self._patients: WeakKeyDictionary[PatientRecord, _Followed] = WeakKeyDictionary()

    def of(self, record: PatientRecord) -> list[Series]:
        """One up-to-date series for each variable, in order."""
        known = self._patients.get(record)
        if known is None:
            followed = _FOLLOWED.setdefault(record, {})
            series = [followed.setdefault(variable, Series()) for variable in self.variables]
            known = self._patients[record] = _Followed(series, set(range(len(series))))
        elif known.revision != record.revision:
            known.since, known.touched = known.revision, self._changed(record, known.revision)
        else:
            return known.series
        for i in known.touched:
            known.series[i].refresh(record, self.variables[i])
        known.revision = record.revision
        return known.series

    def forget(self, record: PatientRecord) -> None:
        """Look at all of a patient's series again. They are others' too, and stay."""
        self._patients.pop(record, None)

    def touched(self, record: PatientRecord, revision: int) -> set[int]:
        """Positions of the variables that may have changed since a revision of the record.

        Shared: do not change it.
        """
        known = self._patients.get(record)
        if known is not None and (known.since, known.revision) == (revision, record.revision):
            return known.touched
        return self._changed(record, revision)

    def _changed(self, record: PatientRecord, revision: int) -> set[int]:
        codes = record.changed_since(revision)
        return {i for code in codes for i in self._read_by.get(code, ())}


def not_used(
    variables: Sequence[Variable], series: Sequence[Series], start: float, as_of: float,
    which: Iterable[int] | None = None,
) -> list[SetAside]:  # fmt: skip
    """Of each variable the newest observation, if it cannot be used and what can is older.

    `which`: positions of those that may have one, where that is known.
    """
    found: list[SetAside] = []
    for i in range(len(variables)) if which is None else which:
        if series[i].rejected:
            lo, hi = series[i].span(start, as_of)
            last = series[i].times[hi - 1] if hi > lo else None
            one = _set_aside(variables[i], series[i], last, start, as_of)
            if one is not None:
                found.append(one)
    return found


def _set_aside(
    variable: Variable, series: Series, last: float | None, start: float, as_of: float
) -> SetAside | None:
    """The newest observation that cannot be used, if it is newer than the newest that can.

    `last` is the time of the latter, None where there is none from `start` on.
    """
    since = start if last is None else last
    found = next((r for r in reversed(series.rejected) if r.time <= as_of), None)
    if found is None or found.time < since or found.time == last:
        return None
    value = found.observation.value
    return SetAside(
        feature=variable.display,
        value=value if isinstance(value, float | int) and math.isfinite(value) else None,
        unit=found.observation.unit,
        as_of=iso(found.time),
        reason=found.reason.value,
    )
