"""Values as bins."""

from __future__ import annotations

import math

import torch

from models.training.boosting import bin_edges, to_bins

_NAN = math.nan


def test_borders_separate_values_and_leave_out_the_unmeasured() -> None:
    edges = bin_edges(torch.tensor([1.0, 2.0, 2.0, 5.0, _NAN]).double(), 32)
    assert edges.tolist() == [1.5, 3.5]
    codes = to_bins(torch.tensor([[0.0], [1.5], [2.0], [9.0], [_NAN]]).double(), [edges])
    assert codes[0].tolist() == [1, 1, 2, 3, 0]
    many = torch.linspace(0, 1, 1_000, dtype=torch.float64)
    assert 25 <= len(bin_edges(many, 32)) <= 32
    assert bin_edges(torch.tensor([_NAN]).double(), 32).numel() == 0
