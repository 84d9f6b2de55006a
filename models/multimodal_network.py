"""The arithmetic of a multimodal bundle: columns → scores → ratios, for all members at once.

Letters in shape comments: N patients, M members, I inputs, C columns, K fused modalities,
L all modalities that are read (the fused ones, then the stand-in), S subsets, Q quantiles, G what
may be strange: the fused modalities together, then the stand-in.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import fusion
from models.awaited import awaited
from models.encoding import columns_of, standardised
from models.ensemble import spread
from models.inputs import Question

TENSORS = (
    *("center", "scale", "weight", "bias", "gain", "offset"),
    *("usual", "farthest", "covariance", "reach", "trained", "lines", "around"),
)


class Network(nn.Module):
    """Members' linear models and fusion tables."""

    center: Tensor  # (M, C)
    scale: Tensor
    weight: Tensor
    bias: Tensor  # (M, L)
    gain: Tensor  # (M, S, K)
    offset: Tensor  # (M, S, K)
    usual: Tensor  # (2, C) mean and standard deviation in training
    farthest: Tensor  # (M, G) from it
    covariance: Tensor  # (M, I of the fused, the same) of what inputs add with all modalities there
    reach: Tensor  # (M,) standard deviations
    trained: Tensor  # (2,) level, and share of the members' variance (`models.training.others`)
    lines: Tensor  # (M, S, K, 1 + K) from the scores of a subset to another modality's
    around: Tensor  # (M, S, K, Q) what lies around them

    def __init__(self, question: Question, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        columns = columns_of(question.sources)
        for name in TENSORS:
            self.register_buffer(name, tensors[name].double())
        if self.weight.shape[1] != len(columns):
            raise ValueError(f"{self.weight.shape[1]} weights for {len(columns)} columns")
        self.fused = len(question.modalities)
        self.inputs = sum(len(m.inputs) for m in question.modalities)
        numbers = [(j, c) for j, c in enumerate(columns) if c.level is None and c.knot is None]
        lent = [j for j, c in numbers if c.modality >= self.fused]
        own = [j for j, c in numbers if c.modality < self.fused]
        self._numbers = [own, lent] if lent else [own]
        self.membership = nn.functional.one_hot(
            torch.tensor([c.modality for c in columns]), len(question.sources)
        ).double()  # (C, L)

        inputs = [k for k, m in enumerate(question.sources) for _ in m.inputs]
        self.input_of = nn.functional.one_hot(torch.tensor(inputs)).double()  # (I, L)
        self.column_of = nn.functional.one_hot(torch.tensor([c.at for c in columns])).double()

    def parts(self, columns: Tensor) -> Tensor:
        """(N, C) → (N, M, C): what each column adds to its modality's score; 0 for the unknown."""
        return self.weight * standardised(columns[:, None, :], self.center, self.scale)

    def strange(self, columns: Tensor) -> Tensor:
        """(N, C) → (N, G): does a number lie farther from the training mean, in standard
        deviations, than the farthest of nearly every training patient?
        (`models.training.strangeness`)"""
        off = ((columns - self.usual[0]) / self.usual[1]).abs().nan_to_num(0.0)
        farthest = torch.stack([off[:, numbers].amax(1) for numbers in self._numbers], 1)
        return farthest > self.farthest.mean(0)

    def known(self, columns: Tensor) -> Tensor:
        """(N, C) → (N, I): 1 for inputs that are known."""
        return ((~columns.isnan()).double() @ self.column_of > 0).double()

    def doubt(self, ratio: Tensor, known: Tensor) -> Tensor:
        """(N, M, K), (N, I) how well inputs are known → (N,) half the width of the interval.

        Of the log-odds, 90 %: how far the members differ, and how far what is not known would move
        the score.
        """
        level, share = self.trained
        error = torch.from_numpy(spread(ratio.sum(2).numpy()))
        moves = awaited(self.covariance.mean(0), known[:, : self.inputs]).sqrt()
        half: Tensor = (level + share * error**2 + (self.reach.max() * moves) ** 2).sqrt()
        return half

    def foreseen(self, scores: Tensor, present: Tensor, k: int) -> Tensor:
        """(M, L), (K,) → (Q, M): the scores that modality k may have, given the others'."""
        others = present.clone()
        others[k] = False
        s = int(fusion.subsets(others[None])[0])
        line = self.lines[:, s, k]
        middle = line[:, 0] + (line[:, 1:] * scores[:, : self.fused]).sum(1)
        return middle + self.around[:, s, k].T

    def scores(self, parts: Tensor) -> Tensor:
        """(N, M, C) → (N, M, L) scores of all modalities."""
        return parts @ self.membership + self.bias

    def ratios(self, scores: Tensor, present: Tensor) -> Tensor:
        """(N, M, L), (N, K) → (N, M, K) log-likelihood ratios of the fused ones."""
        return fusion.ratios(scores[..., : self.fused], present, self.gain, self.offset)

    def shares(self, parts: Tensor, present: Tensor, fade: Tensor) -> Tensor:
        """(N, I): what each input adds to the log-odds."""
        gain = self.gain[:, fusion.subsets(present)].transpose(0, 1) * fade[:, None, :]
        by_column = (parts * (gain @ self.membership[:, : self.fused].T)).mean(1)
        return (by_column @ self.column_of).round(decimals=6)
