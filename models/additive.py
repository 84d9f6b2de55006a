"""The network: a sum of shape functions, one for each feature, that change with the time in stay.

    log-odds = intercept(t) + Σ_f shape_f(x_f, t)

A shape is a table over bins of its feature, with a bin of its own for "not measured". There is one
table for each anchor (an hour in the stay); between two anchors the log-odds are interpolated in
the logarithm of the time. Several members, each trained without one fold of patients, are averaged.
What a feature adds is read off its table: the explanation is exact, not an approximation.

Letters in shape comments: N patients, F features, E borders, A anchors, M members.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AdditiveEnsemble(nn.Module):
    """Members with borders and tables of their own, looked up together."""

    anchors: Tensor  # (A,) hours
    borders: Tensor  # (F, U) ascending, padded with inf: all members' borders together
    rows: Tensor  # (F * (U + 2), M * A) float64: what each bin adds
    mean_rows: Tensor  # (F * (U + 2), A)
    intercepts: Tensor  # (M, A)
    offsets: Tensor  # (F,) first row of each feature

    def __init__(self, anchors: Tensor, borders: Tensor, tables: Tensor, intercepts: Tensor):
        """`borders` (M, F, E) padded with inf, `tables` (M, A, F, E + 2), bin 0 = unmeasured."""
        super().__init__()
        if not borders.shape[2] + 2 == tables.shape[3]:
            raise ValueError("a table has one bin more than borders, and one for the unmeasured")
        union, spread = _merge(borders.double(), tables.double())
        members, n_anchors, features, bins = spread.shape
        rows = spread.permute(2, 3, 0, 1).reshape(features * bins, members * n_anchors)
        self.register_buffer("anchors", anchors.double())
        self.register_buffer("borders", union)
        self.register_buffer("rows", rows.contiguous())
        self.register_buffer("mean_rows", spread.mean(0).permute(1, 2, 0).reshape(-1, n_anchors))
        self.register_buffer("intercepts", intercepts.double())
        self.register_buffer("offsets", torch.arange(features) * bins)

    def places(self, x: Tensor) -> Tensor:
        """(N, F) values, NaN where not measured → (N, F) rows of the tables."""
        columns = x.T.contiguous()
        bins = torch.searchsorted(self.borders, columns) + 1
        bins = torch.where(columns.isnan(), 0, bins)
        return (bins + self.offsets[:, None]).T.contiguous()

    def anchor_weights(self, hours: Tensor) -> Tensor:
        """(N,) hours in the stay → (N, A) weights that sum to one."""
        at = self.anchors.log()
        t = hours.clamp(self.anchors[0], self.anchors[-1]).log()
        right = torch.searchsorted(at, t).clamp(1, len(at) - 1)
        share = (t - at[right - 1]) / (at[right] - at[right - 1])
        weights = torch.zeros((len(hours), len(at)), dtype=torch.float64)
        weights.scatter_(1, right[:, None], share[:, None])
        weights.scatter_(1, right[:, None] - 1, 1 - share[:, None])
        return weights

    def forward(self, places: Tensor, weights: Tensor) -> Tensor:
        """(N, M): every member's log-odds."""
        members, n_anchors = self.intercepts.shape
        sums = nn.functional.embedding_bag(places, self.rows, mode="sum")  # (N, M * A)
        by_anchor = sums.view(-1, members, n_anchors) + self.intercepts
        return (by_anchor * weights[:, None, :]).sum(2)

    def contributions(self, places: Tensor, weights: Tensor) -> Tensor:
        """(N, F): what each feature adds to the mean of the members, without the intercept."""
        return (self.mean_rows[places] * weights[:, None, :]).sum(2)


def _merge(borders: Tensor, tables: Tensor) -> tuple[Tensor, Tensor]:
    """All members on common borders: (F, U) and (M, A, F, U + 2). Changes no value."""
    members, n_anchors, features, _ = tables.shape
    unions = [b[b.isfinite()].unique() for b in borders.transpose(0, 1)]
    longest = max(1, *(len(u) for u in unions))
    union = torch.full((features, longest), torch.inf, dtype=torch.float64)
    spread = torch.zeros((members, n_anchors, features, longest + 2), dtype=torch.float64)
    for f, known in enumerate(unions):
        union[f, : len(known)] = known
        # A bin is open below and closed above: its upper border stands for it.
        upper = torch.cat([union[f], torch.tensor([torch.inf], dtype=torch.float64)])
        for m in range(members):
            own = borders[m, f][borders[m, f].isfinite()]
            bins = torch.searchsorted(own, upper) + 1
            spread[m, :, f, 1:] = tables[m, :, f][:, bins]
            spread[m, :, f, 0] = tables[m, :, f, 0]
    return union, spread
