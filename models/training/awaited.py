"""What has yet to come of a patient, learned from those of whom it came.

`covariance`: how the parts of the log-odds vary together (`models.awaited`). `foreseen`: what a
modality's score will be, given the scores of others. `reach`: how many of the standard deviations
that follow from the covariance the score moved when the rest became known, of patients whom the
member never saw; so that an interval of that width holds at least `SHARE` of them (cross-conformal,
the largest over the subsets of modalities).

Source: Dempster, Laird, Rubin, Journal of the Royal Statistical Society B 1977 (normal
distributions from incomplete rows); Vovk, Annals of Mathematics and Artificial Intelligence 2015
(cross-conformal).

Letters in shape comments: N patients, I inputs, C columns, K modalities, S subsets, Q quantiles,
P patterns of what is known.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.awaited import awaited
from models.fusion import LEAST
from models.inputs import Question
from models.metrics import Array
from models.multimodal_network import Network

SHARE = 0.9
_ROUNDS = 30
_QUANTILES = 9
_RIDGE = 1.0  # of the lines from scores to a score: one patient's worth


def covariance(parts: Array) -> Array:
    """(N, I), NaN where not known → (I, I), by expectation and maximisation."""
    known = ~np.isnan(parts)
    patterns, which = np.unique(known, axis=0, return_inverse=True)
    which = which.ravel()
    filled = np.where(known, parts, 0.0)
    mean = filled.sum(0) / np.maximum(known.sum(0), 1)
    found = np.diag((np.where(known, parts - mean, 0.0) ** 2).mean(0))
    for _ in range(_ROUNDS):
        left = np.zeros_like(found)
        for p, seen in enumerate(patterns):
            rows, lost = which == p, ~seen
            line = _line(found, seen)
            filled[np.ix_(rows, lost)] = mean[lost] + (filled[rows][:, seen] - mean[seen]) @ line
            rest = found[np.ix_(lost, lost)] - found[np.ix_(lost, seen)] @ line
            left[np.ix_(lost, lost)] += rows.sum() * rest
        mean = filled.mean(0)
        found = ((filled - mean).T @ (filled - mean) + left) / len(parts)
    return found


def _line(found: Array, seen: NDArray[np.bool_]) -> Array:
    """Weights from what is seen to what is lost."""
    own = found[np.ix_(seen, seen)] + 1e-9 * np.eye(int(seen.sum()))
    return np.asarray(np.linalg.solve(own, found[np.ix_(seen, ~seen)]))


def foreseen(unseen: Array) -> tuple[Array, Array]:
    """Scores (N, K), NaN where absent → lines (S, K, 1 + K) and what lies around them (S, K, Q).

    Where few patients have S and k, k's scores as they usually are.
    """
    n = unseen.shape[1]
    lines = np.zeros((2**n, n, 1 + n))
    around = np.zeros((2**n, n, _QUANTILES))
    shares = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    for s in range(2**n):
        given = [j for j in range(n) if s >> j & 1]
        for k in (k for k in range(n) if k not in given):
            both = ~np.isnan(unseen[:, [*given, k]]).any(1)
            there = given if both.sum() >= LEAST else []
            rows = unseen[both] if there else unseen[~np.isnan(unseen[:, k])]
            weights = _regression(rows[:, there], rows[:, k])
            rest = rows[:, k] - weights[0] - rows[:, there] @ weights[1:]
            lines[s, k, [0, *(1 + j for j in there)]] = weights
            around[s, k] = np.quantile(rest, shares)
    return lines, around


def _regression(x: Array, y: Array) -> Array:
    """(N, J), (N,) → (1 + J,) intercept and weights."""
    middle = x.mean(0)
    z = x - middle
    weights = np.linalg.solve(z.T @ z + _RIDGE * np.eye(x.shape[1]), z.T @ (y - y.mean()))
    return np.asarray(np.r_[y.mean() - middle @ weights, weights], dtype=np.float64)


def parts_of(net: Network, x: Tensor) -> Array:
    """(N, C) → (N, I) what each input of the fused modalities adds with all there; NaN: unknown."""
    everything = torch.ones((len(x), net.fused), dtype=torch.bool)
    added = net.shares(net.parts(x), everything, everything.double())
    return np.asarray(torch.where(net.known(x) > 0, added, torch.nan)[:, : net.inputs].numpy())


def moved(question: Question, net: Network, x: Tensor) -> Array:
    """(P, N): by how many standard deviations the score of each pattern was off what it became.

    Patterns are all subsets of modalities but the last, whole one, age and sex known in each. NaN
    of patients who lack a modality.
    """
    whole = ((net.known(x) @ net.input_of) > 0)[:, : net.fused]
    complete = whole.all(1)
    final = _log_odds(net, x, whole)
    found = np.full((2**net.fused - 1, len(x)), np.nan)
    for s in range(2**net.fused - 1):
        some = torch.where(net.column_of @ _kept(question, s) > 0, x, torch.nan)
        known = net.known(some)
        present = ((known @ net.input_of) > 0)[:, : net.fused]
        off = (final - _log_odds(net, some, present)).abs()
        width = awaited(net.covariance.mean(0), known[:, : net.inputs]).sqrt()
        found[s, complete.numpy()] = (off / width.clamp(min=1e-9))[complete].numpy()
    return found


def _kept(question: Question, s: int) -> Tensor:
    """(I,) 1 for inputs that are known: those of the subset, and what is known of the person."""
    kept = [
        bool(k < len(question.modalities) and s >> k & 1) or not one.variable.codes
        for k, modality in enumerate(question.sources)
        for one in modality.inputs
    ]
    return torch.tensor(kept, dtype=torch.float64)


def _log_odds(net: Network, x: Tensor, present: Tensor) -> Tensor:
    """(N,) above the baseline, of a network of one member."""
    return net.ratios(net.scores(net.parts(x)), present).mean(1).sum(1)


def reach(off: Array, folds: NDArray[np.int64], members: int) -> list[float]:
    """(P, N) as of `moved` → (M,): a member's reach leaves out the fold that it is to score."""
    return [max(_quantile(row[folds != fold]) for row in off) for fold in range(members)]


def _quantile(values: Array) -> float:
    """The conformal one: at least `SHARE` of patients like these lie below."""
    values = np.sort(values[~np.isnan(values)])
    place = math.ceil(SHARE * (len(values) + 1))
    return float(values[min(place, len(values)) - 1])
