"""Late fusion: each modality's score becomes a weight of evidence, and the weights add up.

    log-odds = baseline + Σ_k (gain_k score_k + offset_k)      over the modalities S that are there

Gains and offsets are those of the subset S: a logistic regression of the outcome on the scores of
S, on all patients who have S, whatever else they have. So an absent modality adds nothing, the
others' weights become what they deserve without it, and modalities that say the same thing share
their weight (`logistic`). A subset that fewer than `LEAST` patients have is fused by the mean of
what its modalities say alone, which is timid and ranks as well. Adding each modality's own ratio as
if they were independent is overconfident (`naive`).

`gaussian` is the classic other way to the same form: scores jointly normal in each outcome with one
covariance, absent ones integrated out. It ranks alike; scores of few answers (genes) are far from
normal, and its calibration shows it.

Source: logistic regression for likelihood ratios, Morrison, Australian Journal of Forensic Sciences
2013; linear discriminants, Fisher 1936; missing parts of a normal vector, Anderson, An Introduction
to Multivariate Statistical Analysis, §2.4.

Letters in shape comments: N patients, M members, K modalities, S subsets of modalities (2^K).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

LEAST = 30  # patients from whom weights of a subset are learned
_RIDGE = 0.5  # of the logistic regressions: half a patient's worth for each weight


class Weights(NamedTuple):
    """How scores become ratios."""

    gain: Tensor  # (S, K), 0 for what is not in the subset
    offset: Tensor  # (S, K)


def subsets(present: Tensor) -> Tensor:
    """(N, K) which modalities are there → (N,) number of the subset."""
    places = 2 ** torch.arange(present.shape[1])
    return (present * places).sum(1)


def logistic(scores: Tensor, labels: Tensor, baseline: float) -> Weights:
    """From scores (N, K) of patients unseen by the modalities' models, NaN where absent."""
    n = scores.shape[1]
    found = Weights(*(torch.zeros((2**n, n), dtype=torch.float64) for _ in range(2)))
    for s in range(1, 2**n):
        there = [k for k in range(n) if s >> k & 1]
        known = ~scores[:, there].isnan().any(1)
        if len(there) > 1 and int(known.sum()) < LEAST:  # those of one came before
            for k in there:
                found.gain[s, k] = found.gain[1 << k, k] / len(there)
                found.offset[s, k] = found.offset[1 << k, k] / len(there)
            continue
        middle = scores[known][:, there].mean(0)
        beta = _regression(scores[known][:, there] - middle, labels[known])
        found.gain[s, there] = beta[1:]
        # What the intercept says is nobody's in particular: in equal parts.
        found.offset[s, there] = (beta[0] - baseline) / len(there) - beta[1:] * middle
    return found


def _regression(x: Tensor, labels: Tensor) -> Tensor:
    """(N, K) → (1 + K,) intercept and weights, by Newton's method."""
    design = torch.cat([torch.ones((len(x), 1), dtype=torch.float64), x], 1)
    pull = torch.full((design.shape[1],), _RIDGE, dtype=torch.float64)
    pull[0] = 1e-6
    beta = torch.zeros(design.shape[1], dtype=torch.float64)
    for _ in range(100):
        p = torch.sigmoid(design @ beta)
        gradient = design.T @ (p - labels) + pull * beta
        hessian = (design * (p * (1 - p))[:, None]).T @ design + torch.diag(pull)
        step = torch.linalg.solve(hessian, gradient).clamp(-1, 1)  # never runs away
        beta = beta - step
        if float(step.abs().max()) < 1e-10:
            break
    return beta


def gaussian(scores: Tensor, labels: Tensor) -> Weights:
    """From scores (N, K), NaN where absent.

    Each entry of the covariance uses the patients who have both modalities.
    """
    n = scores.shape[1]
    one, zero = scores[labels == 1].nanmean(0), scores[labels == 0].nanmean(0)
    rest = scores - torch.where(labels[:, None] == 1, one, zero)
    known = (~rest.isnan()).double()
    rest = rest.nan_to_num(0.0)
    covariance = (rest.T @ rest) / (known.T @ known).clamp(min=1.0)
    # What pairs of modalities say rests on fewer patients than what each says: shrink a little.
    covariance = 0.95 * covariance + 0.05 * torch.diag(covariance.diagonal())
    gains = torch.zeros((2**n, n), dtype=torch.float64)
    for s in range(1, 2**n):
        there = [k for k in range(n) if s >> k & 1]
        part = covariance[there][:, there]
        gains[s, there] = torch.linalg.solve(part, (one - zero)[there])
    return Weights(gains, -gains * (one + zero) / 2)


def naive(weights: Weights) -> Weights:
    """Adding every modality's own log-likelihood ratio."""
    n = weights.gain.shape[1]
    there = torch.tensor([[s >> k & 1 for k in range(n)] for s in range(2**n)])
    alone = [torch.stack([w[1 << k, k] for k in range(n)]) for w in weights]
    return Weights(*(there * one for one in alone))


def unfused(weights: Weights, best: int) -> Weights:
    """The best modality alone where it is there; without it, as before."""
    n = weights.gain.shape[1]
    found = Weights(weights.gain.clone(), weights.offset.clone())
    for s in range(2**n):
        if s >> best & 1:
            for new, old in zip(found, weights, strict=True):
                new[s] = old[1 << best]
    return found


def early(modalities: int, offset: float) -> Weights:
    """Scores that are already parts of one model's sum; `offset` is what lies between its
    intercept and the baseline."""
    n = modalities
    there = torch.tensor([[s >> k & 1 for k in range(n)] for s in range(2**n)]).double()
    return Weights(there, there * offset / there.sum(1, keepdim=True).clamp(min=1.0))


def ratios(scores: Tensor, present: Tensor, gains: Tensor, offsets: Tensor) -> Tensor:
    """(N, M, K) log-likelihood ratios, 0 where a modality is absent.

    `scores` (N, M, K), `present` (N, K), `gains` and `offsets` (M, S, K).
    """
    at = subsets(present)
    gain, offset = (w[:, at].transpose(0, 1) for w in (gains, offsets))  # (N, M, K)
    return torch.where(present[:, None, :], gain * scores + offset, 0.0)
