"""Boosted trees grown leaf by leaf, in torch, with exact contributions at the price of a look-up.

A tree of up to eight leaves has at most seven tests, `x[column] > border`. What a test adds is the
change of the expected value as the patient passes it on the way to the leaf; it depends on the leaf
alone, so it is a table (`models.forest`).

Letters in shape comments: N patients, F features, M members, T trees of a member, R = M * T trees,
D tests of a tree, L leaves.

Source: Ke et al., NeurIPS 2017 (trees grown leaf by leaf); Saabas 2014 (contributions along the
path of a tree).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models import forest
from models.borders import Tables
from models.grid import in_steps, on_grid

TESTS = 7
LEAVES = TESTS + 1
_NEVER_SEEN = 1e-3  # cover of a leaf that no training patient reached


class LeafwiseTrees(NamedTuple):
    """What is stored: one row for each member, all of them alike in shape.

    A child is the number of a test, or ~leaf. A test has a lower number than those below it. Tests
    that a smaller tree does not have lead nowhere.
    """

    columns: Tensor  # (M, T, D) int: the feature that a test reads
    borders: Tensor  # (M, T, D) float32: values above go to the right
    unmeasured: Tensor  # (M, T, D) bool: does a value that is not there (NaN) go to the right?
    children: Tensor  # (M, T, D, 2) int8: left and right
    leaves: Tensor  # (M, T, L) float32, log-odds
    covers: Tensor  # (M, T, L) float32: weight of the training patients in each leaf
    levels: Tensor  # (M,) float32: log-odds before the first tree


class LeafwiseForest(forest.Forest):
    """Several groups of trees of the same members can be asked in one pass."""

    def __init__(self, trees: LeafwiseTrees, n_features: int, *others: LeafwiseTrees) -> None:
        groups = (trees, *others)
        members = len(trees.levels)
        # Everything of all groups, one after the other: (R, D), (R, D, 2), (R, L).
        columns, borders, unmeasured, children, leaves, covers = (
            torch.cat([part.flatten(0, 1) for part in parts])
            for parts in zip(*(group[:-1] for group in groups), strict=True)
        )
        children, leaves = children.long(), on_grid(leaves)
        means, shares = contributions(children, leaves, covers)
        tests = columns.long().numpy()
        counts = np.repeat([group.columns.shape[1] for group in groups], members)  # of each sum
        sum_of = np.repeat(np.arange(len(groups) * members), counts)
        tables = Tables(
            columns=tests,
            borders=borders.float().numpy(),
            unmeasured=unmeasured.bool().numpy(),
            reached=_reached(children).numpy(),
            leaves=in_steps(leaves),
            shares=in_steps(shares.permute(1, 2, 0).contiguous()),
            sum_of=sum_of,
            part_of=tests + n_features * (sum_of // members)[:, None],
        )
        levels = on_grid(torch.stack([group.levels for group in groups]))  # (G, M)
        super().__init__(tables, means, levels, n_features)


def _reached(children: Tensor) -> Tensor:
    """(R, D, 2) children → (R, 2 ** D): the leaf for each set of answers."""
    n_trees = len(children)
    answers = torch.arange(1 << TESTS).expand(n_trees, -1)
    at = torch.zeros_like(answers)
    for _ in range(TESTS):
        node = at.clamp(min=0)
        right = (answers >> node) & 1
        following = children.flatten(1).gather(1, node * 2 + right)
        at = torch.where(at >= 0, following, at)
    return (~at).to(torch.uint8)


def contributions(children: Tensor, leaves: Tensor, covers: Tensor) -> tuple[Tensor, Tensor]:
    """(R, D, 2) children, (R, L) leaves and covers → (R,) mean of each tree, (D, R, L) what each
    test adds on the way to each leaf: for each leaf they sum to leaf - mean, exactly, on the grid.
    """
    n_trees = len(children)
    inside = torch.zeros((n_trees, TESTS, 2, LEAVES), dtype=torch.bool)  # leaves below each child
    for d in reversed(range(TESTS)):
        for side in (0, 1):
            child = children[:, d, side]
            leaf = nn.functional.one_hot((~child).clamp(min=0), LEAVES).bool()
            below = inside[torch.arange(n_trees), child.clamp(min=0)].any(1)
            inside[:, d, side] = torch.where((child < 0)[:, None], leaf, below)
    weight = covers.double() + _NEVER_SEEN
    mass = leaves.double() * weight

    def expected(some: Tensor) -> Tensor:
        """(…, L) sets of leaves → their means, on the grid."""
        total = (some * weight[:, None]).sum(-1)
        return on_grid((some * mass[:, None]).sum(-1) / total).double()

    node = expected(inside.any(2))  # (R, D)
    shares = torch.zeros((n_trees, TESTS, LEAVES), dtype=torch.float64)
    for side in (0, 1):
        child = children[:, :, side]
        value = torch.where(
            child < 0,
            leaves.double().gather(1, (~child).clamp(min=0)),
            node.gather(1, child.clamp(min=0)),
        )
        shares += torch.where(inside[:, :, side], (value - node)[:, :, None], 0.0)
    return node[:, 0].float(), shares.permute(1, 0, 2).float().contiguous()
