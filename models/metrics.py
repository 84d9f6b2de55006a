"""Figures of merit of predicted risks, with intervals by resampling patients. numpy only."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Metric = Callable[[Array, Array], float]


class Estimate(NamedTuple):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float | None]:
        """For JSON: what is not defined (one outcome only, separable rows) is None."""
        return {k: rounded(v) for k, v in self._asdict().items()}


def rounded(value: float) -> float | None:
    """Four decimals for JSON, None for what is not a number."""
    return round(value, 4) if np.isfinite(value) else None


def auroc(labels: Array, scores: Array) -> float:
    """Probability that a death is scored above a survival; ties count half."""
    n1 = labels.sum()
    n0 = len(labels) - n1
    if n0 == 0 or n1 == 0:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[labels == 1].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def precision_recall(labels: Array, scores: Array) -> tuple[Array, Array]:
    """Precision and recall at every distinct score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    hits = np.cumsum(labels[order])[last_of_tie]
    called = np.flatnonzero(last_of_tie) + 1.0
    return hits / called, hits / max(labels.sum(), 1.0)


def auprc(labels: Array, scores: Array) -> float:
    """Average precision: the step-wise area under precision and recall."""
    if labels.sum() == 0:
        return float("nan")
    precision, recall = precision_recall(labels, scores)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def roc(labels: Array, scores: Array) -> tuple[Array, Array]:
    """False and true positive rates at every distinct score."""
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    true = np.cumsum(labels[order])[last_of_tie]
    false = np.cumsum(1 - labels[order])[last_of_tie]
    start = np.zeros(1)
    return np.r_[start, false / max(false[-1], 1)], np.r_[start, true / max(true[-1], 1)]


def brier(labels: Array, probabilities: Array) -> float:
    """Mean squared error of the probability."""
    return float(np.mean((probabilities - labels) ** 2))


def calibration_line(labels: Array, log_odds: Array) -> tuple[float, float]:
    """Slope and intercept of the outcome's logistic regression on the log-odds (ideal: 1 and 0).

    NaN where the log-odds separate the outcomes, so that no finite slope fits best.
    """
    survived, died = log_odds[labels == 0], log_odds[labels == 1]
    if not len(survived) or not len(died) or survived.max() < died.min():
        return float("nan"), float("nan")
    if died.max() < survived.min() or np.ptp(log_odds) == 0:
        return float("nan"), float("nan")
    design = np.c_[log_odds, np.ones_like(log_odds)]
    beta = np.array([1.0, 0.0])
    for _ in range(200):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -500, 500)))
        # The tiny ridge and the bounded step keep nearly separable rows from running away.
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.clip(np.linalg.solve(hessian, design.T @ (p - labels)), -1, 1)
        beta = beta - step
        if np.abs(step).max() < 1e-10:
            break
    return float(beta[0]), float(beta[1])


def slope(labels: Array, log_odds: Array) -> float:
    """Calibration slope."""
    return calibration_line(labels, log_odds)[0]


def calibration_bins(
    labels: Array, probabilities: Array, bins: int = 10
) -> list[tuple[float, float, int]]:
    """Mean prediction, share of deaths and number of patients, in bins of equal size."""
    order = np.argsort(probabilities, kind="stable")
    return [
        (float(probabilities[part].mean()), float(labels[part].mean()), len(part))
        for part in np.array_split(order, bins)
        if len(part)
    ]


def ece(labels: Array, probabilities: Array) -> float:
    """Expected calibration error over ten bins of equal size."""
    bins = calibration_bins(labels, probabilities)
    return float(sum(n * abs(p - o) for p, o, n in bins) / len(labels))


def ece_by_chance(probabilities: Array, draws: int = 500, seed: int = 0) -> float:
    """Mean `ece` of outcomes drawn from the probabilities: what a perfect calibration would show.

    Ten bins of so few patients scatter; an error of this size says nothing against a model.
    """
    rng = np.random.default_rng(seed)
    drawn = (rng.random((draws, len(probabilities))) < probabilities).astype(np.float64)
    return float(np.mean([ece(outcomes, probabilities) for outcomes in drawn]))


def bootstrap(
    metric: Metric, labels: Array, scores: Array, repeats: int = 1_000, seed: int = 0
) -> Estimate:
    """A metric with the 2.5 % and 97.5 % quantiles over resampled patients (one row each)."""
    rng = np.random.default_rng(seed)
    drawn: list[float] = []
    for _ in range(repeats):
        rows = rng.integers(0, len(labels), len(labels))
        if 0 < labels[rows].sum() < len(rows):
            drawn.append(metric(labels[rows], scores[rows]))
    if not np.isfinite(drawn).any():
        return Estimate(metric(labels, scores), float("nan"), float("nan"))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Estimate(metric(labels, scores), float(low), float(high))


def paired(
    metric: Metric, labels: Array, a: Array, b: Array, repeats: int = 1_000, seed: int = 0
) -> Estimate:
    """The difference metric(a) - metric(b) on the same patients, over the same resamples."""
    rng = np.random.default_rng(seed)
    drawn: list[float] = []
    for _ in range(repeats):
        rows = rng.integers(0, len(labels), len(labels))
        if 0 < labels[rows].sum() < len(rows):
            drawn.append(metric(labels[rows], a[rows]) - metric(labels[rows], b[rows]))
    value = metric(labels, a) - metric(labels, b)
    if not np.isfinite(drawn).any():
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Estimate(value, float(low), float(high))
