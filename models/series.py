"""A patient's variables as converted time series, kept up to date as the record folds.

Each observation is converted once. The cache lives as long as the record does and follows it by
the identity and length of the record's own series: a new value at the end is appended, anything
else (a correction, a deletion, late data) rebuilds that one variable.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple
from weakref import WeakKeyDictionary

from connectors.facts import Observation
from models.record import PatientRecord
from models.units import Rejection, canonical
from models.variables import Variable


class Rejected(NamedTuple):
    """An observation that a model would have read and could not."""

    variable: str
    observation: Observation
    reason: Rejection


class Series:
    """One variable of one patient: what could be used, by (time, value).

    Values of equal time are ordered by value, not by the identity of their fact: two feeds of the
    same patient give the same series.
    """

    __slots__ = ("_sources", "observations", "times", "values", "version")

    def __init__(self) -> None:
        self.times: list[float] = []
        self.values: list[float] = []  # canonical unit
        self.observations: list[Observation] = []
        self.version = 0  # changes whenever something else than the end does
        self._sources: list[tuple[list[Observation], int]] = []

    def refresh(self, record: PatientRecord, variable: Variable) -> None:
        """Follow the record."""
        filled = [s for code in variable.codes if (s := record.series(code))]
        old = self._sources
        same_lists = len(filled) == len(old) and all(
            s is seen for s, (seen, _) in zip(filled, old, strict=True)
        )
        if same_lists and all(len(s) == n for s, n in old):
            return
        if same_lists and len(filled) == 1 and len(filled[0]) > old[0][1]:
            self._append(filled[0][old[0][1] :], variable)
        else:
            self._rebuild(filled, variable)
        self._sources = [(s, len(s)) for s in filled]

    def _append(self, new: list[Observation], variable: Variable) -> None:
        for observation in new:
            value = canonical(variable, observation)
            if not isinstance(value, Rejection):
                self.times.append(observation.time)
                self.values.append(value)
                self.observations.append(observation)

    def _rebuild(self, sources: list[list[Observation]], variable: Variable) -> None:
        rows = [
            (o.time, value, o)
            for source in sources
            for o in source
            if not isinstance(value := canonical(variable, o), Rejection)
        ]
        rows.sort(key=lambda row: row[:2])
        self.times = [time for time, _, _ in rows]
        self.values = [value for _, value, _ in rows]
        self.observations = [observation for _, _, observation in rows]
        self.version += 1

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


class SeriesCache:
    """The series of many patients; forgets a patient when the record goes."""

    def __init__(self, variables: tuple[Variable, ...]) -> None:
        self.variables = variables
        self._patients: WeakKeyDictionary[PatientRecord, list[Series]] = WeakKeyDictionary()

    def of(self, record: PatientRecord) -> list[Series]:
        """One up-to-date series for each variable, in order."""
        found = self._patients.get(record)
        if found is None:
            found = [Series() for _ in self.variables]
            self._patients[record] = found
        for series, variable in zip(found, self.variables, strict=True):
            series.refresh(record, variable)
        return found


def rejected(
    record: PatientRecord, variables: tuple[Variable, ...], start: float, end: float
) -> list[Rejected]:
    """What was sent between two times and could not be used, with the reason, by time."""
    found = [
        Rejected(variable.name, observation, value)
        for variable in variables
        for code in variable.codes
        for observation in record.between(code, start, end)
        if isinstance(value := canonical(variable, observation), Rejection)
    ]
    return sorted(found, key=lambda r: (r.observation.time, r.observation.id))
