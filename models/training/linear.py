"""Fitting: a ridge model for each modality, then the fusion from its unseen scores.

The models are either logistic regressions of the outcome at the horizon, or proportional hazards of
the whole course, which also learn from patients whose follow-up ended early. Which of the two, for
all modalities alike, and how strong each ridge, is chosen on inner folds. The fusion sees only
scores that a modality's model gave to patients whom it was not trained on (the same inner folds),
so that an overfitted modality does not look better than it is.

Letters in shape comments: N patients, I inputs, C columns, K modalities, S subsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import fusion
from models.encoding import Column, Encoder, columns_of, standardised
from models.fusion import Weights
from models.inputs import Question
from models.metrics import Array
from models.reading import Reader
from models.training.fit import platt
from models.training.ridge import cox, logistic
from models.training.tumours import Folded

RIDGES = (0.01, 0.03, 0.1, 0.3)  # inverse strength, as scikit-learn counts
LOGISTIC, HAZARD = KINDS = ("logistic", "hazard")
INNER = 5
# Beyond so many horizons the course says little of the horizon: hazards do not stay proportional.
_LATEST = 2.0


class Course(NamedTuple):
    """What became of patients (N,)."""

    labels: Array  # 1, 0; NaN where follow-up ended before the horizon
    days: Array  # until the event, or until follow-up ended; NaN where not known
    events: NDArray[np.bool_]

    def of(self, rows: NDArray[np.bool_]) -> Course:
        """Some of them."""
        return Course(self.labels[rows], self.days[rows], self.events[rows])

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N,) whose outcome at the horizon is known."""
        return ~np.isnan(self.labels)

    @property
    def baseline(self) -> float:
        """Log-odds of the outcome."""
        share = float(self.labels[self.known].mean())
        return float(np.log(share / (1 - share)))


@dataclass(frozen=True, slots=True)
class Linear:
    """One modality's model over its columns."""

    center: Array  # (C_k,)
    scale: Array
    weight: Array
    bias: float
    kind: str = LOGISTIC

    def scores(self, x: Array) -> Array:
        """(N, C_k) with NaN where not known → (N,)."""
        return _standardised(x, self.center, self.scale) @ self.weight + self.bias


@dataclass(frozen=True, slots=True)
class Fitted:
    """One member: everything from columns to evidence."""

    linear: list[Linear]  # of the fused modalities
    weights: Weights
    unseen: Array  # (N, K) inner scores of those with a known outcome, NaN where absent

    def scores(self, x: Array, columns: Sequence[Column]) -> Array:
        """(N, C) → (N, K), NaN where a modality is absent."""
        found = [
            _absent_is_nan(part.scores(x[:, at]), x[:, at])
            for part, at in zip(self.linear, places(columns, len(self.linear)), strict=True)
        ]
        return np.stack(found, 1)


def late(scores: Array, weights: Weights, baseline: float) -> Array:
    """Log-odds from scores (N, K), NaN where absent."""
    s = torch.from_numpy(scores)
    gain, offset = (w[None] for w in weights)
    ratio = fusion.ratios(s.nan_to_num(0.0)[:, None, :], ~s.isnan(), gain, offset)
    return np.asarray(baseline + ratio.sum((1, 2)).numpy(), dtype=np.float64)


def matrix(question: Question, patients: Sequence[Folded]) -> Array:
    """(N, C) columns of all sources, NaN where not known, when everything is there."""
    reader = Reader(question)
    rows = [reader.read(one.record, one.last).values for one in patients]
    encode = Encoder(columns_of(question.sources))
    return np.asarray(encode(torch.tensor(rows, dtype=torch.float64)).numpy(), dtype=np.float64)


def places(columns: Sequence[Column], modalities: int) -> list[list[int]]:
    """The columns of each modality."""
    return [[j for j, c in enumerate(columns) if c.modality == k] for k in range(modalities)]


def course_of(patients: Sequence[Folded]) -> Course:
    """What became of them."""
    nan = float("nan")
    return Course(
        np.array([nan if p.label is None else p.label for p in patients], dtype=np.float64),
        np.array([nan if p.followed_d is None else p.followed_d for p in patients]),
        np.array([p.had_event for p in patients], dtype=np.bool_),
    )


def fit(
    x: Array,
    course: Course,
    columns: Sequence[Column],
    modalities: int,
    horizon_d: float,
    seed: int,
) -> Fitted:
    """A member from training patients alone. `x` (N, C)."""
    tried = [
        _fit_kind(kind, x, course, places(columns, modalities), horizon_d, seed) for kind in KINDS
    ]
    labels = torch.from_numpy(course.labels[course.known])
    losses = [
        _loss(torch.from_numpy(late(one.unseen, one.weights, course.baseline)), labels)
        for one in tried
    ]
    return tried[int(np.argmin(losses))]


def _fit_kind(
    kind: str, x: Array, course: Course, at: list[list[int]], horizon_d: float, seed: int
) -> Fitted:
    """All modalities with models of one kind."""
    linear: list[Linear] = []
    unseen: list[Array] = []
    for part in (x[:, columns] for columns in at):
        there = _there(part)
        scores = np.full(len(x), np.nan)
        model, scores[there] = fit_linear(part[there], course.of(there), horizon_d, seed, kind)
        linear.append(model)
        unseen.append(scores)
    table = np.stack(unseen, 1)[course.known]
    labels = torch.from_numpy(course.labels[course.known])
    weights = fusion.logistic(torch.from_numpy(table), labels, course.baseline)
    return Fitted(linear, weights, table)


def fit_early(
    x: Array,
    course: Course,
    columns: Sequence[Column],
    modalities: int,
    horizon_d: float,
    seed: int,
) -> Fitted:
    """Early fusion in the same form: one model of all columns, cut into its modalities' parts."""
    found = fit_linear(x, course, horizon_d, seed)
    whole = calibrated(*found, course)
    linear: list[Linear] = []
    for at in places(columns, modalities):
        linear.append(Linear(whole.center[at], whole.scale[at], whole.weight[at], 0.0))
    weights = fusion.early(modalities, whole.bias - course.baseline)
    table = np.stack(
        [m.scores(x[:, at]) for m, at in zip(linear, places(columns, modalities), strict=True)], 1
    )
    return Fitted(linear, weights, table[course.known])


def fit_linear(
    x: Array, course: Course, horizon_d: float, seed: int, kind: str = LOGISTIC
) -> tuple[Linear, Array]:
    """The model with the best ridge, and the scores (N,) that inner folds gave unseen patients."""
    folds = folds_of(course.labels, seed)
    known, labels = course.known, torch.from_numpy(course.labels[course.known])
    tried = [_unseen(x, course, folds, (kind, ridge), horizon_d) for ridge in RIDGES]
    losses = [_loss(torch.from_numpy(scores[known]), labels) for scores in tried]
    best = int(np.argmin(losses))
    return _solve(x, course, (kind, RIDGES[best]), horizon_d), tried[best]


def calibrated(model: Linear, unseen: Array, course: Course) -> Linear:
    """The model as log-odds of its own: where no fusion gives its scores their scale (Platt)."""
    known = course.known
    labels = torch.from_numpy(course.labels[known])
    slope, offset = platt(torch.from_numpy(unseen[known]), labels)
    bias = slope * model.bias + offset
    return replace(model, weight=slope * model.weight, bias=bias)


def _loss(scores: Tensor, labels: Tensor) -> float:
    """Mean log loss, whatever the scale of the scores: the fusion gives them theirs."""
    slope, offset = platt(scores, labels)
    z = slope * scores + offset
    return float(torch.nn.functional.binary_cross_entropy_with_logits(z, labels))


def _unseen(
    x: Array, course: Course, folds: NDArray[np.int64], way: tuple[str, float], horizon_d: float
) -> Array:
    """(N,) scores of patients whom their fold's model was not trained on."""
    scores = np.zeros(len(x))
    for fold in range(INNER):
        rest = folds != fold
        scores[~rest] = _solve(x[rest], course.of(rest), way, horizon_d).scores(x[~rest])
    return scores


def folds_of(labels: Array, seed: int) -> NDArray[np.int64]:
    """(N,) fold of each patient, outcomes spread evenly, those without one by chance."""
    # Imported here: only those who train have it.
    from sklearn.model_selection import StratifiedKFold  # noqa: PLC0415

    folds = np.random.default_rng(seed).integers(0, INNER, len(labels))
    known = np.flatnonzero(~np.isnan(labels))
    split = StratifiedKFold(INNER, shuffle=True, random_state=seed).split(known, labels[known])
    for fold, (_, rows) in enumerate(split):
        folds[known[rows]] = fold
    return folds


def _solve(x: Array, course: Course, way: tuple[str, float], horizon_d: float) -> Linear:
    kind, ridge = way
    rows = course.known if kind == LOGISTIC else ~np.isnan(course.days)
    center, scale = moments(x[rows])
    z, seen = _standardised(x[rows], center, scale), course.of(rows)
    if kind == LOGISTIC:
        weight, bias = logistic(z, seen.labels, ridge)
        return Linear(center, scale, weight, bias, kind)
    latest = _LATEST * horizon_d
    events = seen.events & (seen.days <= latest)
    return Linear(center, scale, cox(z, seen.days.clip(max=latest), events, ridge), 0.0, kind)


def _standardised(x: Array, center: Array, scale: Array) -> Array:
    tensors = (torch.from_numpy(a) for a in (x, center, scale))
    return np.asarray(standardised(*tensors).numpy(), dtype=np.float64)


def moments(x: Array) -> tuple[Array, Array]:
    """(C,) means and standard deviations of what is known; 0 and 1 where nothing is."""
    known = ~np.isnan(x)
    count = np.maximum(known.sum(0), 1)
    center = np.where(known, x, 0.0).sum(0) / count
    scale = np.sqrt(np.where(known, (x - center) ** 2, 0.0).sum(0) / count)
    return center, np.where(scale < 1e-9, 1.0, scale)


def _there(x: Array) -> NDArray[np.bool_]:
    """(N,) where anything is known."""
    return np.asarray(~np.isnan(x).all(1), dtype=np.bool_)


def _absent_is_nan(scores: Array, x: Array) -> Array:
    return np.where(_there(x), scores, np.nan)
