"""Late fusion that is as sure of itself as unseen patients allow.

A member's ridges, its kind of model and its fusion are all chosen on the same inner folds, so the
scores that the fusion is calibrated on are a little too good: on patients that nothing of the fit
has seen, the log-odds come out too far from the baseline. How much too far is what the whole fit,
repeated without each fold, gives of the patients left out. Each subset of modalities is drawn
towards the baseline by its own factor, which is never above 1: chance in a small cohort may ask for
more, and evidence that is drawn away from the baseline is surer than any fit was. A subset that
fewer than `LEAST` patients have, or in which an outcome is rarer than `LEAST_EACH`, takes the
factor of all patients, each with all that they have.

Source: van Houwelingen, le Cessie, Statistics in Medicine 1990 (shrinkage by cross-validation).

Letters in shape comments: N patients, C columns, K modalities, S subsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from models.encoding import Column
from models.fusion import LEAST, Weights
from models.metrics import Array
from models.training.fit import platt
from models.training.linear import INNER, Course, Fitted, fit, folds_of, late

LEAST_EACH = 5
_APART = 77  # the folds here are others than those of the ridges


def fit_late(
    x: Array,
    course: Course,
    columns: Sequence[Column],
    modalities: int,
    horizon_d: float,
    seed: int,
) -> Fitted:
    """`models.training.linear.fit`, its evidence drawn towards the baseline. `x` (N, C)."""
    folds = folds_of(course.labels, seed + _APART)
    unseen = np.full((2**modalities, len(x)), np.nan)  # (S, N) log-odds
    for fold in range(INNER):
        rest, test = folds != fold, (folds == fold) & course.known
        one = fit(x[rest], course.of(rest), columns, modalities, horizon_d, seed)
        unseen[:, test] = _by_subset(one, one.scores(x[test], columns), course.baseline)
    whole = fit(x, course, columns, modalities, horizon_d, seed)
    return replace(whole, weights=shrunk(whole.weights, unseen - course.baseline, course))


def _by_subset(member: Fitted, scores: Array, baseline: float) -> Array:
    """(N, K) scores → (S, N) log-odds of those who have all of a subset, NaN of the others."""
    n = scores.shape[1]
    found = np.full((2**n, len(scores)), np.nan)
    for s in range(1, 2**n):
        inside = np.array([bool(s >> k & 1) for k in range(n)])
        whole = ~np.isnan(scores[:, inside]).any(1)
        some = np.where(inside, scores, np.nan)
        found[s] = np.where(whole, late(some, member.weights, baseline), np.nan)
    return found


def shrunk(weights: Weights, unseen: Array, course: Course) -> Weights:
    """Weights whose ratios have the slope and the level that the `unseen` ones (S, N) ask for."""
    found = Weights(weights.gain.clone(), weights.offset.clone())
    whole = _line(_with_everything(unseen), course)
    for s, ratios in enumerate(unseen):
        if np.isnan(ratios).all():
            continue
        slope, level = _line(ratios, course) if _enough(ratios, course) else whole
        there = torch.tensor([bool(s >> k & 1) for k in range(weights.gain.shape[1])])
        found.gain[s] *= slope
        found.offset[s] = slope * found.offset[s] + torch.where(
            there, (level - course.baseline) / int(there.sum()), 0.0
        )
    return found


def _with_everything(unseen: Array) -> Array:
    """(S, N) → (N,): by the largest subset that a patient has. Of all that they have it is last."""
    found = np.full(unseen.shape[1], np.nan)
    for ratios in unseen:
        found = np.where(np.isnan(ratios), found, ratios)
    return found


def _enough(ratios: Array, course: Course) -> bool:
    labels = course.labels[~np.isnan(ratios)]
    return len(labels) >= LEAST and min(labels.sum(), (1 - labels).sum()) >= LEAST_EACH


def _line(ratios: Array, course: Course) -> tuple[float, float]:
    """Slope from 0 to 1 and level that make log-odds of ratios (N,), NaN of those without."""
    known = ~np.isnan(ratios)
    x, labels = torch.from_numpy(ratios[known]), torch.from_numpy(course.labels[known])
    slope, level = platt(x, labels)
    if slope <= 0:  # no evidence, rather than its opposite
        return 0.0, course.baseline
    if slope > 1:
        return 1.0, platt(torch.zeros_like(x), labels, beside=x)[1]
    return slope, level
