"""Inputs as columns of numbers: the one way, for training and for live scores.

Letters in shape comments: N patients, I inputs, C columns, K modalities.
"""

from __future__ import annotations

import math
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
    knot: float | None = None  # what the input lies above this, 0 below


def columns_of(modalities: Sequence[Modality]) -> list[Column]:
    """Columns in the order of modalities and their inputs.

    A category has one for each level; a number one for itself and one for each knot, so that its
    line may bend there.
    """
    inputs = [(k, one) for k, modality in enumerate(modalities) for one in modality.inputs]
    return [
        column
        for at, (k, one) in enumerate(inputs)
        for column in (
            *(Column(at, k, level, one.log) for level in one.levels or (None,)),
            *(Column(at, k, None, one.log, knot) for knot in one.knots),
        )
    ]


class Encoder:
    """Values of inputs → columns."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._at = torch.tensor([c.at for c in columns])
        self._is_log = torch.tensor([c.log for c in columns])
        self._is_level = torch.tensor([c.level is not None for c in columns])
        knots = [0.0 if c.knot is None else c.knot for c in columns]
        knots = [math.log1p(k) if c.log else k for k, c in zip(knots, columns, strict=True)]
        self._is_knot = torch.tensor([c.knot is not None for c in columns])
        self._knot = torch.tensor(knots, dtype=torch.float64)
        self._level = torch.tensor([c.level or 0.0 for c in columns], dtype=torch.float64)

    def __call__(self, values: Tensor) -> Tensor:
        """(N, I) → (N, C), NaN where not known."""
        x = values[:, self._at]
        level = torch.where(x.isnan(), x, (x == self._level).double())
        x = torch.where(self._is_log, x.log1p(), x)
        x = torch.where(self._is_knot, (x - self._knot).clamp(min=0.0), x)
        return torch.where(self._is_level, level, x)


def standardised(columns: Tensor, center: Tensor, scale: Tensor) -> Tensor:
    """Columns around their training mean; what is not known lies at the mean: no evidence."""
    return ((columns - center) / scale).nan_to_num(0.0).clamp(-FARTHEST, FARTHEST)
