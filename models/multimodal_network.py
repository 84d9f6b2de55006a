"""The arithmetic of a multimodal bundle: columns → scores → ratios, for all members at once.

Letters in shape comments: N patients, M members, I inputs, C columns, K fused modalities,
L all modalities that are read (the fused ones, then the stand-in), S subsets.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import fusion
from models.encoding import FARTHEST, columns_of, standardised
from models.inputs import Question

TENSORS = ("center", "scale", "weight", "bias", "gain", "offset", "usual", "farthest")


class Network(nn.Module):
    """Members' linear models and fusion tables."""

    center: Tensor  # (M, C)
    scale: Tensor
    weight: Tensor
    bias: Tensor  # (M, L)
    gain: Tensor  # (M, S, K)
    offset: Tensor  # (M, S, K)
    usual: Tensor  # (2, C of the fused) mean and standard deviation in training
    farthest: Tensor  # (M,) from it

    def __init__(self, question: Question, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        columns = columns_of(question.sources)
        for name in TENSORS:
            self.register_buffer(name, tensors[name].double())
        if self.weight.shape[1] != len(columns):
            raise ValueError(f"{self.weight.shape[1]} weights for {len(columns)} columns")
        self.fused = len(question.modalities)
        self._numbers = torch.tensor(
            [c.level is None and c.knot is None for c in columns if c.modality < self.fused]
        )
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
        """(N, C) → (N,): does a number lie farther from the training mean, in standard deviations,
        than the farthest of nearly every training patient? (`models.training.strangeness`)"""
        own = columns[:, : self.usual.shape[1]]
        off = ((own - self.usual[0]) / self.usual[1]).abs()[:, self._numbers]
        return off.nan_to_num(0.0).amax(1) > self.farthest.mean()

    def unlike(self, columns: Tensor) -> Tensor:
        """(N, C) → (N,): has the stand-in seen no images like these? Beyond `FARTHEST` standard
        deviations its line is no description of anything; all of its scans lie within."""
        lent = self.membership[:, self.fused :].any(1)
        off = (columns - self.center[0]) / self.scale[0]
        return (off[:, lent].nan_to_num(0.0).abs() > FARTHEST).any(1)

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
