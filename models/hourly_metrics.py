"""Figures of merit of hourly scores: rows of one patient belong together. numpy only.

Intervals resample patients, with all their hours. Sorting is done once: a resample is a weight for
each patient. Letters in shape comments: N rows (hours), P patients, G groups of equal score.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.metrics import Array, Estimate, calibration_line
from models.utility import Gains

REPEATS = 300
_SLOPE_BINS, _SLOPE_REPEATS = 2_000, 100


class Hours(NamedTuple):
    """Rows of a cohort that have a score."""

    patient: NDArray[np.int64]  # (N,) 0 … P - 1
    labels: Array  # (N,)
    scores: Array  # (N,) log-odds


class Ranked:
    """Rows by score, with sums over ties."""

    def __init__(self, hours: Hours) -> None:
        order = np.argsort(-hours.scores, kind="stable")
        self._patient, self._labels = hours.patient[order], hours.labels[order]
        scores = hours.scores[order]
        self._starts = np.flatnonzero(np.append(True, scores[1:] != scores[:-1]))

    def counts(self, weights: Array | None) -> tuple[Array, Array]:
        """(G,) weight of positive and of negative rows at each score, from the highest down."""
        w = np.ones(len(self._labels)) if weights is None else weights[self._patient]
        positive = w * self._labels
        sums = (np.add.reduceat(v, self._starts) for v in (positive, w - positive))
        first, second = sums
        return np.asarray(first), np.asarray(second)


def auroc(positive: Array, negative: Array) -> float:
    """From the counts of `Ranked`; ties count half."""
    below = negative.sum() - np.cumsum(negative) + negative / 2
    return _ratio(float((positive * below).sum()), float(positive.sum() * negative.sum()))


def auprc(positive: Array, negative: Array) -> float:
    """From the counts of `Ranked`: average precision."""
    hits, called = np.cumsum(positive), np.cumsum(positive + negative)
    precision = hits / np.maximum(called, 1e-300)
    return _ratio(float((positive * precision).sum()), float(positive.sum()))


_Ranking = Callable[[Array, Array], float]
_RANKINGS: dict[str, _Ranking] = {"auroc": auroc, "auprc": auprc}


def _ratio(a: float, b: float) -> float:
    return a / b if b else float("nan")


def estimate(
    value: float, patients: int, of: Callable[[Array], float], seed: int = 0, repeats: int = REPEATS
) -> Estimate:
    """A figure with its 95 % interval; `of` computes it from a weight for each patient (P,)."""
    rng = np.random.default_rng(seed)
    drawn = [
        of(np.bincount(rng.integers(0, patients, patients), minlength=patients).astype(float))
        for _ in range(repeats)
    ]
    if not np.isfinite(drawn).any():
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def ranking(hours: Hours, patients: int, repeats: int = REPEATS) -> dict[str, Estimate]:
    """AUROC and AUPRC."""
    ranked = Ranked(hours)
    return {
        name: estimate(
            metric(*ranked.counts(None)),
            patients,
            lambda w, m=metric: m(*ranked.counts(w)),  # type: ignore[misc]
            repeats=repeats,
        )
        for name, metric in _RANKINGS.items()
    }


def difference(
    own: Hours, other: Hours, patients: int, repeats: int = REPEATS
) -> dict[str, Estimate]:
    """AUROC and AUPRC of one minus those of the other, on the same rows: paired."""
    pair = Ranked(own), Ranked(other)

    def of(metric: _Ranking, weights: Array | None) -> float:
        first, second = (metric(*ranked.counts(weights)) for ranked in pair)
        return first - second

    return {
        name: estimate(of(metric, None), patients, partial(of, metric), repeats=repeats)
        for name, metric in _RANKINGS.items()
    }


class _Slope:
    """Calibration slope of resampled patients, on rows grouped by score."""

    def __init__(self, hours: Hours) -> None:
        self.value = calibration_line(hours.labels, hours.scores)[0]
        self._hours = hours
        cuts = np.unique(np.quantile(hours.scores, np.linspace(0, 1, _SLOPE_BINS + 1)[1:-1]))
        self._bins = np.searchsorted(cuts, hours.scores)
        self._size = len(cuts) + 1
        n = np.maximum(np.bincount(self._bins, minlength=self._size), 1)
        self._middle = np.bincount(self._bins, hours.scores, self._size) / n

    def of(self, weights: Array) -> float:
        """(P,) a weight for each patient."""
        w = weights[self._hours.patient]
        sums = (w * self._hours.labels, w)
        positive, total = (np.bincount(self._bins, v, self._size) for v in sums)
        return _grouped_slope(self._middle, positive.astype(float), total.astype(float))


def slope(hours: Hours, patients: int) -> Estimate:
    """Calibration slope; its interval is computed on rows grouped by score."""
    one = _Slope(hours)
    return estimate(one.value, patients, one.of, repeats=_SLOPE_REPEATS)


def slope_difference(own: Hours, other: Hours, patients: int) -> Estimate:
    """Slope of one minus that of the other, on the same rows: paired."""
    a, b = _Slope(own), _Slope(other)
    return estimate(
        a.value - b.value, patients, lambda w: a.of(w) - b.of(w), repeats=_SLOPE_REPEATS
    )


def _grouped_slope(z: Array, positive: Array, total: Array) -> float:
    """Slope of a logistic regression on groups of rows, by Newton's method."""
    design = np.c_[z, np.ones_like(z)]
    beta = np.array([1.0, 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -500, 500)))
        hessian = (design * (total * p * (1 - p))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.clip(np.linalg.solve(hessian, design.T @ (total * p - positive)), -1, 1)
        beta = beta - step
        if np.abs(step).max() < 1e-8:
            break
    return float(beta[0])


def utility_estimate(known: list[Gains], alarms: list[NDArray[np.bool_]]) -> Estimate:
    """Normalised utility; `known` and `alarms` of each patient."""
    got = np.array([float(g.gain[a].sum()) for g, a in zip(known, alarms, strict=True)])
    best = np.array([g.best for g in known])
    return estimate(
        _ratio(float(got.sum()), float(best.sum())),
        len(known),
        lambda w: _ratio(float((w * got).sum()), float((w * best).sum())),
        repeats=1_000,
    )
