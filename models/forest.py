"""Asking and explaining a forest: look-ups in tables that are made once, when it is loaded.

All tests are asked of everybody at once; the answers of one tree's tests are the binary digits of a
number, and a table says which leaf that is. What each test adds depends on the leaf alone, so it is
a table too: an explanation is a second look-up, not an approximation.

    log-odds of member m = levels[m] + Σ_trees of m leaves[tree, leaf(x)]
    mean over members    = expected  + Σ_features contributions

Groups of trees are added up apart, for each of the same members. All entries lie on the grid of
`models.grid`: neither the order of adding nor the size of a batch can change a score.

Letters in shape comments: N patients, F features, G groups, M members, R trees of all members and
groups, D tests of a tree, A = 2 ** D sets of answers, L leaves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from models.borders import Array, Tables, Whole
from models.carried import Carried, Full, Seat
from models.grid import STEP, in_steps

_CHUNK = 64  # patients at a time: all that a chunk needs stays in the processor's cache


class Forest:
    """Evaluates and explains. Gives every batch the scores that each patient gets alone."""

    def __init__(self, tables: Tables, means: Tensor, levels: Tensor, n_features: int) -> None:
        """`means` (R,) is what a tree says of everybody, `levels` (G, M) the sums before the first
        tree; in `tables` trees count to sum group * M + member, tests to part group * F + feature.
        """
        self.groups, self.members = levels.shape
        self.n_features = n_features
        self._tables = tables
        columns, borders, unmeasured, reached, leaves, shares, sum_of, part_of = tables
        # Rows of the doubled input that the tests read.
        self._rows = torch.from_numpy(columns + n_features * unmeasured).T.contiguous()  # (D, R)
        self._borders = torch.from_numpy(borders).T.contiguous()[:, :, None]  # (D, R, 1)
        self._reached = torch.from_numpy(reached)  # (R, A)
        self._leaves = torch.from_numpy(leaves).float() * STEP  # (R, L)
        self._shares = (torch.from_numpy(shares).float() * STEP).permute(2, 0, 1).contiguous()
        self._levels = levels.reshape(-1, 1)  # (G * M, 1)
        of = torch.from_numpy(sum_of)
        self._sizes = torch.bincount(of, minlength=self.groups * self.members).tolist()
        total = torch.zeros(len(self._levels), dtype=torch.float64).index_add(0, of, means.double())
        self.expected = (total + levels.flatten().double()).view(self.groups, -1).mean(1)  # (G,)
        tests = torch.from_numpy(part_of).T.flatten()  # (D * R,)
        self._order = tests.argsort(stable=True)
        counts = torch.bincount(tests, minlength=self.groups * n_features)
        self._starts = counts.cumsum(0) - counts  # (G * F,)

    def __call__(self, x: Tensor, explained: int = 0) -> tuple[Tensor, Tensor]:
        """(N, F) values, NaN where not measured → (N, G * M) log-odds of every member, and for the
        first `explained` patients (n, G, F) what each feature adds to the mean of each group.
        """
        scores = torch.empty((len(x), len(self._levels)), dtype=torch.float64)
        shape = (min(explained, len(x)), self.groups, self.n_features)
        parts = torch.empty(shape, dtype=torch.float64)
        for at in range(0, len(x), _CHUNK):
            leaf = self._leaf(self._answers(x[at : at + _CHUNK]))
            scores[at : at + _CHUNK] = self._score(leaf)
            if at < explained:
                parts[at : at + _CHUNK] = self._explain(leaf[:, : explained - at]) / self.members
        return scores, parts

    def carried(self, x: Array, seats: Sequence[Seat]) -> tuple[Array, Array]:
        """The same of patients who are asked about again and again, all explained."""
        return self._told(*self._carried(x, seats))

    def _told(self, sums: Whole, parts: Whole) -> tuple[Array, Array]:
        by_group = parts.reshape(-1, self.groups, self.n_features).astype(np.float64)
        return sums.astype(np.float64) * STEP, by_group * STEP / self.members

    @cached_property
    def _carried(self) -> Carried:
        return Carried(self._tables, self.n_features, self._in_full)

    def _in_full(self, x: Array) -> Full:
        found = []
        for at in range(0, len(x), _CHUNK):
            answers = self._answers(torch.from_numpy(x[at : at + _CHUNK]))
            leaf = self._leaf(answers)
            parts = self._explain(leaf).flatten(1)
            found.append(Full(answers.T.numpy(), in_steps(self._score(leaf)), in_steps(parts)))
        return Full._make(np.concatenate(part) for part in zip(*found, strict=True))

    def _answers(self, x: Tensor) -> Tensor:
        """(N, F) → (R, N): each tree's set of answers."""
        values = x.T.float()
        # Twice, so that one comparison does: first unmeasured below all borders, then above.
        doubled = torch.cat(
            [
                values.nan_to_num(-math.inf, math.inf, -math.inf),
                values.nan_to_num(math.inf, math.inf, -math.inf),
            ]
        )
        answers = torch.zeros((len(self._leaves), len(x)), dtype=torch.uint8)
        for d, (rows, borders) in enumerate(zip(self._rows, self._borders, strict=True)):
            passed = doubled.index_select(0, rows) > borders
            answers.add_(passed.view(torch.uint8), alpha=1 << d)
        return answers

    def _leaf(self, answers: Tensor) -> Tensor:
        """(R, N) sets of answers → (R, N) leaves."""
        return self._reached.gather(1, answers.long()).long()

    def _score(self, leaf: Tensor) -> Tensor:
        """(R, N) → (N, G * M)."""
        found = self._leaves.gather(1, leaf)
        sums = torch.stack([part.sum(0) for part in torch.split(found, self._sizes)])
        return (sums + self._levels).T.double()

    def _explain(self, leaf: Tensor) -> Tensor:
        """(R, N) → (N, G, F), the sum of all members."""
        added = torch.empty((len(self._shares), *leaf.shape))
        for d, shares in enumerate(self._shares):
            torch.gather(shares, 1, leaf, out=added[d])
        flat = added.view(-1, leaf.shape[1])
        sums = nn.functional.embedding_bag(self._order, flat, self._starts, mode="sum")
        return sums.T.double().contiguous().view(-1, self.groups, self.n_features)
