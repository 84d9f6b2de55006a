"""Values as bins, for boosting on histograms.

N rows, F features; bin 0 is "not measured".
"""

from __future__ import annotations

import torch
from torch import Tensor


def bin_edges(column: Tensor, bins: int) -> Tensor:
    """Borders between bins, ascending: midpoints between neighbouring values near quantiles."""
    known = column[~column.isnan()]
    if known.numel() == 0:
        return known
    values: Tensor = torch.unique(known)
    if values.numel() <= bins:
        return 0.5 * (values[1:] + values[:-1])
    shares = torch.linspace(0, 1, bins + 1, dtype=known.dtype)[1:-1]
    ranks = (shares * (known.numel() - 1)).long()
    cuts: Tensor = torch.unique(known.sort().values[ranks])
    above = values[torch.searchsorted(values, cuts, right=True).clamp(max=values.numel() - 1)]
    return ((cuts + above) / 2)[cuts < above]


def to_bins(x: Tensor, edges: list[Tensor]) -> Tensor:
    """(N, F) values → (F, N) bin numbers; 0 where not measured."""
    out = torch.empty((x.shape[1], x.shape[0]), dtype=torch.int32)
    for f, borders in enumerate(edges):
        column = x[:, f].contiguous()
        found = torch.searchsorted(borders, column).to(torch.int32) + 1
        out[f] = torch.where(column.isnan(), 0, found)
    return out
