"""Late fusion: each modality's score becomes a weight of evidence, and the weights add up.

The scores of the modalities are taken as jointly normal in each of the two outcomes, with one
covariance. For whichever modalities are there, the log-likelihood ratio is then

    Σ_k gain_k (score_k - middle_k),   gain = Σ_S⁻¹ (μ1 - μ0)_S,   middle = (μ1 + μ0)_S / 2

with the rows and columns of the modalities S that are there (the middle is the same for every S):
an absent one is integrated out, so it
adds nothing and the others' weights grow to what they deserve without it. Modalities that say the
same thing share their weight. Adding each modality's own ratio as if they were independent is the
special case of a diagonal covariance, and overconfident (`naive`).

Source: linear discriminant analysis, Fisher 1936; for missing parts of a normal vector, Anderson,
An Introduction to Multivariate Statistical Analysis, §2.4.

Letters in shape comments: N patients, M members, K modalities, S subsets of modalities (2^K).
"""

from __future__ import annotations

import torch
from torch import Tensor


def subsets(present: Tensor) -> Tensor:
    """(N, K) which modalities are there → (N,) number of the subset."""
    places = 2 ** torch.arange(present.shape[1])
    return (present * places).sum(1)


def gaussian(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Gains (S, K) for every subset and middles (K,), from scores (N, K) with NaN where absent.

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
    return gains, (one + zero) / 2


def naive(gains: Tensor) -> Tensor:
    """Gains (S, K) of adding every modality's own log-likelihood ratio."""
    n = gains.shape[1]
    alone = torch.stack([gains[1 << k, k] for k in range(n)])
    there = torch.tensor([[s >> k & 1 for k in range(n)] for s in range(2**n)])
    return there * alone


def ratios(scores: Tensor, present: Tensor, gains: Tensor, middles: Tensor) -> Tensor:
    """(N, M, K) log-likelihood ratios, 0 where a modality is absent.

    `scores` (N, M, K), `present` (N, K), `gains` (M, S, K), `middles` (M, K).
    """
    at = subsets(present)
    gain = gains[:, at].transpose(0, 1)  # (N, M, K), zero for what is absent
    return torch.where(present[:, None, :], gain * (scores - middles), 0.0)
