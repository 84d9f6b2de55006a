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
from models.features import CONTEXT, FEATURES, HOURS, Window, behind
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


class Explainer:
    """Contributions and the next datum, from the tables of the network."""

    def __init__(self, next_datum: NextDatum, net: AdditiveEnsemble) -> None:
        self._next = NextDatum(next_datum.fresh.double(), next_datum.usual_gap_h.double())
        self._net = net
        membership = torch.zeros((len(FEATURES), len(CATALOGUE)), dtype=torch.float64)
        for i, columns in enumerate(_COLUMNS):
            membership[columns, i] = 1.0
        self._membership = membership
        self._order = torch.arange(len(CONTEXT) + len(CATALOGUE), dtype=torch.float64) * 1e-9
        self._gap = [
            next(j for j in columns if FEATURES[j].statistic == "hours_since")
            for columns in _COLUMNS
        ]

    def __call__(
        self, x: Tensor, windows: list[Window], places: Tensor, weights: Tensor, llr: Tensor
    ) -> list[tuple[list[Contribution], Missing]]:
        """For each patient what adds most, by variable, summing to the llr; and what is missing.

        The level at that time of the stay (the network's intercept against the baseline) counts
        as a contribution of the time in the stay.
        """
        parts = self._net.contributions(places, weights)  # (N, F)
        parts[:, HOURS] += llr - parts.sum(1)
        by_variable = parts @ self._membership  # (N, V)
        changes = self._expected_changes(x, weights, by_variable).tolist()
        whole = torch.cat([parts[:, : len(CONTEXT)], by_variable], 1)  # (N, C + V)
        # Ties by position, so that the same input gives the same text.
        order = whole.abs().round(decimals=6) - self._order
        strongest = order.topk(TOP, dim=1).indices.tolist()
        columns = (windows, x.tolist(), parts.tolist(), whole.tolist(), strongest, changes)
        return [
            (_top(window, values, shares, sums, at, total), _missing(window, change))
            for window, values, shares, sums, at, change, total in zip(
                *columns, llr.tolist(), strict=True
            )
        ]

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


def _top(
    window: Window,
    values: list[float],
    shares: list[float],
    sums: list[float],
    strongest: list[int],
    llr: float,
) -> list[Contribution]:
    """The strongest, then the rest as one: printed contributions sum to the printed llr."""
    shown = [_contribution(at, sums[at], values, shares, window) for at in strongest]
    rest = round(round(llr, 6) - sum(c.contribution for c in shown), 6)
    return [*shown, Contribution(feature=REST, value=None, unit="", contribution=rest)]


def _contribution(
    at: int, total: float, values: list[float], shares: list[float], window: Window
) -> Contribution:
    """A variable with all its statistics, shown by the one that adds most of it."""
    j = at
    if at >= len(CONTEXT):
        v = at - len(CONTEXT)
        lo, hi = window.spans[v]
        if lo == hi:
            name = f"{CATALOGUE[v].display}, not measured"
            return Contribution(feature=name, value=None, unit="", contribution=round(total, 6))
        sign = math.copysign(1.0, total)
        known = [c for c in _COLUMNS[v] if not math.isnan(values[c])]
        j = max(known, key=lambda c: sign * shares[c])
    feature, observation = FEATURES[j], behind(FEATURES[j], window)
    return Contribution(
        feature=feature.display,
        value=None if math.isnan(values[j]) else round(values[j], 4),  # e.g. the sex is not known
        unit=feature.unit,
        contribution=round(total, 6),
        as_of=None if observation is None else iso(observation.time),
    )
