"""From a patient's record and a time to numbers: one function for training and serving.

Only what was true of the patient by `as_of`, within the last 48 hours and not before the present
stay, is looked at. All times are relative to `as_of` or to the start of the stay: a record moved
by any number of seconds gives the same numbers. What was not measured is NaN, and models treat
that as information of its own.

A reader keeps each patient's row. A new observation changes its own variable and what is derived of
it; the passing of time alone changes a few columns, which are filled in for a whole batch at once.

Letters in shape comments: N patients, F features, V variables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from connectors.contract import SetAside
from connectors.facts import PersonDetail
from models.carried import Seat
from models.derived import DERIVED, ON_DEMAND
from models.record import PatientRecord, year_of
from models.series import Series, SeriesCache, not_used
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
    variable: str  # or the group of derived ones; "" for what is not an observation
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
AMOUNTS = (
    Feature("amount.values", "amount", "values", "Values known, number", "1"),
    Feature("amount.variables", "amount", "variables", "Variables known, number", "1"),
    Feature("amount.on_demand", "amount", "on_demand", "Tests on demand known, number", "1"),
)
FEATURES: tuple[Feature, ...] = (
    *CONTEXT,
    *(f for v in CATALOGUE for f in _features_of(v)),
    *(Feature(d.name, d.group, d.name.partition(".")[2], d.display, d.unit) for d in DERIVED),
    *AMOUNTS,
)
COLUMN = {f.name: j for j, f in enumerate(FEATURES)}
_INDEX = {v.name: i for i, v in enumerate(CATALOGUE)}
HOURS = COLUMN["hours"]
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


def _kind(variable: Variable) -> _Block:
    """How to compute its block."""
    return {CODED: _coded, SUMMED: _summed, MEASURED: _measured}[statistics(variable)]


class Window(NamedTuple):
    """What a row was read from, for explanations."""

    start: float
    as_of: float
    newest: float | None  # time of the newest observation that counted
    spans: list[tuple[int, int]]  # for each variable, indices into its series
    series: list[Series]
    seat: Seat  # of the patient, in the model's forests
    rejecting: frozenset[int]  # variables of which something could not be used
    tied: frozenset[int]  # variables of which several values are the newest
    unknown: list[str]  # what those without a value are called. Shared: do not change it

    def newest_of(self, i: int) -> list[float]:
        """All newest values of variable i, ascending: several, where feeds contradict."""
        (lo, hi), series = self.spans[i], self.series[i]
        return series.values[series.newest(lo, hi)]

    def not_used(self) -> list[SetAside]:
        """Variables whose newest observation in the window could not be used, in their order."""
        return not_used(CATALOGUE, self.series, self.start, self.as_of, sorted(self.rejecting))


# Columns by what changes them. All but those of time change with an observation only.
_STARTS = [COLUMN[f"{v.name}.{statistics(v)[0]}"] for v in CATALOGUE]
_GAPS = np.array([COLUMN[f"{v.name}.hours_since"] for v in CATALOGUE])
_CODED = [i for i, v in enumerate(CATALOGUE) if v.answers]
_SINCE_FIRST = np.array([COLUMN[f"{CATALOGUE[i].name}.hours_since_first"] for i in _CODED])
_COUNTED = [i for i, v in enumerate(CATALOGUE) if not v.answers]
_ON_DEMAND = [_INDEX[name] for name in sorted(ON_DEMAND)]
_URINE = _INDEX["urine"]
_NO_YEAR = -1
_OLDEST = 120  # years; who is said to be older has a date of birth that stands for "not known"
_counted, _on_demand = itemgetter(*_COUNTED), itemgetter(*_ON_DEMAND)
_AGE, _MALE_AT = COLUMN["age"], COLUMN["male"]
_MALE: dict[object, float] = {"M": 1.0, "F": 0.0}
_SUMS = tuple((COLUMN[f"urine.sum_{h}h"], h * HOUR_S) for h in (6, 12, 24))


class _Formula(NamedTuple):
    """A derived feature by columns."""

    column: int
    inputs: tuple[int, ...]
    combine: Callable[..., float]


def _formulas() -> tuple[dict[int, list[_Formula]], list[_Formula]]:
    """What follows from each variable, in order; and what follows from the time."""
    rests_on: dict[str, set[str]] = {f.name: {f.variable} for f in FEATURES}
    by_variable: dict[int, list[_Formula]] = {}
    by_time: list[_Formula] = []
    for d in DERIVED:
        variables = set().union(*(rests_on[name] for name in d.inputs)) - {""}
        rests_on[d.name] = variables
        formula = _Formula(COLUMN[d.name], tuple(COLUMN[n] for n in d.inputs), d.combine)
        if "hours" in d.inputs:
            by_time.append(formula)
            continue
        for name in variables:
            by_variable.setdefault(_INDEX[name], []).append(formula)
    return by_variable, by_time


_BY_VARIABLE, _BY_TIME = _formulas()
_WITH_AGE = [f for fs in _BY_VARIABLE.values() for f in fs if COLUMN["age"] in f.inputs]


class _Kept:
    """A patient's row, and for which times it holds."""

    __slots__ = (
        "begins", "born", "counts", "ends", "first", "last", "male", "newest", "next", "oldest",
        "rejecting", "revision", "row", "seat", "spans", "start", "summed", "tied", "unknown",
        "upcoming", "values", "year",
    )  # fmt: skip

    def __init__(self) -> None:
        self.revision = -1
        self.start = -math.inf
        self.newest, self.oldest, self.next = -math.inf, math.inf, math.inf
        self.values = [NAN] * len(FEATURES)  # the row, as numbers that Python adds fast
        self.row = np.full(len(FEATURES), NAN)
        self.last = np.full(len(CATALOGUE), NAN)  # (V,) time of the newest that counts
        self.first = np.full(len(CATALOGUE), NAN)
        # The same once more, as numbers of which Python finds the extremes fast.
        self.ends = [-math.inf] * len(CATALOGUE)
        self.begins = [math.inf] * len(CATALOGUE)
        self.upcoming = [math.inf] * len(CATALOGUE)  # (V,) time of the next that will count
        self.spans = [(0, 0)] * len(CATALOGUE)
        self.counts = [0] * len(CATALOGUE)
        self.rejecting: frozenset[int] = frozenset()
        self.tied: frozenset[int] = frozenset()
        self.unknown = [v.display for v in CATALOGUE]
        self.born = self.male = NAN
        self.year = _NO_YEAR  # for which the age holds
        self.summed = (math.inf, -math.inf)  # first and last time for which the sums hold
        self.seat = Seat()

    def crossing(self, start: float, as_of: float) -> set[int]:
        """Variables of which an observation leaves the window or enters it as time goes on."""
        found: set[int] = set()
        if start > self.oldest:
            found.update((self.first < start).nonzero()[0].tolist())
        if as_of >= self.next:
            found.update(i for i, time in enumerate(self.upcoming) if time <= as_of)
        return found

    def returning(self, start: float, as_of: float, all_series: list[Series]) -> set[int]:
        """Variables of which an observation leaves the window or enters it as time goes back."""
        found: set[int] = set()
        if as_of < self.newest:
            found.update((self.last > as_of).nonzero()[0].tolist())
        if start < self.start:
            spans = zip(self.spans, all_series, strict=True)
            # A series may have lost what lay before the window, too.
            found.update(
                i
                for i, ((lo, _), s) in enumerate(spans)
                if lo and (lo > len(s.times) or s.times[lo - 1] >= start)
            )
        return found


class FeatureReader:
    """Computes features, remembering per patient what has not changed since the last time."""

    def __init__(self) -> None:
        self._series = SeriesCache(CATALOGUE)
        self._kept: WeakKeyDictionary[PatientRecord, _Kept] = WeakKeyDictionary()
        self._blocks = [_kind(v) for v in CATALOGUE]
        self._empty = [[NAN] * len(statistics(v)) for v in CATALOGUE]

    def forget(self, records: Iterable[PatientRecord]) -> None:
        """These patients are strangers from now on, with new seats."""
        for record in records:
            self._kept.pop(record, None)
            self._series.forget(record)

    def read(self, record: PatientRecord, as_of: float) -> tuple[list[float], Window]:
        """The features, in the order of `FEATURES`, and the window that they rest on."""
        x, windows = self.matrix([(record, as_of)])
        row: list[float] = x[0].tolist()
        return row, windows[0]

    def matrix(
        self, patients: Sequence[tuple[PatientRecord, float]]
    ) -> tuple[NDArray[np.float64], list[Window]]:
        """Features of many patients: (N, F), NaN where not measured."""
        n = len(patients)
        x = np.empty((n, len(FEATURES)))
        last, first = np.empty((n, len(CATALOGUE))), np.empty((n, len(CATALOGUE)))
        windows: list[Window] = []
        began: list[float] = []
        for i, (record, as_of) in enumerate(patients):
            kept, window, since = self._follow(record, as_of)
            x[i], last[i], first[i] = kept.row, kept.last, kept.first
            windows.append(window)
            began.append(since)
        now = np.array([as_of for _, as_of in patients])
        x[:, HOURS] = np.minimum(now - np.array(began), WINDOW_S) / HOUR_S
        x[:, _GAPS] = (now[:, None] - last) / HOUR_S
        x[:, _SINCE_FIRST] = (now[:, None] - first[:, _CODED]) / HOUR_S
        for column, inputs, combine in _BY_TIME:
            x[:, column] = combine(*[x[:, j] for j in inputs])
        return x, windows

    def _follow(self, record: PatientRecord, as_of: float) -> tuple[_Kept, Window, float]:
        """The patient's row at that time, but for the columns that are filled in by batch; and when
        the stay, or what is known, began."""
        stay = record.stay(as_of)
        start = as_of - WINDOW_S if stay is None else max(as_of - WINDOW_S, stay.start)
        all_series = self._series.of(record)
        kept = self._kept.get(record)
        if kept is None:
            kept = self._kept[record] = _Kept()
        if self._is_other(kept, record, start, as_of):
            self._renew(kept, record, all_series, start, as_of)
        kept.start = start
        self._pass_time(kept, all_series[_URINE], as_of)
        newest = None if kept.newest == -math.inf else kept.newest
        began = kept.oldest if stay is None else stay.start
        window = Window(
            start, as_of, newest, kept.spans.copy(), all_series, kept.seat, kept.rejecting,
            kept.tied, kept.unknown,
        )  # fmt: skip
        return kept, window, NAN if began == math.inf else began

    def _is_other(self, kept: _Kept, record: PatientRecord, start: float, as_of: float) -> bool:
        """Does anything count that did not, or the other way round?"""
        return (
            kept.revision != record.revision
            or start < kept.start
            or start > kept.oldest
            or as_of < kept.newest
            or as_of >= kept.next
        )

    def _renew(
        self, kept: _Kept, record: PatientRecord, all_series: list[Series], start: float,
        as_of: float,
    ) -> None:  # fmt: skip
        """Recompute the variables that count otherwise than before."""
        touched = kept.crossing(start, as_of) | kept.returning(start, as_of, all_series)
        if kept.revision != record.revision:
            touched |= self._series.touched(record, kept.revision)
            kept.revision = record.revision
            self._renew_person(kept, record)
        for i in touched:
            self._renew_variable(kept, i, all_series[i], start, as_of)
        if touched:
            _count(kept)

    def _renew_person(self, kept: _Kept, record: PatientRecord) -> None:
        born = record.person(PersonDetail.BIRTH_YEAR)
        male = _MALE.get(record.person(PersonDetail.SEX), NAN)
        known = float(int(born)) if isinstance(born, int | float) else NAN
        if known != kept.born:
            kept.born, kept.year = known, _NO_YEAR
        kept.values[_MALE_AT] = kept.row[_MALE_AT] = male

    def _renew_variable(
        self, kept: _Kept, i: int, series: Series, start: float, as_of: float
    ) -> None:
        lo, hi = kept.spans[i] = series.span(start, as_of)
        times = series.times
        kept.upcoming[i] = times[hi] if hi < len(times) else math.inf
        turned = (hi > lo) != (kept.counts[i] > 0)
        kept.counts[i] = hi - lo
        if turned:
            names = zip(CATALOGUE, kept.counts, strict=True)
            kept.unknown = [v.display for v, count in names if not count]
        if series.rejected or i in kept.rejecting:
            kept.rejecting = _set(kept.rejecting, i, bool(series.rejected))
        tied = hi - lo > 1 and times[hi - 1] == times[hi - 2]
        if tied or i in kept.tied:
            kept.tied = _set(kept.tied, i, tied)
        if hi > lo:
            kept.last[i] = kept.ends[i] = times[hi - 1]
            kept.first[i] = kept.begins[i] = times[lo]
            block = self._blocks[i](series, lo, hi)
        else:
            kept.last[i] = kept.first[i] = NAN
            kept.ends[i], kept.begins[i] = -math.inf, math.inf
            block = self._empty[i]
        at = _STARTS[i]
        kept.values[at : at + len(block)] = block
        kept.row[at : at + len(block)] = block
        if i == _URINE:
            kept.summed = (math.inf, -math.inf)
        _derive(kept, _BY_VARIABLE.get(i, ()))

    def _pass_time(self, kept: _Kept, urine: Series, as_of: float) -> None:
        """What changes with the time now and then: the age, urine of the last hours."""
        year = year_of(as_of)
        if year != kept.year:
            kept.year = year
            age = year - kept.born
            kept.values[_AGE] = kept.row[_AGE] = NAN if age > _OLDEST else age
            _derive(kept, _WITH_AGE)
        lo, hi = kept.spans[_URINE]
        if hi > lo and not kept.summed[0] <= as_of <= kept.summed[1]:
            self._sum(kept, urine, lo, hi, as_of)

    def _sum(self, kept: _Kept, urine: Series, lo: int, hi: int, as_of: float) -> None:
        until = math.inf
        for column, seconds in _SUMS:
            since = max(lo, urine.span(as_of - seconds, as_of)[0])
            if since < hi:
                until = min(until, urine.times[since] + seconds)
            kept.values[column] = kept.row[column] = math.fsum(urine.values[since:hi])
        kept.summed = (as_of, until)


def _set(those: frozenset[int], i: int, belongs: bool) -> frozenset[int]:
    return those | {i} if belongs else those - {i}


def _derive(kept: _Kept, formulas: Iterable[_Formula]) -> None:
    values, row = kept.values, kept.row
    for column, inputs, combine in formulas:
        values[column] = row[column] = combine(*[values[j] for j in inputs])


def _count(kept: _Kept) -> None:
    """How much is known, and for which times the row holds."""
    counts = kept.counts
    known = _counted(counts)
    on_demand = len(_ON_DEMAND) - _on_demand(counts).count(0)
    amounts = (sum(known), len(known) - known.count(0), on_demand)
    kept.values[-len(AMOUNTS) :] = amounts
    kept.row[-len(AMOUNTS) :] = amounts
    kept.next = min(kept.upcoming)
    kept.newest, kept.oldest = max(kept.ends), min(kept.begins)
