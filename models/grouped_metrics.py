"""Figures of merit of all draws of patients at once, from rows grouped by score. numpy only.

Rows of nearly equal score share a group, and a draw is a count of positive and negative rows in
each group: half a million hours are sorted once, not once for each draw. Up to `_GROUPS` different
scores nothing is lost. Row 0 of every array is the cohort as it is, rows 1 … are the draws.
Letters in shape comments: N rows, R draws, G groups, B bins.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import metrics
from models.hourly_metrics import Hours
from models.metrics import Array
from models.resampling import Resamples, interval, ratio, sides, wilson

_GROUPS = 1_000


class Grouped(NamedTuple):
    """Rows by score, the highest group first."""

    scores: Array  # (G,) mean
    positive: Array  # (1 + R, G)
    negative: Array  # (1 + R, G)

    def figures(self) -> dict[str, Array]:
        """(1 + R,) each figure of merit of the ranking and of the calibration line."""
        slope, intercept = lines(self)
        return {
            "auroc": auroc(self),
            "auprc": auprc(self),
            "calibration_slope": slope,
            "calibration_intercept": intercept,
        }


def group(hours: Hours, resamples: Resamples, groups: int = _GROUPS) -> Grouped:
    """Rows of `resamples`' patients. The highest scores have groups of their own."""
    if not len(hours.scores):
        nothing = np.zeros((1 + len(resamples.times), 1))
        return Grouped(np.zeros(1), nothing, nothing)
    order = np.argsort(-hours.scores, kind="stable")
    ranked = hours.scores[order]
    first = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1])[: len(ranked)])
    if len(first) > groups:
        n, half = len(ranked), groups // 2
        wanted = np.unique(np.r_[np.linspace(0, n - 1, half), np.geomspace(1, n - 1, half)])
        first = np.unique(first[np.searchsorted(first, wanted.astype(int), "right") - 1])
    cell = np.empty(len(ranked), np.int64)
    cell[order] = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(ranked))))
    size = len(first)
    mean = np.bincount(cell, hours.scores, size) / np.bincount(cell, minlength=size)
    ill = hours.labels == 1
    positive, negative = (_counted(hours, k, cell, size, resamples) for k in (ill, ~ill))
    return Grouped(mean, positive, negative)


def _counted(
    hours: Hours, chosen: NDArray[np.bool_], cell: NDArray[np.int64], size: int, draws: Resamples
) -> Array:
    """(1 + R, G) the chosen rows in each group."""
    patient, cell = hours.patient[chosen], cell[chosen]
    whole = np.bincount(cell, minlength=size).astype(np.float64)
    return np.vstack([whole, draws.counts(patient, cell, size)])


def auroc(rows: Grouped) -> Array:
    """(1 + R,) ties count half."""
    below = rows.negative.sum(1)[:, None] - np.cumsum(rows.negative, 1) + rows.negative / 2
    pairs = rows.positive.sum(1) * rows.negative.sum(1)
    return ratio((rows.positive * below).sum(1), pairs)


def auprc(rows: Grouped) -> Array:
    """(1 + R,) average precision."""
    recall, precision = _recall_precision(rows)
    steps = np.diff(recall, prepend=0.0, axis=1)
    return ratio((steps * precision).sum(1), recall[:, -1])


def _recall_precision(rows: Grouped) -> tuple[Array, Array]:
    hits, false = np.cumsum(rows.positive, 1), np.cumsum(rows.negative, 1)
    precision = np.nan_to_num(ratio(hits, hits + false))
    return np.nan_to_num(ratio(hits, hits[:, -1:])), precision


def lines(rows: Grouped) -> tuple[Array, Array]:
    """(1 + R,) slope and intercept of the logistic regression on the score, by Newton's method.

    NaN where the scores separate the outcomes, as in `metrics.calibration_line`.
    """
    beta = np.tile(np.array([1.0, 0.0]), (len(rows.positive), 1))  # (R, 2)
    z, total = rows.scores, rows.positive + rows.negative
    for _ in range(60):
        p = 1 / (1 + np.exp(-np.clip(beta[:, :1] * z + beta[:, 1:], -500, 500)))  # (R, G)
        weight, miss = total * p * (1 - p), total * p - rows.positive
        a, b, c = weight @ z**2 + 1e-6, weight @ z, weight.sum(1) + 1e-6  # Hessians
        g, h = miss @ z, miss.sum(1)
        step = np.clip(np.c_[c * g - b * h, a * h - b * g] / (a * c - b * b)[:, None], -1, 1)
        beta -= step
        if np.abs(step).max(initial=0.0) < 1e-7:
            break
    beta[_separated(rows)] = np.nan
    return beta[:, 0], beta[:, 1]


def _separated(rows: Grouped) -> NDArray[np.bool_]:
    """(R,) draws in which every positive row scores above every negative one, or below."""
    best: list[NDArray[np.int64]] = []
    worst: list[NDArray[np.int64]] = []
    for counts in (rows.positive > 0, rows.negative > 0):
        some = counts.any(1)
        best.append(np.where(some, counts.argmax(1), counts.shape[1]))
        worst.append(np.where(some, counts.shape[1] - 1 - counts[:, ::-1].argmax(1), -1))
    (first_ill, first_well), (last_ill, last_well) = best, worst
    one_score = np.minimum(first_ill, first_well) == np.maximum(last_ill, last_well)
    return np.asarray((last_ill < first_well) | (last_well < first_ill) | one_score)


# ── curves ─────────────────────────────────────────────────────────────────────────────────────


class Band(NamedTuple):
    """A curve with the 95 % of the curves of the draws around it."""

    x: Array
    y: Array
    low: Array
    high: Array


def _banded(x: Array, curves: Array) -> Band:
    """Curves (1 + R, len(x)), the cohort's own first."""
    return Band(x, curves[0], *sides(curves[1:]))


def roc(rows: Grouped, points: int = 201) -> Band:
    """Sensitivity over 1 - specificity; denser where few alarm."""
    x = np.linspace(0, 1, points) ** 1.5
    true, false = (np.cumsum(c, 1) for c in (rows.positive, rows.negative))
    true, false = (np.c_[np.zeros(len(c)), np.nan_to_num(ratio(c, c[:, -1:]))]
                   for c in (true, false))  # fmt: skip
    defined = (rows.positive.sum(1) > 0) & (rows.negative.sum(1) > 0)
    curves = [np.interp(x, f, t) for f, t in zip(false, true, strict=True)]
    return _banded(x, np.where(defined[:, None], curves, np.nan))


def precision_recall(rows: Grouped, points: int = 200) -> Band:
    """Precision at each recall: that of the first score that reaches it, as average precision."""
    x = np.linspace(1 / points, 1, points)
    recall, precision = _recall_precision(rows)
    at = [np.searchsorted(r, x - 1e-9).clip(0, len(r) - 1) for r in recall]
    curves = [p[i] for p, i in zip(precision, at, strict=True)]
    return _banded(x, np.where((recall[:, -1] > 0)[:, None], curves, np.nan))


# ── calibration ────────────────────────────────────────────────────────────────────────────────


class Binned(NamedTuple):
    """Sums of all rows (row 0) and of each draw in bins of equal size, by the prediction."""

    rows: Array  # (1 + R, B)
    predicted: Array  # (1 + R, B) sum of probabilities
    positive: Array  # (1 + R, B)
    patients: NDArray[np.int64]  # (B,) who have rows in it


def binned(hours: Hours, resamples: Resamples, bins: int = 10) -> Binned:
    """The bins of `metrics.calibration_bins`, kept in every draw."""
    size, patients = min(bins, len(hours.scores)), resamples.times.shape[1]
    order = np.argsort(hours.scores, kind="stable")
    sizes = [len(part) for part in np.array_split(order, size)] if size else []
    at = np.empty(len(order), np.int64)
    at[order] = np.repeat(np.arange(size), sizes)
    cell = hours.patient * size + at

    def sums(weights: Array) -> Array:
        by_patient = np.bincount(cell, weights, patients * size).astype(np.float64)
        by_patient = by_patient.reshape(patients, size)
        return np.vstack([by_patient.sum(0), resamples.sums(by_patient)])

    seen = np.bincount(cell, minlength=patients * size).reshape(patients, size) > 0
    p = 1 / (1 + np.exp(-hours.scores))
    return Binned(sums(np.ones_like(p)), sums(p), sums(hours.labels), seen.sum(0))


def calibration(bins: Binned) -> list[dict[str, float | None]]:
    """Mean prediction, observed share and its interval, in each bin.

    A bin with no event, or with nothing else, has none in any draw either: there it is Wilson's
    interval, for as many trials as the bin has patients.
    """
    observed = ratio(bins.positive, bins.rows)
    low, high = sides(observed[1:])
    found: list[dict[str, float | None]] = []
    for b, share in enumerate(observed[0].tolist()):
        side = (float(low[b]), float(high[b]))
        if share in (0.0, 1.0):
            side = wilson(share, int(bins.patients[b]))
        row = {"predicted": bins.predicted[0, b] / bins.rows[0, b], "observed": share}
        row |= {"low": side[0], "high": side[1], "rows": bins.rows[0, b]}
        found.append({k: metrics.rounded(float(v)) for k, v in row.items()})
    return found


def intervals(hours: Hours, resamples: Resamples, groups: int = _GROUPS) -> dict[str, Any]:
    """Of all figures of the rows, for JSON; `None` where a figure is defined in no draw."""
    drawn = group(hours, resamples, groups).figures()
    found: dict[str, Any] = {name: interval(values[1:]) for name, values in drawn.items()}
    return found | {"ece": ece_interval(binned(hours, resamples))}


def ece_interval(bins: Binned) -> list[float | None]:
    """Interval of the expected calibration error.

    Drawing patients anew adds their chance to that of the cohort, which this error cannot tell
    from miscalibration: draws are moved to the cohort's own value, so that the interval says how
    far chance moves it, and not below nothing.
    """
    gaps = np.abs(bins.predicted - bins.positive).sum(1)
    errors = ratio(gaps, bins.rows.sum(1))
    drawn = errors[1:]
    if np.isnan(drawn).all():
        return [None, None]
    return interval(np.maximum(drawn - np.nanmean(drawn) + errors[0], 0.0))
