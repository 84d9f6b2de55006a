"""Why a score is what it is, and what would change it.

Letters in shape comments: N patients, F features, G groups, K features of the largest group,
V variables, A anchors, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from connectors.clock import iso
from connectors.contract import Contribution, Missing
from models.features import COLUMN, CONTEXT, FEATURES, HOURS, Window
from models.variables import CATALOGUE

Array = NDArray[np.float64]
Places = NDArray[np.intp]

TOP = 8
REST = "Everything else"
_NO_COLUMN = -1
_MICRO = 1e6  # what is printed is counted in millionths: whole numbers add up


def _groups() -> list[list[int]]:
    """Columns that are shown as one: a variable's, a group's of derived ones, each of context."""
    alone = [[j] for j in range(len(CONTEXT))]
    by_variable: dict[str, list[int]] = {v.name: [] for v in CATALOGUE}
    for j, feature in enumerate(FEATURES[len(CONTEXT) :], len(CONTEXT)):
        by_variable.setdefault(feature.variable, []).append(j)
    return [*alone, *by_variable.values()]


GROUPS = _groups()
_FIRST_VARIABLE = len(CONTEXT)
_VARIABLES = slice(_FIRST_VARIABLE, _FIRST_VARIABLE + len(CATALOGUE))
_GAPS = [COLUMN[f"{v.name}.hours_since"] for v in CATALOGUE]
_TIED_TO_TIME = frozenset({"first", "hours_since_first", "lowest", "highest"})
_STATISTICS = [f.statistic for f in FEATURES]
_WORDS = [(f.display, f.unit) for f in FEATURES]
_NAMES = [v.display for v in CATALOGUE]
_N_VARIABLES = len(CATALOGUE)
_CHUNK = 128  # patients at a time: what a chunk needs stays in the processor's cache
_UNKNOWN = [f"{v.display}, not measured" for v in CATALOGUE]


class NextDatum(NamedTuple):
    """What a new observation of each variable is expected to bring.

    `anchors` (A,): hours in the stay. `fresh` (A, V, Q): quantiles, over training patients who had
    just been measured, of what the variable adds to the log-odds. `usual_gap_h` (V,): the usual
    time between two measurements.
    """

    anchors: Array
    fresh: Array
    usual_gap_h: Array


class Explainer:
    """Contributions and the next datum, from what each feature adds.

    In numpy: most batches are of one patient, and its calls cost a third of torch's there.
    """

    def __init__(self, next_datum: NextDatum) -> None:
        self._next = NextDatum(*(a.astype(np.float64) for a in next_datum))
        self._logs = np.log(self._next.anchors)
        self._by_group = np.concatenate(GROUPS)  # (F,) columns, group after group
        self._first = np.cumsum([0, *(len(columns) for columns in GROUPS[:-1])])  # (G,)
        longest = max(len(columns) for columns in GROUPS)
        self._columns = np.full((len(GROUPS), longest), _NO_COLUMN)  # (G, K), padded
        for g, columns in enumerate(GROUPS):
            self._columns[g, : len(columns)] = columns

    def __call__(
        self, x: Array, windows: list[Window], parts: Array, llr: Array
    ) -> list[tuple[list[Contribution], Missing]]:
        """For each patient what adds most, by group, summing to the llr; and what is missing.

        `parts` (N, F) is what each feature adds. What is left to the llr (the mean of the forest
        against the baseline) counts as a contribution of the time in the stay.
        """
        found: list[tuple[list[Contribution], Missing]] = []
        for at in range(0, len(x), _CHUNK):
            some = slice(at, at + _CHUNK)
            found += self._explain(x[some], windows[some], parts[some], llr[some])
        return found

    def _explain(
        self, x: Array, windows: list[Window], parts: Array, llr: Array
    ) -> Iterator[tuple[list[Contribution], Missing]]:
        parts[:, HOURS] += llr - parts.sum(1)
        # Not a product of matrices: that adds in another order for one patient than for many, and
        # what a grid of halves adds up to lies on the very edge of being rounded up.
        sums = np.add.reduceat(parts[:, self._by_group], self._first, axis=1)  # (N, G)
        micros = (sums * _MICRO).round()
        strongest = _strongest(micros)
        rows = np.arange(len(x))[:, None]
        adds = micros[rows, strongest]
        rest = (llr * _MICRO).round() - adds.sum(1)
        shown = self._shown(x, parts, sums, strongest)
        changes = self._expected_changes(x, sums[:, _VARIABLES])
        nearest = changes.argmax(1)
        tops = map(
            _top,
            windows,
            strongest.tolist(),
            shown.tolist(),
            ((x[rows, shown] * 1e4).round() / 1e4).tolist(),
            (adds / _MICRO).tolist(),
            (rest / _MICRO).tolist(),
        )
        expected = ((changes[rows[:, 0], nearest] * _MICRO).round() / _MICRO).tolist()
        return zip(tops, map(_missing, windows, nearest.tolist(), expected), strict=True)

    def _shown(self, x: Array, parts: Array, sums: Array, strongest: Places) -> Places:
        """(N, TOP): of each group the known feature that adds most of it."""
        columns = self._columns[strongest]  # (N, TOP, K)
        rows = np.arange(len(x))[:, None, None]
        signs = np.sign(sums[rows[:, :, 0], strongest])[:, :, None]
        shares = parts[rows, columns] * signs
        unknown = np.isnan(x[rows, columns]) | (columns == _NO_COLUMN)
        shares[unknown] = -np.inf
        chosen: Places = np.take_along_axis(columns, shares.argmax(2)[:, :, None], 2)[:, :, 0]
        return chosen

    def _expected_changes(self, x: Array, now: Array) -> Array:
        """(N, V): expected absolute change of the log-odds by measuring each variable now.

        The new value is drawn from the training patients' at that time of the stay. A variable
        measured within its usual interval is not due: a new value would repeat the old one.
        """
        at, share = self._anchor(x[:, HOURS])
        low, high = self._next.fresh[at - 1], self._next.fresh[at]  # (N, V, Q)
        change = np.abs(low + share[:, None, None] * (high - low) - now[:, :, None]).mean(2)
        due = ~(x[:, _GAPS] <= self._next.usual_gap_h)  # also what was never measured
        expected: Array = np.where(due, change, 0.0)
        return expected

    def _anchor(self, hours: Array) -> tuple[Places, Array]:
        """The anchor to the right of each time, and how far it is on the way there, by its log."""
        logs = self._logs
        t = np.log(np.maximum(hours, 1e-3))
        at = np.searchsorted(logs, t).clip(1, len(logs) - 1)
        return at, ((t - logs[at - 1]) / (logs[at] - logs[at - 1])).clip(0.0, 1.0)


def _strongest(micros: Array) -> Places:
    """(N, G) → (N, TOP) groups with the largest size, ties by position: the same input gives the
    same text. Each size and its position are one number, so that no more than TOP are sorted.
    """
    groups = micros.shape[1]
    order = np.abs(micros).astype(np.int64) * -groups + np.arange(groups)
    first = np.partition(order, TOP - 1, axis=1)[:, :TOP]
    first.sort(axis=1)
    found: Places = first % groups
    return found


def _missing(window: Window, nearest: int, change: float) -> Missing:
    return Missing(
        modalities=[],
        next_datum=_NAMES[nearest] if change > 0 else None,
        expected_change=change if change > 0 else None,
        features=window.unknown,
        set_aside=window.not_used(),
    )


def _top(
    window: Window,
    groups: list[int],
    columns: list[int],
    values: list[float],
    adds: list[float],
    left: float,
) -> list[Contribution]:
    """The strongest, each group shown by the feature that adds most of it, then the rest as one:
    printed contributions sum to the printed llr."""
    found: list[Contribution] = []
    for g, j, value, added in zip(groups, columns, values, adds, strict=True):
        v = g - _FIRST_VARIABLE
        as_of = None
        if 0 <= v < _N_VARIABLES:
            lo, hi = window.spans[v]
            if lo == hi:
                found.append(
                    Contribution(feature=_UNKNOWN[v], value=None, unit="", contribution=added)
                )
                continue
            as_of = _measured_at(window, v, j, hi)
        name, unit = _WORDS[j]
        found.append(
            Contribution(
                feature=name,
                value=None if value != value else value,  # noqa: PLR0124 - NaN: e.g. no sex known
                unit=unit,
                contribution=added,
                as_of=as_of,
            )
        )
    found.append(Contribution(feature=REST, value=None, unit="", contribution=left))
    return found


def _measured_at(window: Window, v: int, j: int, hi: int) -> str:
    """When the value of feature j of variable v was true of the patient."""
    series, statistic = window.series[v], _STATISTICS[j]
    if statistic not in _TIED_TO_TIME:
        return iso(series.times[hi - 1])
    lo = window.spans[v][0]
    if statistic in {"lowest", "highest"}:
        values = series.values[lo:hi]
        lo += values.index(min(values) if statistic == "lowest" else max(values))
    return iso(series.times[lo])
