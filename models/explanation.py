"""Why a score is what it is, and what would change it.

Letters in shape comments: N patients, F features, V variables, A anchors, Q quantiles.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from connectors.clock import iso
from connectors.contract import Contribution, Missing
from models.additive import AdditiveEnsemble
from models.features import FEATURES, HOURS, Window, behind
from models.variables import CATALOGUE

TOP = 8
REST = "Everything else"
_NAMES = [v.name for v in CATALOGUE]
_VARIABLE_OF = [_NAMES.index(f.variable) if f.variable else -1 for f in FEATURES]
_COLUMNS = [[j for j, v in enumerate(_VARIABLE_OF) if v == i] for i in range(len(CATALOGUE))]


class NextDatum(NamedTuple):
    """What a new observation of each variable is expected to bring.

    `fresh` (A, V, Q): quantiles, over training patients who had just been measured, of what the
    variable adds to the log-odds. `usual_gap_h` (V,): the usual time between two measurements.
    """

    fresh: Tensor
    usual_gap_h: Tensor


class _Part(NamedTuple):
    """One contribution: a feature, or from `len(FEATURES)` on a variable that is not measured."""

    at: int
    value: float
    share: float


class Explainer:
    """Contributions and the next datum, from the tables of the network."""

    def __init__(self, next_datum: NextDatum, net: AdditiveEnsemble) -> None:
        self._next = NextDatum(next_datum.fresh.double(), next_datum.usual_gap_h.double())
        self._net = net
        membership = torch.zeros((len(FEATURES), len(CATALOGUE)), dtype=torch.float64)
        for i, columns in enumerate(_COLUMNS):
            membership[columns, i] = 1.0
        self._membership = membership
        self._variable = torch.tensor(_VARIABLE_OF)  # -1 (context) picks the last; undone below
        self._context = self._variable < 0
        self._order = torch.arange(len(FEATURES) + len(CATALOGUE), dtype=torch.float64) * 1e-9
        self._gap = [
            next(j for j in columns if FEATURES[j].statistic == "hours_since")
            for columns in _COLUMNS
        ]

    def __call__(
        self, x: Tensor, windows: list[Window], places: Tensor, weights: Tensor, llr: Tensor
    ) -> list[tuple[list[Contribution], Missing]]:
        """For each patient the strongest contributions, which sum to the llr, and what is missing.

        The level at that time of the stay (the network's intercept against the baseline) counts
        as a contribution of the time in the stay.
        """
        parts = self._net.contributions(places, weights)  # (N, F)
        parts[:, HOURS] += llr - parts.sum(1)
        by_variable = parts @ self._membership  # (N, V)
        changes = self._expected_changes(x, weights, by_variable).tolist()
        shown = self._strongest(x, parts, by_variable)
        rows = zip(windows, shown, changes, llr.tolist(), strict=True)
        return [
            (_top(window, strongest, total), _missing(window, change))
            for window, strongest, change, total in rows
        ]

    def _strongest(self, x: Tensor, parts: Tensor, by_variable: Tensor) -> list[list[_Part]]:
        """The strongest contributions of each patient, a variable not measured being one."""
        unmeasured = x[:, self._gap].isnan()  # (N, V)
        hidden = unmeasured[:, self._variable]
        hidden[:, self._context] = False
        whole = torch.cat([parts.masked_fill(hidden, 0), by_variable * unmeasured], 1)
        # Ties by position, so that the same input gives the same text.
        weight = whole.abs().round(decimals=6) - self._order
        at = weight.topk(TOP, dim=1).indices  # (N, TOP)
        values = torch.cat([x, torch.full_like(by_variable, torch.nan)], 1).gather(1, at)
        found = zip(at.tolist(), values.tolist(), whole.gather(1, at).tolist(), strict=True)
        return [[_Part(*part) for part in zip(*patient, strict=True)] for patient in found]

    def _expected_changes(self, x: Tensor, weights: Tensor, now: Tensor) -> Tensor:
        """(N, V): expected absolute change of the log-odds by measuring each variable now.

        The new value is drawn from the training patients' at that time of the stay. A variable
        measured within its usual interval is not due: a new value would repeat the old one.
        """
        fresh = torch.einsum("na,avq->nvq", weights, self._next.fresh)
        change = (fresh - now[:, :, None]).abs().mean(2)
        gap = x[:, self._gap]
        due = gap.isnan() | (gap > self._next.usual_gap_h)
        return torch.where(due, change, 0.0)


def _missing(window: Window, change: list[float]) -> Missing:
    best = max(range(len(change)), key=lambda i: change[i])
    any_due = change[best] > 0.0
    return Missing(
        modalities=[],
        next_datum=CATALOGUE[best].display if any_due else None,
        expected_change=round(change[best], 6) if any_due else None,
        features=[
            v.display for v, (lo, hi) in zip(CATALOGUE, window.spans, strict=True) if lo == hi
        ],
    )


def _top(window: Window, strongest: list[_Part], llr: float) -> list[Contribution]:
    """The strongest, then the rest as one: printed contributions sum to the printed llr."""
    shown = [
        _measured(part, window) if part.at < len(FEATURES) else _unmeasured(part)
        for part in strongest
    ]
    rest = round(round(llr, 6) - sum(c.contribution for c in shown), 6)
    return [*shown, Contribution(feature=REST, value=None, unit="", contribution=rest)]


def _measured(part: _Part, window: Window) -> Contribution:
    feature = FEATURES[part.at]
    observation = behind(feature, window)
    return Contribution(
        feature=feature.display,
        value=None if math.isnan(part.value) else round(part.value, 4),  # the sex is not known
        unit=feature.unit,
        contribution=round(part.share, 6),
        as_of=None if observation is None else iso(observation.time),
    )


def _unmeasured(part: _Part) -> Contribution:
    variable = CATALOGUE[part.at - len(FEATURES)]
    return Contribution(
        feature=f"{variable.display}, not measured",
        value=None,
        unit="",
        contribution=round(part.share, 6),
    )
