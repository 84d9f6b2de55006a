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


class Forest:
    """Evaluates and explains. Gives every batch the scores that each patient gets alone.

    Several groups of trees of the same members can be asked in one pass.
    """

    def __init__(self, trees: Trees, n_features: int, *others: Trees) -> None:
        groups = (trees, *others)
        self.members, _, depth = trees.columns.shape
        if any(g.leaves.shape != (*g.columns.shape[:2], 2**depth) for g in groups):
            raise ValueError("a tree of D tests has 2 ** D leaves")
        self.groups, self.n_features, self._depth = len(groups), n_features, depth
        self._counts = [g.columns.shape[1] for g in groups]
        # Everything of all groups, one after the other: (R, D), (R, L).
        flat = [torch.cat([g[i].flatten(0, 1) for g in groups]) for i in range(5)]
        by_level = [t.T.reshape(-1) for t in flat[:3]]  # (D * R,) each
        columns = by_level[0].long()
        # Rows of the doubled input that the tests read.
        self._rows = columns + n_features * by_level[2].long()
        self._borders = by_level[1].float()[:, None]
        self._leaves = on_grid(flat[3])  # (R, L)
        self._levels = on_grid(torch.stack([g.levels for g in groups]))[:, :, None]  # (G, M, 1)
        means, shares = shapley(self._leaves, flat[4])
        sizes = [self.members * count for count in self._counts]
        sums = torch.stack([part.double().sum() for part in torch.split(means, sizes)])
        self.expected = sums / self.members + self._levels.double().mean(1)[:, 0]  # (G,)
        # Shapley values with the tests in order of group and feature.
        n_trees = len(self._leaves)
        tree = torch.arange(n_trees).repeat(depth)
        group = torch.arange(self.groups).repeat_interleave(torch.tensor(sizes)).repeat(depth)
        order = (group * n_features + columns).argsort(stable=True)
        self._shares = shares.reshape(-1, 2**depth)[order].contiguous()  # (D * R, L)
        self._owners = tree[order]
        counts = torch.bincount(group * n_features + columns, minlength=self.groups * n_features)
        self._starts = counts.cumsum(0) - counts  # (G * F,)
        self._all = torch.arange(len(order))

    def __call__(self, x: Tensor, explained: int = 0) -> tuple[Tensor, Tensor]:
        """(N, F) values, NaN where not measured → (N, G * M) log-odds of every member, and for the
        first `explained` patients (n, G, F) what each feature adds to the mean of each group.
        """
        scores = torch.empty((len(x), self.groups * self.members), dtype=torch.float64)
        shape = (min(explained, len(x)), self.groups, self.n_features)
        parts = torch.empty(shape, dtype=torch.float64)
        for at in range(0, len(x), _CHUNK):
            leaf = self._leaf(x[at : at + _CHUNK])
            scores[at : at + _CHUNK] = self._score(leaf)
            if at < explained:
                parts[at : at + _CHUNK] = self._explain(leaf[:, : explained - at])
        return scores, parts

    def _leaf(self, x: Tensor) -> Tensor:
        """(N, F) → (R, N): the leaf that each patient reaches in each tree."""
        values = x.T.float()
        # Twice, so that one comparison does: first unmeasured below all borders, then above.
        doubled = torch.cat(
            [
                values.nan_to_num(-math.inf, math.inf, -math.inf),
                values.nan_to_num(math.inf, math.inf, -math.inf),
            ]
        )
        passed = doubled.index_select(0, self._rows) > self._borders
        bits = passed.view(torch.uint8).view(self._depth, len(self._leaves), len(x))
        leaf = bits[0]
        for d in range(1, self._depth):
            leaf = leaf.add(bits[d], alpha=1 << d)
        return leaf.long()

    def _score(self, leaf: Tensor) -> Tensor:
        found = self._leaves.gather(1, leaf)  # (R, N)
        by_group = torch.split(found, [self.members * count for count in self._counts])
        sums = [
            part.view(self.members, -1, leaf.shape[1]).sum(1) + level
            for part, level in zip(by_group, self._levels, strict=True)
        ]
        return torch.cat(sums).T

    def _explain(self, leaf: Tensor) -> Tensor:
        added = self._shares.gather(1, leaf.index_select(0, self._owners))  # (D * R, N)
        sums = nn.functional.embedding_bag(self._all, added, self._starts, mode="sum")  # (G * F, N)
        mean = sums.T.double() / self.members
        return mean.view(-1, self.groups, self.n_features)


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
