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
import torch
from numpy.typing import NDArray
from torch import Tensor

from connectors.clock import iso
from connectors.contract import Contribution, Missing
from models.sepsis_features import CONTEXT, FEATURES
from models.sepsis_variables import SEPSIS_CATALOGUE

TOP = 8
REST = "Everything else"
_OWN = len(CONTEXT)  # the first groups are features of their own
_PLACE = {v.name: _OWN + i for i, v in enumerate(SEPSIS_CATALOGUE)}
GROUP_OF = [_PLACE[f.variable] if f.variable else j for j, f in enumerate(FEATURES)]
GROUPS = _OWN + len(SEPSIS_CATALOGUE)
_MEMBERS = [[j for j, g in enumerate(GROUP_OF) if g == group] for group in range(GROUPS)]
_WIDEST = max(len(m) for m in _MEMBERS)
_NAMES = [v.display for v in SEPSIS_CATALOGUE]
# How a contribution is written: its name, its unit, and whether it has a value.
_LINES = [(f.display, f.unit, True) for f in FEATURES]
_LINES += [(f"{name}, not measured", "", False) for name in _NAMES]
_NAME = [f.name for f in FEATURES]
SINCE = [_NAME.index(f"{v.name}.hours_since") for v in SEPSIS_CATALOGUE]
IN_WARD = _NAME.index("hours_in_ward")


def membership() -> Tensor:
    """(F, G): 1 where a feature belongs to a group."""
    found = torch.zeros((len(FEATURES), GROUPS), dtype=torch.float64)
    found[torch.arange(len(FEATURES)), torch.tensor(GROUP_OF)] = 1.0
    return found


class NextDatum(NamedTuple):
    """What a new observation of each variable is expected to bring.

    `fresh` (V, Q): quantiles, over training patients who had just been measured, of what the
    variable adds to the log-odds. `usual_gap_h` (V,): the usual time between two measurements.
    """

    fresh: Tensor
    usual_gap_h: Tensor


class Explained(NamedTuple):
    """Of one patient."""

    top: list[Contribution]
    missing: Missing


class SepsisExplainer:
    """Contributions and the next datum, from what each feature adds."""

    def __init__(self, next_datum: NextDatum) -> None:
        self._fresh = next_datum.fresh.double()
        self._gap = next_datum.usual_gap_h.double()
        self._columns = torch.tensor([m + [m[0]] * (_WIDEST - len(m)) for m in _MEMBERS])
        self._order = torch.arange(GROUPS, dtype=torch.float64) * 1e-9
        self._membership = membership()

    def __call__(
        self, x: Tensor, parts: Tensor, llr: Tensor, as_of: Sequence[float]
    ) -> list[Explained]:
        """For each patient what adds most, by group, summing to the llr; and what is missing.

        `parts` (N, F) is what each feature adds; `llr` (N,) is as printed. What is left to the llr
        (the mean of the forest against the baseline) counts to the hours in the ward.
        """
        groups = parts @ self._membership  # (N, G)
        groups[:, IN_WARD] += llr - groups.sum(1)
        since = x[:, SINCE]  # (N, V)
        change, asked = self._next_datum(since, groups[:, _OWN:])
        # Ties by position, so that the same input gives the same text.
        strongest = (groups.abs().round(decimals=6) - self._order).topk(TOP, dim=1).indices
        sums = groups.gather(1, strongest)
        shown = self._shown(x, parts, strongest, sums)
        micros = (sums * 1e6).round()  # whole numbers: what is left is exact
        left = ((llr * 1e6).round() - micros.sum(1)) / 1e6 + 0.0
        unmeasured = (strongest >= _OWN) & since.gather(1, (strongest - _OWN).clamp(0)).isnan()
        lines = zip(
            torch.where(unmeasured, len(FEATURES) + strongest - _OWN, shown).tolist(),
            _or_none((x.gather(1, shown) * 1e4).round() / 1e4 + 0.0),
            (micros / 1e6 + 0.0).tolist(),
            _times(strongest, since, as_of),
            strict=True,
        )
        missing = zip(asked.tolist(), change.tolist(), since.isnan().tolist(), strict=True)
        return [
            Explained([*map(_contribution, *line), _rest(rest)], _missing(*lack))
            for line, rest, lack in zip(lines, left.tolist(), missing, strict=True)
        ]

    def _next_datum(self, since: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        """(N,) each: which variable's measuring is expected to change most, and by how much.

        The new value is drawn from training patients'. A variable measured within its usual
        interval is not due: a new value would repeat the old one.
        """
        change = (self._fresh - now[:, :, None]).abs().mean(2)  # (N, V)
        due = since.isnan() | (since > self._gap)
        best = torch.where(due, change, 0.0).max(1)
        return best.values, best.indices

    def _shown(self, x: Tensor, parts: Tensor, strongest: Tensor, sums: Tensor) -> Tensor:
        """(N, T): of each shown group, the feature that adds most to its side, by itself."""
        columns = self._columns[strongest]  # (N, T, C)
        n, t, c = columns.shape
        flat = columns.view(n, t * c)
        own = parts.gather(1, flat).view(n, t, c) * sums.sign()[:, :, None]
        known = ~x.gather(1, flat).view(n, t, c).isnan()
        best = torch.where(known, own, -torch.inf).argmax(2, keepdim=True)
        return columns.gather(2, best)[:, :, 0]


def _or_none(values: Tensor) -> list[list[float | None]]:
    table: NDArray[np.object_] = values.numpy().astype(object)
    table[values.isnan().numpy()] = None
    return table.tolist()  # type: ignore[no-any-return]


def _times(strongest: Tensor, since: Tensor, as_of: Sequence[float]) -> list[list[str | None]]:
    """(N, T): when the newest value of each shown variable was true; None for other features."""
    hours = since.gather(1, (strongest - _OWN).clamp(0))
    moments = torch.tensor(as_of, dtype=torch.float64)[:, None] - hours * 3600.0
    known = (strongest >= _OWN) & ~hours.isnan()
    written: dict[float, str | None] = {-1.0: None}  # the same moment comes many times
    found: list[list[str | None]] = []
    for row in torch.where(known, moments, -1.0).round(decimals=3).tolist():
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
