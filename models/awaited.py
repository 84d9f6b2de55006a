"""How far a score may still move: evidence that has yet to come, given what is known.

The log-odds that a patient has when everything is known is a sum of what the inputs add, and among
training patients these parts vary together. Of a patient of whom some are known, the sum of the
others has the variance of a conditional normal distribution. It depends on which inputs are known,
not on their values, and is never larger when more is known.

An input may be known in part: evidence that has faded, a guess that stands in for a result. It then
counts as measured with an error, so large that it explains the stated share of its variance.

Source: conditional normal distributions, Anderson, An Introduction to Multivariate Statistical
Analysis, §2.5.

Letters in shape comments: N patients, I inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST = 1e-9  # variance that every input keeps: what adds nothing has none of its own


def awaited(covariance: Tensor, known: Tensor) -> Tensor:
    """(I, I) of the parts, (N, I) how well each is known, from 0 to 1 → (N,) variance of the sum.

    `known` is the share of a part's variance that is explained.
    """
    root = known.sqrt()
    error = (1 - known) * covariance.diagonal() + _LEAST
    seen = root[:, :, None] * covariance * root[:, None, :] + torch.diag_embed(error)
    shared = root * covariance.sum(1)  # of what is seen with the sum
    explained = (shared * torch.linalg.solve(seen, shared)).sum(1)
    left: Tensor = covariance.sum() - explained
    return left.clamp(min=0.0)
