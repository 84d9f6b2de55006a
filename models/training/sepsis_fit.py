"""Fit the sepsis model: five members, each without one fold of patients.

Letters in shape comments: N rows, F features, M members, V variables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.conformal import Array, Reference, limit
from models.ensemble import FOLDS, enrolled, fold_of
from models.grid import on_grid
from models.leafwise import LeafwiseForest, LeafwiseTrees
from models.sepsis import AGE, NEWEST
from models.sepsis_explanation import IN_WARD, SINCE, by_group
from models.sepsis_features import CONTEXT, FEATURES, SepsisReader
from models.sepsis_variables import SEPSIS_CATALOGUE
from models.training.fit import Fitted, platt
from models.training.gate import LEVEL, fit_gates, observed
from models.training.leafwise_boosting import LeafwiseConfig, grow, joined
from models.training.sepsis_cohort import COHORT, STARTED_AT, SepsisStay
from models.utility import gain

_LEAST = 0.5  # emphasis on an hour that should be no example of either
_FRESH_H = 0.5  # a value not older than this counts as just measured
_QUANTILES = 9
_LONGEST_GAP_H = 48.0  # where a variable is measured once
_CHUNK = 2_000
_EXPLAINED = 20_000  # rows from which fresh values are taken


@dataclass(frozen=True, slots=True)
class SepsisConfig:
    """What a training run depends on besides the data."""

    seed: int = 1
    negatives: float = 0.2  # share of the hours without sepsis that are looked at
    forest: LeafwiseConfig = field(default_factory=LeafwiseConfig)


class Rows(NamedTuple):
    """Training examples: hours of patients. Those left out are stood for by weights."""

    x: Tensor  # (N, F) single precision
    labels: Tensor  # (N,)
    patients: Tensor  # (N,) place among the stays
    folds: Tensor  # (N,)
    weights: Tensor  # (N,) hours that a row stands for
    emphasis: Tensor  # (N,) how much the trees are to care for it
    usual_gap_h: Tensor  # (V,)
    cohort: Tensor  # entries of the patients
    hours: int  # before any were left out
    positive: int
    septic: int  # patients


def training_rows(
    stays: Iterable[SepsisStay], config: SepsisConfig, on_stay: Callable[[], None]
) -> Rows:
    """All hours with sepsis near, and a share of the others."""
    rng = np.random.default_rng(config.seed)
    reader = SepsisReader()
    x: list[NDArray[np.float32]] = []
    labels: list[NDArray[np.int64]] = []
    gains: list[NDArray[np.float64]] = []
    places: list[NDArray[np.int64]] = []
    folds: list[NDArray[np.int64]] = []
    gaps: list[list[float]] = [[] for _ in SEPSIS_CATALOGUE]
    cohort: list[int] = []
    hours = positive = septic = 0
    for place, stay in enumerate(stays):
        known = np.array(stay.labels)
        kept = (known == 1) | (rng.random(len(known)) < config.negatives)
        moments = [m for m, keep in zip(stay.moments(), kept.tolist(), strict=True) if keep]
        x.append(reader.matrix(moments).astype(np.float32))
        labels.append(known[kept])
        gains.append(gain(stay.labels)[kept])
        places.append(np.full(int(kept.sum()), place))
        folds.append(np.full(int(kept.sum()), fold_of(COHORT, stay.record_id)))
        for gap, variable in zip(gaps, SEPSIS_CATALOGUE, strict=True):
            times = stay.record.times(variable.codes, STARTED_AT, math.inf)
            gap += [(b - a) / 3600.0 for a, b in pairwise(times)]
        cohort.append(enrolled(COHORT, stay))
        hours += len(known)
        positive += int(known.sum())
        septic += int(known.any())
        on_stay()
    y = torch.from_numpy(np.concatenate(labels)).double()
    usual = [float(np.median(g)) if g else _LONGEST_GAP_H for g in gaps]
    return Rows(
        torch.from_numpy(np.concatenate(x)),
        y,
        torch.from_numpy(np.concatenate(places)),
        torch.from_numpy(np.concatenate(folds)),
        torch.where(y == 1, 1.0, 1.0 / config.negatives),
        emphasis(y, torch.from_numpy(np.concatenate(gains))),
        torch.tensor(usual, dtype=torch.float64),
        torch.tensor(sorted(cohort)),
        hours,
        positive,
        septic,
    )


def emphasis(labels: Tensor, gains: Tensor) -> Tensor:
    """(N,) weights by what an alarm is worth at each hour (`models.utility`).

    A positive hour counts half, and more by its worth: most where the alarm is due, least when it
    is too late. The hours just before, where an alarm is worth something and the label says no,
    count half. Calibration undoes what this does to the level.
    """
    positive = labels == 1
    usual = gains[positive].mean() if bool(positive.any()) else gains.new_tensor(1.0)
    worth = gains.clamp(min=0) / usual
    early = ~positive & (gains > 0)
    return torch.where(positive, _LEAST + worth, torch.where(early, _LEAST, 1.0))


def fit(rows: Rows, config: SepsisConfig, on_member: Callable[[], None]) -> Fitted:
    """The tensors of a bundle. Deterministic for a seed, one thread and the same libraries."""
    members = []
    for fold in range(FOLDS):
        kept = rows.folds != fold
        weights = rows.weights[kept] * rows.emphasis[kept]
        x, labels = rows.x[kept], rows.labels[kept]
        seed = config.seed * 1_000 + fold
        members.append(grow(x.numpy(), labels.numpy(), weights.numpy(), config.forest, seed))
        on_member()
    return finished(joined(members), rows)


def finished(trees: LeafwiseTrees, rows: Rows) -> Fitted:
    """Calibrated, with what explanations and abstentions need."""
    trees = calibrated(trees, rows)
    # Everything from here on uses what is shipped.
    tensors = {name: tensor.contiguous() for name, tensor in trees._asdict().items()}
    tensors["fresh"] = _fresh(rows, trees)
    tensors["usual_gap_h"] = rows.usual_gap_h
    tensors["cohort"] = rows.cohort
    reference, coverage = gates(rows)
    tensors |= {name: torch.from_numpy(a) for name, a in reference._asdict().items()}
    return Fitted(tensors, coverage)


def gates(rows: Rows) -> tuple[Reference, dict[str, Any]]:
    """What patients are compared with, and how many of those held out are refused."""
    x = rows.x.double().numpy()
    patients, folds = rows.patients.numpy(), rows.folds.numpy()
    # How many variables are known is no reason to be silent here, and is not looked at.
    compared = x, x[:, IN_WARD], np.zeros(len(x)), patients, folds, NEWEST
    found = fit_gates(*compared)
    reference = found._replace(gate_youngest=_youngest(x[:, AGE], patients, folds))
    youngest = float(reference.gate_youngest.mean())  # of the ensemble
    said = {"youngest": youngest if math.isfinite(youngest) else None}  # too few to say
    return reference, observed(reference, *compared) | said


def _youngest(ages: Array, patients: NDArray[Any], folds: NDArray[Any]) -> Array:
    """(M,) the age below which there are nearly no training patients.

    Conformal like the other measures: at most `LEVEL` of patients like them are younger.
    """
    _, first = np.unique(patients, return_index=True)
    ages, folds = ages[first], folds[first]
    known = ~np.isnan(ages)
    return np.array([-limit(-ages[known & (folds != m)], LEVEL) for m in range(FOLDS)])


def calibrated(trees: LeafwiseTrees, rows: Rows) -> LeafwiseTrees:
    """With a slope and an offset (Platt) worked in.

    Fitted on log-odds of patients that a member has not seen; for member m on the patients of the
    other folds, so that scoring fold m with member m is free of its labels altogether.
    """
    scores = torch.cat([members for members, _ in _scored(rows, trees, explained=False)])  # (N, M)
    unseen = scores.gather(1, rows.folds[:, None])[:, 0]
    leaves, levels = trees.leaves.clone(), trees.levels.double()
    for m in range(len(levels)):
        k = rows.folds != m
        slope, offset = platt(unseen[k], rows.labels[k], rows.weights[k])
        leaves[m] *= slope
        levels[m] = slope * levels[m] + offset
    return trees._replace(leaves=on_grid(leaves), levels=on_grid(levels))


@torch.inference_mode()
def _scored(
    rows: Rows, trees: LeafwiseTrees, *, explained: bool
) -> Iterable[tuple[Tensor, Tensor]]:
    """Members' log-odds (n, M) and parts (n, F), in chunks."""
    forest = LeafwiseForest(trees, len(FEATURES))
    for start in range(0, len(rows.x), _CHUNK):
        x = rows.x[start : start + _CHUNK].double()
        scores, parts = forest(x, len(x) if explained else 0)
        yield scores, parts[:, 0]


def _fresh(rows: Rows, trees: LeafwiseTrees) -> Tensor:
    """(V, Q): quantiles of what a variable adds just after it was measured."""
    shown = torch.arange(0, len(rows.x), max(1, len(rows.x) // _EXPLAINED))
    few = rows._replace(x=rows.x[shown])
    scored = _scored(few, trees, explained=True)
    parts = [torch.from_numpy(by_group(p.numpy())) for _, p in scored]
    groups = torch.cat(parts)[:, len(CONTEXT) :]  # (N, V)
    levels = (torch.arange(_QUANTILES, dtype=torch.float64) + 0.5) / _QUANTILES
    found = torch.zeros((len(SEPSIS_CATALOGUE), _QUANTILES), dtype=torch.float32)
    for v in range(len(SEPSIS_CATALOGUE)):
        just = few.x[:, SINCE[v]] <= _FRESH_H
        if bool(just.any()):
            found[v] = groups[just, v].quantile(levels).float()
    return found
