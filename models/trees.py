"""Boosted oblivious trees in torch, with exact Shapley values at the price of a look-up.

All nodes of one level of an oblivious tree ask the same question, `x[column] > border`, so the
answers of its D tests are the binary digits of the leaf, and a thousand trees are a handful of
vectorised comparisons. Since the leaf knows every answer, what each test adds, its Shapley value
under the training patients' distribution over the tree's leaves, is a table (`models.forest`).

Letters in shape comments: N patients, F features, M members, T trees of a member, R = M * T trees
of all groups, D tests of a tree, L = 2 ** D leaves.

Source: Prokhorenkova et al., NeurIPS 2018 (oblivious trees); Lundberg et al., Nature Machine
Intelligence 2020 (Shapley values of trees).
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models import forest
from models.borders import Tables
from models.grid import in_steps, on_grid

_NEVER_SEEN = 1e-3  # cover of a leaf that no training patient reached


class Trees(NamedTuple):
    """What is stored of a forest: one row for each member, all of them alike in shape."""

    columns: Tensor  # (M, T, D) int: the feature that a test reads
    borders: Tensor  # (M, T, D) float32: passed by values above
    unmeasured: Tensor  # (M, T, D) bool: does a value that is not there (NaN) pass?
    leaves: Tensor  # (M, T, L) float32, log-odds; test d is binary digit d of the leaf
    covers: Tensor  # (M, T, L) float32: weight of the training patients in each leaf
    levels: Tensor  # (M,) float32: log-odds before the first tree


class Forest(forest.Forest):
    """Several groups of trees of the same members can be asked in one pass."""

    def __init__(self, trees: Trees, n_features: int, *others: Trees) -> None:
        groups = (trees, *others)
        members, _, depth = trees.columns.shape
        if any(g.leaves.shape != (*g.columns.shape[:2], 2**depth) for g in groups):
            raise ValueError("a tree of D tests has 2 ** D leaves")
        # Everything of all groups, one after the other: (R, D), (R, L).
        flat = [torch.cat([g[i].flatten(0, 1) for g in groups]) for i in range(5)]
        columns, leaves = flat[0].long().numpy(), on_grid(flat[3])
        means, shares = shapley(leaves, flat[4])
        counts = np.repeat([g.columns.shape[1] for g in groups], members)  # trees of each sum
        sum_of = np.repeat(np.arange(len(groups) * members), counts)
        tables = Tables(
            columns=columns,
            borders=flat[1].float().numpy(),
            unmeasured=flat[2].bool().numpy(),
            reached=np.tile(np.arange(2**depth, dtype=np.uint8), (len(columns), 1)),
            leaves=in_steps(leaves),
            shares=in_steps(shares.permute(1, 2, 0).contiguous()),
            sum_of=sum_of,
            part_of=columns + n_features * (sum_of // members)[:, None],
        )
        levels = on_grid(torch.stack([g.levels for g in groups]))  # (G, M)
        super().__init__(tables, means, levels, n_features)

    def _leaf(self, answers: Tensor) -> Tensor:
        """The set of answers is the leaf."""
        return answers.long()


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
