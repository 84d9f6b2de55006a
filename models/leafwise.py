"""Boosted trees grown leaf by leaf, in torch, with exact contributions at the price of a look-up.

A tree of up to eight leaves has at most seven tests, `x[column] > border`. All are asked of
everybody at once; the answers are the binary digits of a number below 128, and a table says which
leaf that is. What a test adds is the change of the expected value as the patient passes it on the
way to the leaf; it depends on the leaf alone, so it is a table too, made once when the trees are
loaded: an explanation is a second look-up, not an approximation.

    log-odds of member m = levels[m] + Σ_trees leaves[m, t, leaf(x)]
    mean over members    = expected  + Σ_features contributions

All entries are whole multiples of `STEP` and sums stay below 64, so that single precision adds them
without rounding: neither the order of adding nor the size of the batch can change a score.

Letters in shape comments: N patients, F features, M members, T trees of a member, R = M * T trees,
D tests of a tree, L leaves.

Source: Ke et al., NeurIPS 2017 (trees grown leaf by leaf); Saabas 2014 (contributions along the
path of a tree).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

STEP = 2.0**-18
TESTS = 7
LEAVES = TESTS + 1
_CHUNK = 128  # patients at a time: all that a chunk needs stays in the processor's cache
_NEVER_SEEN = 1e-3  # cover of a leaf that no training patient reached


def on_grid(values: Tensor) -> Tensor:
    """The nearest multiples of `STEP`, in single precision."""
    return ((values.double() / STEP).round() * STEP).float()


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


class LeafwiseForest(nn.Module):
    """Evaluates and explains. Gives every batch the scores that each patient gets alone."""

    rows: Tensor  # (D * R,) row of the doubled input that each test reads
    borders: Tensor  # (D * R, 1)
    reached: Tensor  # (R, 2 ** D) uint8: the leaf for each set of answers
    leaves: Tensor  # (R, L)
    levels: Tensor  # (M,)
    shares: Tensor  # (D, R, L) what each test adds in each leaf
    order: Tensor  # (D * R,) the tests, by feature
    starts: Tensor  # (F,) first of these for each feature

    def __init__(self, trees: LeafwiseTrees, n_features: int) -> None:
        super().__init__()
        self.members = len(trees.levels)
        self.n_features = n_features
        columns, borders, unmeasured = (
            t.reshape(-1, TESTS).T.reshape(-1) for t in trees[:3]
        )  # (D * R,) each
        self.register_buffer("rows", columns.long() + n_features * unmeasured.long())
        self.register_buffer("borders", borders.float()[:, None])
        children = trees.children.reshape(-1, TESTS, 2).long()
        leaves = on_grid(trees.leaves).reshape(-1, LEAVES)
        self.register_buffer("reached", _reached(children))
        self.register_buffer("leaves", leaves)
        self.register_buffer("levels", on_grid(trees.levels))
        means, shares = contributions(children, leaves, trees.covers.reshape(-1, LEAVES))
        self.expected = float((self.levels.double().sum() + means.double().sum()) / self.members)
        self.register_buffer("shares", shares)
        self.register_buffer("order", columns.long().argsort(stable=True))
        counts = torch.bincount(columns.long(), minlength=n_features)
        self.register_buffer("starts", counts.cumsum(0) - counts)

    def forward(self, x: Tensor, explained: int = 0) -> tuple[Tensor, Tensor]:
        """(N, F) values, NaN where not measured → (N, M) log-odds of every member, and for the
        first `explained` patients (n, F) what each feature adds to the members' mean.
        """
        scores = [torch.empty((0, self.members), dtype=torch.float64)]
        parts = [torch.empty((0, self.n_features), dtype=torch.float64)]
        for at in range(0, len(x), _CHUNK):
            leaf = self._leaf(x[at : at + _CHUNK])
            found = self.leaves.gather(1, leaf).view(self.members, -1, leaf.shape[1])  # (M, T, N)
            scores.append((found.sum(1) + self.levels[:, None]).T.double())
            if at < explained:
                parts.append(self._explain(leaf[:, : explained - at]))
        return torch.cat(scores), torch.cat(parts)

    def _leaf(self, x: Tensor) -> Tensor:
        """(N, F) → (R, N): the leaf that each patient reaches in each tree."""
        values = x.T.float()
        gap = values.isnan()
        # Twice, so that one comparison does: first unmeasured below all borders, then above.
        doubled = torch.cat([values.masked_fill(gap, -math.inf), values.masked_fill(gap, math.inf)])
        n_trees = len(self.leaves)
        answers = torch.zeros((n_trees, len(x)), dtype=torch.uint8)
        for d in range(TESTS):
            test = slice(d * n_trees, (d + 1) * n_trees)
            right = doubled.index_select(0, self.rows[test]) > self.borders[test]
            answers.add_(right.view(torch.uint8), alpha=1 << d)
        return self.reached.gather(1, answers.long()).long()

    def _explain(self, leaf: Tensor) -> Tensor:
        added = torch.empty((TESTS, *leaf.shape))
        for d in range(TESTS):
            torch.gather(self.shares[d], 1, leaf, out=added[d])
        flat = added.view(-1, leaf.shape[1])
        sums = nn.functional.embedding_bag(self.order, flat, self.starts, mode="sum")  # (F, N)
        return sums.T.double().contiguous() / self.members


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
