"""Inputs as columns of numbers: the one way, for training and for live scores.

Letters in shape comments: N patients, I inputs, C columns, K modalities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.inputs import Modality

# Standard deviations from the training mean beyond which a value says no more: a line is a good
# description of what was seen, not of what never was.
FARTHEST = 4.0


class Column(NamedTuple):
    """One number of the model."""

    at: int  # input, counted over all modalities
    modality: int
    level: float | None  # 1 where the input has this level
    log: bool


def columns_of(modalities: Sequence[Modality]) -> list[Column]:
    """Columns in the order of modalities and their inputs; a category has one for each level."""
    inputs = [(k, one) for k, modality in enumerate(modalities) for one in modality.inputs]
    return [
        Column(at, k, level, one.log)
        for at, (k, one) in enumerate(inputs)
        for level in one.levels or (None,)
    ]


class Encoder:
    """Values of inputs → columns."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._at = torch.tensor([c.at for c in columns])
        self._is_log = torch.tensor([c.log for c in columns])
        self._is_level = torch.tensor([c.level is not None for c in columns])
        self._level = torch.tensor([c.level or 0.0 for c in columns], dtype=torch.float64)

    def __call__(self, values: Tensor) -> Tensor:
        """(N, I) → (N, C), NaN where not known."""
        x = values[:, self._at]
        level = torch.where(x.isnan(), x, (x == self._level).double())
        return torch.where(self._is_level, level, torch.where(self._is_log, x.log1p(), x))


def standardised(columns: Tensor, center: Tensor, scale: Tensor) -> Tensor:
    """Columns around their training mean; what is not known lies at the mean: no evidence."""
    return ((columns - center) / scale).nan_to_num(0.0).clamp(-FARTHEST, FARTHEST)
