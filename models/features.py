"""From a patient's record and a time to numbers: one function for training and serving.

Only what was true of the patient by `as_of`, within the last 48 hours and not before the present
stay, is looked at. All times are relative to `as_of` or to the start of the stay: a record moved
by any number of seconds gives the same numbers. What was not measured is NaN, and models treat
that as information of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from connectors.facts import Observation, PersonDetail
from models.record import PatientRecord
from models.series import Rejected, Series, SeriesCache, rejected
from models.variables import CATALOGUE, Variable

WINDOW_S = 48 * 3600.0
HOUR_S = 3600.0
NAN = math.nan

# What is computed of a variable. Bundles name these: changing what one means needs a new name.
MEASURED = ("last", "first", "lowest", "highest", "mean", "spread", "trend", "hours_since")
SUMMED = ("last", "highest", "mean", "hours_since", "sum_6h", "sum_12h", "sum_24h", "sum_48h")
CODED = ("last", "hours_since", "hours_since_first")
WORDS = {
    "last": "last",
    "first": "first",
    "lowest": "lowest",
    "highest": "highest",
    "mean": "mean",
    "spread": "spread",
    "trend": "change since first",
    "hours_since": "hours since last",
    "hours_since_first": "hours since first",
    "sum_6h": "sum of 6 h",
    "sum_12h": "sum of 12 h",
    "sum_24h": "sum of 24 h",
    "sum_48h": "sum of 48 h",
}
_TIMED = frozenset({"hours_since", "hours_since_first"})


class Feature(NamedTuple):
    """One number."""

    name: str  # variable.statistic
    variable: str  # "" for what is not an observation
    statistic: str
    display: str
    unit: str


def _features_of(variable: Variable) -> list[Feature]:
    return [
        Feature(
            f"{variable.name}.{statistic}",
            variable.name,
            statistic,
            f"{variable.display}, {WORDS[statistic]}",
            "h" if statistic in _TIMED else variable.unit,
        )
        for statistic in statistics(variable)
    ]


def statistics(variable: Variable) -> tuple[str, ...]:
    """What is computed of it."""
    if variable.answers:
        return CODED
    return SUMMED if variable.name == "urine" else MEASURED


CONTEXT = (
    Feature("age", "", "age", "Age", "a"),
    Feature("male", "", "male", "Male sex", ""),
    Feature("hours", "", "hours", "Hours in the stay", "h"),
)
FEATURES: tuple[Feature, ...] = CONTEXT + tuple(f for v in CATALOGUE for f in _features_of(v))
_INDEX = {v.name: i for i, v in enumerate(CATALOGUE)}
HOURS = 2  # column of `hours`
CODES: frozenset[str] = frozenset(code for v in CATALOGUE for code in v.codes)


def contract() -> dict[str, object]:
    """What the meaning of the numbers rests on; a bundle made under another one is refused."""
    return {
        "window_s": WINDOW_S,
        "features": [f.name for f in FEATURES],
        "variables": {
            v.name: [v.unit, v.low, v.high, v.molar_mass, v.valence, list(v.codes)]
            for v in CATALOGUE
        },
    }


# ── statistics of one variable, from its values in the window ──────────────────────────────────


def _measured(series: Series, lo: int, hi: int) -> list[float]:
    values = series.values[lo:hi]
    n = hi - lo
    # fsum is exact: the mean does not depend on the order or on how often it was updated.
    mean = math.fsum(values) / n
    spread = math.sqrt(math.fsum([(v - mean) ** 2 for v in values]) / n) if n > 1 else NAN
    trend = values[-1] - values[0] if n > 1 else NAN
    return [values[-1], values[0], min(values), max(values), mean, spread, trend, NAN]


def _summed(series: Series, lo: int, hi: int) -> list[float]:
    values = series.values[lo:hi]
    mean = math.fsum(values) / (hi - lo)
    return [values[-1], max(values), mean, NAN, NAN, NAN, NAN, math.fsum(values)]


def _coded(series: Series, lo: int, hi: int) -> list[float]:
    return [series.values[hi - 1], NAN, NAN]


_Block = Callable[[Series, int, int], list[float]]


def _kind(variable: Variable) -> tuple[_Block, int]:
    """How to compute its block, and the position of `hours_since` in it."""
    block = {CODED: _coded, SUMMED: _summed, MEASURED: _measured}[statistics(variable)]
    return block, statistics(variable).index("hours_since")


class Window(NamedTuple):
    """What `vector` looked at, for explanations."""

    start: float
    as_of: float
    newest: float | None  # time of the newest observation that counted
    spans: list[tuple[int, int]]  # for each variable, indices into its series
    series: list[Series]


_Key = tuple[int, int, int]


class FeatureReader:
    """Computes features, remembering per patient what has not changed since the last time."""

    def __init__(self) -> None:
        self._series = SeriesCache(CATALOGUE)
        self._blocks: WeakKeyDictionary[PatientRecord, list[tuple[_Key, list[float]] | None]] = (
            WeakKeyDictionary()
        )
        self._kinds = [_kind(v) for v in CATALOGUE]
        self._empty = [[NAN] * len(statistics(v)) for v in CATALOGUE]
        self._urine = next(i for i, v in enumerate(CATALOGUE) if v.name == "urine")
        self._coded = {i for i, v in enumerate(CATALOGUE) if v.answers}

    def read(self, record: PatientRecord, as_of: float) -> tuple[list[float], Window]:
        """The features, in the order of `FEATURES`, and the window that they rest on."""
        start = window_start(record, as_of)
        all_series = self._series.of(record)
        blocks = self._blocks.get(record)
        if blocks is None:
            blocks = [None] * len(CATALOGUE)
            self._blocks[record] = blocks
        row: list[float] = [NAN, NAN, NAN]
        spans: list[tuple[int, int]] = []
        newest = oldest = None
        for i, series in enumerate(all_series):
            lo, hi = span = series.span(start, as_of)
            spans.append(span)
            if lo == hi:
                row += self._empty[i]
                continue
            last, first = series.times[hi - 1], series.times[lo]
            newest = last if newest is None or last > newest else newest
            oldest = first if oldest is None or first < oldest else oldest
            row += self._block(i, series, (series.version, lo, hi), as_of, blocks)
        row[:3] = _context(record, as_of, oldest)
        return row, Window(start, as_of, newest, spans, all_series)

    def _block(
        self,
        i: int,
        series: Series,
        key: _Key,
        as_of: float,
        blocks: list[tuple[_Key, list[float]] | None],
    ) -> list[float]:
        make, gap = self._kinds[i]
        _, lo, hi = key
        kept = blocks[i]
        if kept is None or kept[0] != key:
            kept = blocks[i] = (key, make(series, lo, hi))
        block = kept[1]
        block[gap] = (as_of - series.times[hi - 1]) / HOUR_S
        if i == self._urine:
            for at, hours in ((4, 6), (5, 12), (6, 24)):
                since, _ = series.span(as_of - hours * HOUR_S, as_of)
                block[at] = math.fsum(series.values[max(lo, since) : hi])
        elif i in self._coded:
            block[2] = (as_of - series.times[lo]) / HOUR_S
        return block

    def matrix(
        self, patients: Sequence[tuple[PatientRecord, float]]
    ) -> tuple[NDArray[np.float64], list[Window]]:
        """Features of many patients: (patients, features), NaN where not measured."""
        rows, windows = [], []
        for record, as_of in patients:
            row, window = self.read(record, as_of)
            rows.append(row)
            windows.append(window)
        shape = (len(rows), len(FEATURES))
        return np.array(rows, dtype=np.float64).reshape(shape), windows


def _context(record: PatientRecord, as_of: float, oldest: float | None) -> tuple[float, ...]:
    age = record.age(as_of)
    male = {"M": 1.0, "F": 0.0}.get(str(record.person(PersonDetail.SEX)), NAN)
    stay = record.stay(as_of)
    began = stay.start if stay is not None else oldest
    hours = NAN if began is None else min(as_of - began, WINDOW_S) / HOUR_S
    return (NAN if age is None else age, male, hours)


def window_start(record: PatientRecord, as_of: float) -> float:
    """The earliest time that counts: 48 hours back, not before the present stay."""
    stay = record.stay(as_of)
    return as_of - WINDOW_S if stay is None else max(as_of - WINDOW_S, stay.start)


def rejected_inputs(record: PatientRecord, as_of: float) -> list[Rejected]:
    """What lies in the window and could not be used, with the reason."""
    return rejected(record, CATALOGUE, window_start(record, as_of), as_of)


def behind(feature: Feature, window: Window) -> Observation | None:
    """The observation that a feature's value stands for; None when there is none."""
    if not feature.variable:
        return None
    i = _INDEX[feature.variable]
    lo, hi = window.spans[i]
    if lo == hi:
        return None
    series = window.series[i]
    at = hi - 1
    if feature.statistic in {"first", "hours_since_first"}:
        at = lo
    elif feature.statistic in {"lowest", "highest"}:
        values = series.values[lo:hi]
        extreme = min(values) if feature.statistic == "lowest" else max(values)
        at = lo + values.index(extreme)
    return series.observations[at]
