"""Boosted oblivious trees in torch, with exact Shapley values at the price of a look-up.

All nodes of one level of an oblivious tree ask the same question, `x[column] > border`, so the
answers of its D tests are the binary digits of the leaf. Two things follow. A thousand trees are a
handful of vectorised comparisons. And since the leaf knows every answer, what each test adds, its
Shapley value under the training patients' distribution over the tree's leaves, is a table as well,
made once when the trees are loaded: an explanation is a second look-up, not an approximation.

    log-odds of member m = levels[m] + Σ_trees leaves[m, t, leaf(x)]
    mean over members    = expected  + Σ_features contributions

All entries are whole multiples of `STEP` and sums stay below 64, so that single precision adds them
without rounding: neither the order of adding nor the size of the batch can change a score.

Letters in shape comments: N patients, F features, M members, T trees of a member, R = M * T trees,
D tests of a tree, L = 2 ** D leaves.

Source: Prokhorenkova et al., NeurIPS 2018 (oblivious trees); Lundberg et al., Nature Machine
Intelligence 2020 (Shapley values of trees).
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

STEP = 2.0**-18
_CHUNK = 64  # patients at a time: all that a chunk needs stays in the processor's cache
_NEVER_SEEN = 1e-3  # cover of a leaf that no training patient reached


class Trees(NamedTuple):
    """What is stored of a forest: one row for each member, all of them alike in shape."""

    columns: Tensor  # (M, T, D) int: the feature that a test reads
    borders: Tensor  # (M, T, D) float32: passed by values above
    unmeasured: Tensor  # (M, T, D) bool: does a value that is not there (NaN) pass?
    leaves: Tensor  # (M, T, L) float32, log-odds; test d is binary digit d of the leaf
    covers: Tensor  # (M, T, L) float32: weight of the training patients in each leaf
    levels: Tensor  # (M,) float32: log-odds before the first tree


def on_grid(values: Tensor) -> Tensor:
    """The nearest multiples of `STEP`, in single precision."""
    return ((values.double() / STEP).round() * STEP).float()


class Forest(nn.Module):
    """Evaluates and explains. Gives every batch the scores that each patient gets alone."""

    rows: Tensor  # (D * R,) row of the doubled input that each test reads
    borders: Tensor  # (D * R, 1)
    leaves: Tensor  # (R, L)
    levels: Tensor  # (M,)
    shares: Tensor  # (D * R, L) Shapley values, tests ordered by feature
    owners: Tensor  # (D * R,) the tree of each of these
    starts: Tensor  # (F,) first of these for each feature

    def __init__(self, trees: Trees, n_features: int) -> None:
        super().__init__()
        members, count, depth = trees.columns.shape
        if trees.leaves.shape != (members, count, 2**depth):
            raise ValueError("a tree of D tests has 2 ** D leaves")
        self.members, self.depth, self.n_features = members, depth, n_features
        by_level = [t.reshape(-1, depth).T.reshape(-1) for t in trees[:3]]  # (D * R,) each
        columns = by_level[0].long()
        self.register_buffer("rows", columns + n_features * by_level[2].long())
        self.register_buffer("borders", by_level[1].float()[:, None])
        leaves = on_grid(trees.leaves).reshape(-1, 2**depth)
        self.register_buffer("leaves", leaves)
        self.register_buffer("levels", on_grid(trees.levels))
        means, shares = shapley(leaves, trees.covers.reshape(-1, 2**depth))
        self.expected = float((self.levels.double().sum() + means.double().sum()) / members)
        order = columns.argsort(stable=True)
        self.register_buffer("shares", shares.reshape(-1, 2**depth)[order].contiguous())
        self.register_buffer("owners", order % len(leaves))
        counts = torch.bincount(columns, minlength=n_features)
        self.register_buffer("starts", counts.cumsum(0) - counts)

    def forward(self, x: Tensor, explained: int = 0) -> tuple[Tensor, Tensor]:
        """(N, F) values, NaN where not measured → (N, M) log-odds of every member, and for the
        first `explained` patients (n, F) what each feature adds to the members' mean.
        """
        scores, parts = [], []
        for at in range(0, len(x), _CHUNK):
            leaf = self._leaf(x[at : at + _CHUNK])
            scores.append(self._score(leaf))
            if at < explained:
                parts.append(self._explain(leaf[:, : explained - at]))
        none = torch.empty((0, self.members), dtype=torch.float64)
        nothing = torch.empty((0, self.n_features), dtype=torch.float64)
        return torch.cat(scores or [none]), torch.cat(parts or [nothing])

    def _leaf(self, x: Tensor) -> Tensor:
        """(N, F) → (R, N): the leaf that each patient reaches in each tree."""
        values = x.T.float()
        gap = values.isnan()
        # Twice, so that one comparison does: first unmeasured below all borders, then above.
        doubled = torch.cat([values.masked_fill(gap, -math.inf), values.masked_fill(gap, math.inf)])
        n_trees = len(self.leaves)
        leaf = torch.zeros((n_trees, len(x)), dtype=torch.uint8)
        for d in range(self.depth):
            level = slice(d * n_trees, (d + 1) * n_trees)
            passed = doubled.index_select(0, self.rows[level]) > self.borders[level]
            leaf.add_(passed.view(torch.uint8), alpha=1 << d)
        return leaf.long()

    def _score(self, leaf: Tensor) -> Tensor:
        found = self.leaves.gather(1, leaf).view(self.members, -1, leaf.shape[1])  # (M, T, N)
        return (found.sum(1) + self.levels[:, None]).T.double()

    def _explain(self, leaf: Tensor) -> Tensor:
        added = self.shares.gather(1, leaf.index_select(0, self.owners))  # (D * R, N)
        everything = torch.arange(len(added))
        sums = nn.functional.embedding_bag(everything, added, self.starts, mode="sum")  # (F, N)
        return sums.T.double() / self.members


def shapley(leaves: Tensor, covers: Tensor) -> tuple[Tensor, Tensor]:
    """(R, L) leaves and covers → (R,) mean of each tree, (D, R, L) what each test adds in a leaf.

    The value of a set of answers is the mean of the leaves that share them, weighted by the
    training patients there. For each leaf the parts sum to leaf - mean, exactly, on the grid.
    """
    n_trees, n_leaves = leaves.shape
    depth = n_leaves.bit_length() - 1
    sides = (n_trees,) + (2,) * depth  # the highest digit comes first
    weight = (covers.double() + _NEVER_SEEN).reshape(sides)
    mass = leaves.double().reshape(sides) * weight
    values: dict[frozenset[int], Tensor] = {}
    for size in range(depth + 1):
        for known in itertools.combinations(range(depth), size):
            hidden = [depth - d for d in range(depth) if d not in known]
            both = [m.sum(hidden, keepdim=True) if hidden else m for m in (mass, weight)]
            values[frozenset(known)] = (both[0] / both[1]).expand(sides)
    parts = torch.zeros((depth, *sides), dtype=torch.float64)
    for others, value in values.items():
        for d in set(range(depth)) - others:
            chance = 1.0 / (depth * math.comb(depth - 1, len(others)))
            parts[d] += chance * (values[others | {d}] - value)
    rounded = on_grid(parts.reshape(depth, n_trees, n_leaves))
    means = on_grid(values[frozenset()].reshape(n_trees, n_leaves)[:, 0])
    rounded[0] += leaves - means[:, None] - rounded.sum(0)
    return means, rounded
