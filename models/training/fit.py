"""Fit the deterioration model: five members, each without one fold of patients.

Letters in shape comments: N rows, F features, E borders, A anchors, M members, V variables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.additive import AdditiveEnsemble
from models.ensemble import FOLDS, cohort_hash, fold_of
from models.features import FEATURES, FeatureReader
from models.training.boosting import BoostingConfig, bin_edges, fit_shapes, to_bins
from models.training.cohort import ADMITTED_AT, COHORT, HOUR_S, Stay
from models.variables import CATALOGUE

# Hours in the stay at which shapes are fitted, with the hours from which rows are drawn.
ANCHORS = (
    (1.5, 0.5, 2.6),
    (5.0, 2.6, 8.0),
    (12.0, 8.0, 17.0),
    (24.0, 17.0, 34.0),
    (48.0, 40.0, 48.0),
)
_FRESH_H = 2.0  # a value not older than this counts as just measured
_QUANTILES = 9
_PULL = 0.01


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """What a training run depends on besides the data."""

    seed: int = 1
    boosting: BoostingConfig = field(default_factory=BoostingConfig)


@dataclass(frozen=True, slots=True)
class Rows:
    """Training examples of one anchor."""

    x: Tensor  # (N, F)
    labels: Tensor  # (N,)
    folds: Tensor  # (N,)
    weights: Tensor  # (N,) one in total for each patient


def training_rows(stays: Sequence[Stay], seed: int, on_stay: Callable[[], None]) -> list[Rows]:
    """Two moments of each patient for each anchor: the anchor itself, and one drawn around it."""
    rng = np.random.default_rng(seed)
    reader = FeatureReader()
    rows: list[list[tuple[list[float], int, int, float]]] = [[] for _ in ANCHORS]
    for stay in stays:
        fold = fold_of(COHORT, stay.record_id)
        for a, (anchor, low, high) in enumerate(ANCHORS):
            moments = [stay.standing(h) for h in (anchor, float(rng.uniform(low, high)))]
            known = [m for m in moments if m is not None]
            for moment in known:
                row, _ = reader.read(stay.record, moment)
                rows[a].append((row, stay.label, fold, 1.0 / len(known)))
        on_stay()
    return [_rows(r) for r in rows]


def _rows(rows: list[tuple[list[float], int, int, float]]) -> Rows:
    x, labels, folds, weights = zip(*rows, strict=True)
    f64 = torch.float64
    return Rows(
        torch.tensor(x, dtype=f64),
        torch.tensor(labels, dtype=f64),
        torch.tensor(folds),
        torch.tensor(weights, dtype=f64),
    )


def fit(
    stays: Sequence[Stay],
    config: TrainConfig,
    on_stay: Callable[[], None],
    on_round: Callable[[], None],
) -> dict[str, Tensor]:
    """The tensors of a bundle. Deterministic for a seed, one thread and one torch version."""
    rows = training_rows(stays, config.seed, on_stay)
    borders, tables, intercepts = [], [], []
    for fold in range(FOLDS):
        parts = _fit_member(rows, fold, config, on_round)
        borders.append(parts[0])
        tables.append(parts[1])
        intercepts.append(parts[2])
    longest = max(b.shape[1] for b in borders)
    anchors = torch.tensor([a for a, _, _ in ANCHORS], dtype=torch.float64)
    stacked = torch.stack([_pad(b, longest, math.inf) for b in borders])
    shapes, levels = _calibrated(
        rows, anchors, stacked, torch.stack([_pad(t, longest + 2) for t in tables]),
        torch.stack(intercepts),
    )  # fmt: skip
    # What is shipped is single precision; everything from here on uses what is shipped.
    shapes = shapes.float()
    net = AdditiveEnsemble(anchors, stacked, shapes, levels)
    return {
        "anchors": anchors,
        "borders": stacked,
        "tables": shapes,
        "intercepts": levels,
        "fresh": _fresh(rows, net),
        "usual_gap_h": _usual_gaps(stays),
        "cohort": torch.tensor(sorted(cohort_hash(COHORT, s.record_id) for s in stays)),
    }


def _pad(x: Tensor, length: int, value: float | None = None) -> Tensor:
    """Lengthen the last dimension; with no value given, by repeating the last entry."""
    missing = length - x.shape[-1]
    last = x[..., -1:] if value is None else torch.full_like(x[..., :1], value)
    return torch.cat([x, last.expand(*x.shape[:-1], missing)], dim=-1).contiguous()


def _fit_member(
    rows: list[Rows], fold: int, config: TrainConfig, on_round: Callable[[], None]
) -> tuple[Tensor, Tensor, Tensor]:
    """Borders (F, E), tables (A, F, E + 2) and intercepts (A,), from all folds but one."""
    kept = [r.folds != fold for r in rows]
    pooled = torch.cat([r.x[k] for r, k in zip(rows, kept, strict=True)])
    edges = [bin_edges(pooled[:, f], config.boosting.bins) for f in range(len(FEATURES))]
    tables, intercepts = [], []
    for a, (part, keep) in enumerate(zip(rows, kept, strict=True)):
        generator = torch.Generator().manual_seed(config.seed * 1_000 + fold * 10 + a)
        intercept, shapes = fit_shapes(
            to_bins(part.x[keep], edges),
            part.labels[keep],
            part.weights[keep],
            config.boosting,
            generator,
            on_round,
        )
        tables.append(shapes)
        intercepts.append(intercept)
    borders = torch.full((len(edges), max(len(e) for e in edges)), math.inf, dtype=torch.float64)
    for f, e in enumerate(edges):
        borders[f, : len(e)] = e
    width = borders.shape[1] + 2
    stacked = torch.stack(tables)[:, :, :width]
    # Bins above a feature's last border are never reached: its borders there are infinite.
    return borders, stacked, torch.tensor(intercepts, dtype=torch.float64)


def _calibrated(
    rows: list[Rows], anchors: Tensor, borders: Tensor, tables: Tensor, intercepts: Tensor
) -> tuple[Tensor, Tensor]:
    """Shapes and intercepts with a slope and an offset for each anchor (Platt) worked in.

    Fitted on log-odds of patients that a member has not seen; for member m on the patients of the
    other folds, so that scoring fold m with member m is free of its labels altogether.
    """
    net = AdditiveEnsemble(anchors, borders, tables, intercepts)
    tables, intercepts = tables.clone(), intercepts.clone()
    for a, part in enumerate(rows):
        weights = torch.zeros((len(part.x), len(anchors)), dtype=torch.float64)
        weights[:, a] = 1.0
        unseen = net(net.places(part.x), weights).gather(1, part.folds[:, None])[:, 0]
        for m in range(len(intercepts)):
            k = part.folds != m
            slope, offset = platt(unseen[k], part.labels[k], part.weights[k])
            tables[m, a] *= slope
            intercepts[m, a] = slope * intercepts[m, a] + offset
    return tables, intercepts


def platt(log_odds: Tensor, labels: Tensor, weights: Tensor | None = None) -> tuple[float, float]:
    """Slope and offset of a logistic regression on log-odds, by Newton's method.

    Drawn towards (1, 0) by a hundredth of a patient, so that few or separable rows have an answer.
    """
    w = torch.ones_like(log_odds) if weights is None else weights
    design = torch.stack([log_odds, torch.ones_like(log_odds)], 1)  # (N, 2)
    start = torch.tensor([1.0, 0.0], dtype=torch.float64)
    beta = start
    for _ in range(200):
        p = torch.sigmoid(design @ beta)
        gradient = design.T @ ((p - labels) * w) + _PULL * (beta - start)
        hessian = (design * (w * p * (1 - p))[:, None]).T @ design + _PULL * torch.eye(2)
        step = torch.linalg.solve(hessian, gradient).clamp(-1, 1)  # never runs away
        beta = beta - step
        if float(step.abs().max()) < 1e-10:
            break
    return float(beta[0]), float(beta[1])


def _fresh(rows: list[Rows], net: AdditiveEnsemble) -> Tensor:
    """(A, V, Q): quantiles of what a variable adds just after it was measured."""
    shares = (torch.arange(_QUANTILES, dtype=torch.float64) + 0.5) / _QUANTILES
    found = torch.zeros((len(rows), len(CATALOGUE), _QUANTILES), dtype=torch.float32)
    for a, part in enumerate(rows):
        weights = torch.zeros((len(part.x), len(rows)), dtype=torch.float64)
        weights[:, a] = 1.0
        parts = net.contributions(net.places(part.x), weights)
        for v, variable in enumerate(CATALOGUE):
            columns = [j for j, f in enumerate(FEATURES) if f.variable == variable.name]
            gap = next(j for j in columns if FEATURES[j].statistic == "hours_since")
            age = part.x[:, gap]
            just = age <= _FRESH_H
            chosen = just if int(just.sum()) >= 20 else ~age.isnan()
            if bool(chosen.any()):
                found[a, v] = parts[chosen][:, columns].sum(1).quantile(shares).float()
    return found


def _usual_gaps(stays: Sequence[Stay]) -> Tensor:
    """(V,): median hours between two measurements; the whole record where one is the rule."""
    gaps: list[float] = []
    for variable in CATALOGUE:
        between: list[NDArray[np.float64]] = []
        for stay in stays:
            end = ADMITTED_AT + ANCHORS[-1][0] * HOUR_S
            times = stay.record.times(variable.codes, ADMITTED_AT, end)
            if len(times) > 1:
                between.append(np.diff(np.array(times)) / HOUR_S)
        gaps.append(float(np.median(np.concatenate(between))) if between else ANCHORS[-1][0])
    return torch.tensor(gaps, dtype=torch.float64)
