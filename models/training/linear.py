"""Fitting: a ridge-logistic model for each modality, then the fusion from its unseen scores.

The fusion sees only scores that a modality's model gave to patients whom it was not trained on
(five inner folds), so that an overfitted modality does not look better than it is. The ridge of
each modality is chosen on the same inner scores.

Letters in shape comments: N patients, I inputs, C columns, K modalities, S subsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import fusion
from models.encoding import Column, Encoder, columns_of, standardised
from models.inputs import Question, read
from models.metrics import Array
from models.training.fit import platt
from models.training.tumours import Folded

RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0)  # inverse strength, as scikit-learn counts
INNER = 5
_QUANTILES = 9


@dataclass(frozen=True, slots=True)
class Linear:
    """One modality's model over its columns."""

    center: Array  # (C_k,)
    scale: Array
    weight: Array
    bias: float

    def scores(self, x: Array) -> Array:
        """(N, C_k) with NaN where not known → (N,) log-odds."""
        return _standardised(x, self.center, self.scale) @ self.weight + self.bias


@dataclass(frozen=True, slots=True)
class Fitted:
    """One member: everything from columns to evidence."""

    linear: list[Linear]  # of the fused modalities
    gain: Tensor  # (S, K)
    middle: Tensor  # (K,)
    unseen: Array  # (N, K) inner scores, NaN where absent
    slope: float  # calibration worked into `gain`

    def scores(self, x: Array, columns: Sequence[Column]) -> Array:
        """(N, C) → (N, K), NaN where a modality is absent."""
        found = [
            _absent_is_nan(part.scores(x[:, at]), x[:, at])
            for part, at in zip(self.linear, places(columns, len(self.linear)), strict=True)
        ]
        return np.stack(found, 1)

    def log_odds(self, scores: Array, baseline: float) -> Array:
        """(N, K) → (N,) of the fusion."""
        return late(scores, self.gain, self.middle, baseline)


def late(scores: Array, gain: Tensor, middle: Tensor, baseline: float) -> Array:
    """Log-odds from scores (N, K), NaN where absent."""
    s = torch.from_numpy(scores)
    there = ~s.isnan()
    ratio = fusion.ratios(s.nan_to_num(0.0)[:, None, :], there, gain[None], middle[None])
    return np.asarray(baseline + ratio.sum((1, 2)).numpy(), dtype=np.float64)


def matrix(question: Question, patients: Sequence[Folded]) -> Array:
    """(N, C) columns of all sources, NaN where not known, when everything is there."""
    rows = [
        [v for m in question.sources for v in read(m, one.record, one.last).values]
        for one in patients
    ]
    encode = Encoder(columns_of(question.sources))
    return np.asarray(encode(torch.tensor(rows, dtype=torch.float64)).numpy(), dtype=np.float64)


def places(columns: Sequence[Column], modalities: int) -> list[list[int]]:
    """The columns of each modality."""
    return [[j for j, c in enumerate(columns) if c.modality == k] for k in range(modalities)]


def fit(x: Array, labels: Array, columns: Sequence[Column], modalities: int, seed: int) -> Fitted:
    """A member from training patients alone. `x` (N, C)."""
    linear: list[Linear] = []
    unseen: list[Array] = []
    for at in places(columns, modalities):
        part = x[:, at]
        there = ~np.isnan(part).all(1)
        scores = np.full(len(x), np.nan)
        model, scores[there] = fit_linear(part[there], labels[there], seed)
        linear.append(model)
        unseen.append(scores)
    table = np.stack(unseen, 1)
    s, y = torch.from_numpy(table), torch.from_numpy(labels)
    gain, middle = fusion.gaussian(s, y)
    baseline = float(np.log(labels.mean() / (1 - labels.mean())))
    slope, _ = platt(torch.from_numpy(late(table, gain, middle, baseline)), y)
    return Fitted(linear, gain * slope, middle, table, slope)


def fit_linear(x: Array, labels: Array, seed: int) -> tuple[Linear, Array]:
    """The model with the best ridge, and the scores (N,) that inner folds gave unseen patients."""
    folds = folds_of(labels, seed)
    tried = [_unseen(x, labels, folds, ridge) for ridge in RIDGES]
    losses = [float(np.mean(np.logaddexp(0, s) - labels * s)) for s in tried]
    best = int(np.argmin(losses))
    return _solve(x, labels, RIDGES[best]), tried[best]


def _unseen(x: Array, labels: Array, folds: NDArray[np.int64], ridge: float) -> Array:
    """(N,) scores of patients whom their fold's model was not trained on."""
    scores = np.zeros(len(x))
    for fold in range(INNER):
        rest = folds != fold
        scores[~rest] = _solve(x[rest], labels[rest], ridge).scores(x[~rest])
    return scores


def folds_of(labels: Array, seed: int) -> NDArray[np.int64]:
    """(N,) fold of each patient, outcomes spread evenly."""
    # Imported here: only those who train have it.
    from sklearn.model_selection import StratifiedKFold  # noqa: PLC0415

    folds = np.zeros(len(labels), dtype=np.int64)
    split = StratifiedKFold(INNER, shuffle=True, random_state=seed).split(labels, labels)
    for fold, (_, rows) in enumerate(split):
        folds[rows] = fold
    return folds


def _solve(x: Array, labels: Array, ridge: float) -> Linear:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    center, scale = moments(x)
    z = _standardised(x, center, scale)
    found = LogisticRegression(C=ridge, max_iter=2_000).fit(z, labels)
    return Linear(center, scale, found.coef_[0].astype(np.float64), float(found.intercept_[0]))


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


def _absent_is_nan(scores: Array, x: Array) -> Array:
    return np.where(np.isnan(x).all(1), np.nan, scores)


def usual_scores(unseen: Array) -> Tensor:
    """(K, Q) quantiles of what each modality's score usually is."""
    shares = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    return torch.from_numpy(np.nanquantile(unseen, shares, axis=0).T.copy())
