"""Why a sepsis score is what it is, and what would change it.

What is shown together is a group: each variable with all its statistics, and each feature that is
no variable's.

Letters in shape comments: N patients, F features, G groups, V variables, Q quantiles, T shown
groups, C columns of the largest group.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from connectors.clock import iso
from connectors.contract import Contribution, Missing
from models.sepsis_features import CONTEXT, FEATURES
from models.sepsis_variables import SEPSIS_CATALOGUE

Array = NDArray[np.float64]
Places = NDArray[np.intp]

TOP = 8
REST = "Everything else"
_OWN = len(CONTEXT)  # the first groups are features of their own
_PLACE = {v.name: _OWN + i for i, v in enumerate(SEPSIS_CATALOGUE)}
GROUP_OF = [_PLACE[f.variable] if f.variable else j for j, f in enumerate(FEATURES)]
GROUPS = _OWN + len(SEPSIS_CATALOGUE)
_MEMBERS = [[j for j, g in enumerate(GROUP_OF) if g == group] for group in range(GROUPS)]
_ORDER = np.argsort(GROUP_OF, kind="stable")  # features, group by group
_STARTS = np.searchsorted(np.sort(GROUP_OF), np.arange(GROUPS))
_WIDEST = max(len(m) for m in _MEMBERS)
_NAMES = [v.display for v in SEPSIS_CATALOGUE]
# How a contribution is written: its name, its unit, and whether it has a value.
_LINES = [(f.display, f.unit, True) for f in FEATURES]
_LINES += [(f"{name}, not measured", "", False) for name in _NAMES]
_NAME = [f.name for f in FEATURES]
SINCE = [_NAME.index(f"{v.name}.hours_since") for v in SEPSIS_CATALOGUE]
IN_WARD = _NAME.index("hours_in_ward")


class NextDatum(NamedTuple):
    """What a new observation of each variable is expected to bring.

    `fresh` (V, Q): quantiles, over training patients who had just been measured, of what the
    variable adds to the log-odds. `usual_gap_h` (V,): the usual time between two measurements.
    """

    fresh: Array
    usual_gap_h: Array


class Explained(NamedTuple):
    """Of one patient."""

    top: list[Contribution]
    missing: Missing


class SepsisExplainer:
    """Contributions and the next datum, from what each feature adds."""

    def __init__(self, next_datum: NextDatum) -> None:
        self._fresh = next_datum.fresh.astype(np.float64)
        self._gap = next_datum.usual_gap_h.astype(np.float64)
        self._columns = np.array([m + [m[0]] * (_WIDEST - len(m)) for m in _MEMBERS])

    def __call__(
        self, x: Array, parts: Array, llr: Array, as_of: Sequence[float]
    ) -> list[Explained]:
        """For each patient what adds most, by group, summing to the llr; and what is missing.

        `parts` (N, F) is what each feature adds; `llr` (N,) is as printed. What is left to the llr
        (the mean of the forest against the baseline) counts to the hours in the ward.
        """
        groups = by_group(parts)  # (N, G)
        groups[:, IN_WARD] += llr - groups.sum(1)
        since = x[:, SINCE]  # (N, V)
        change, asked = self._next_datum(since, groups[:, _OWN:])
        micros = (groups * 1e6).round()  # whole numbers: what is left is exact
        # Ties by position, so that the same input gives the same text.
        strongest = np.argsort(-np.abs(micros), axis=1, kind="stable")[:, :TOP]
        rows = np.arange(len(x))[:, None]
        adds = micros[rows, strongest]
        left = ((llr * 1e6).round() - adds.sum(1)) / 1e6 + 0.0
        shown = self._shown(x, parts, strongest, adds)
        own = strongest - _OWN  # variables; features of their own below 0
        age = since[rows, np.maximum(own, 0)]
        unmeasured = (own >= 0) & np.isnan(age)
        lines = zip(
            np.where(unmeasured, len(FEATURES) + own, shown).tolist(),
            _or_none((x[rows, shown] * 1e4).round() / 1e4 + 0.0),
            (adds / 1e6 + 0.0).tolist(),
            _times(np.where(own >= 0, age, np.nan), as_of),
            strict=True,
        )
        missing = zip(asked.tolist(), change.tolist(), np.isnan(since).tolist(), strict=True)
        return [
            Explained([*map(_contribution, *line), _rest(rest)], _missing(*lack))
            for line, rest, lack in zip(lines, left.tolist(), missing, strict=True)
        ]

    def _next_datum(self, since: Array, now: Array) -> tuple[Array, Places]:
        """(N,) each: which variable's measuring is expected to change most, and by how much.

        The new value is drawn from training patients'. A variable measured within its usual
        interval is not due: a new value would repeat the old one.
        """
        change = np.abs(self._fresh - now[:, :, None]).mean(2)  # (N, V)
        due = ~(since <= self._gap)  # also what was never measured
        change[~due] = 0.0
        asked = change.argmax(1)
        return change[np.arange(len(asked)), asked], asked

    def _shown(self, x: Array, parts: Array, strongest: Places, adds: Array) -> Places:
        """(N, T): of each shown group, the feature that adds most to its side, by itself."""
        columns = self._columns[strongest]  # (N, T, C)
        rows = np.arange(len(x))[:, None, None]
        own = parts[rows, columns] * np.sign(adds)[:, :, None]
        own[np.isnan(x[rows, columns])] = -np.inf
        best = own.argmax(2)[:, :, None]
        chosen: Places = np.take_along_axis(columns, best, 2)[:, :, 0]
        return chosen


def by_group(parts: Array) -> Array:
    """(N, F) what features add → (N, G)."""
    found: Array = np.add.reduceat(parts[:, _ORDER], _STARTS, axis=1)
    return found


def _or_none(values: Array) -> list[list[float | None]]:
    table: NDArray[np.object_] = values.astype(object)
    table[np.isnan(values)] = None
    return table.tolist()  # type: ignore[no-any-return]


def _times(hours: Array, as_of: Sequence[float]) -> list[list[str | None]]:
    """(N, T): when the newest value of each shown variable was true; None for other features."""
    moments = np.array(as_of)[:, None] - hours * 3600.0
    written: dict[float, str | None] = {-1.0: None}  # the same moment comes many times
    found: list[list[str | None]] = []
    for row in np.nan_to_num(moments.round(3), nan=-1.0).tolist():
        for moment in row:
            if moment not in written:
                written[moment] = iso(moment)
        found.append([written[moment] for moment in row])
    return found


def _contribution(at: int, value: float | None, share: float, measured: str | None) -> Contribution:
    name, unit, shows = _LINES[at]
    return Contribution(
        feature=name, value=value if shows else None, unit=unit, contribution=share, as_of=measured
    )


def _rest(share: float) -> Contribution:
    return Contribution(feature=REST, value=None, unit="", contribution=share)


def _missing(asked: int, change: float, unmeasured: list[bool]) -> Missing:
    return Missing(
        modalities=[],
        next_datum=_NAMES[asked] if change > 0 else None,
        expected_change=round(change, 6) if change > 0 else None,
        features=[*compress(_NAMES, unmeasured)],
    )
