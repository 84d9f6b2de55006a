"""Boosted oblivious trees with borders drawn at random.

Each level of a tree looks at a few features, drawn anew, with one border each, drawn among the
feature's quantiles, and takes the test that lowers the loss most over all leaves of the level.
Trees that may not choose their borders follow the noise of four thousand patients far less than
those that search for the best ones: that, more than anything else tried, is what generalised.

N rows, F features, D tests of a tree, L = 2 ** D leaves, C candidates of a level.

Source: Friedman, Annals of Statistics 2001 (stochastic gradient boosting); Geurts et al., Machine
Learning 2006 (extremely randomised trees); Prokhorenkova et al., NeurIPS 2018 (oblivious trees).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from models.grid import on_grid
from models.trees import Trees

UNMEASURED = -1  # the code of a value that is not there


@dataclass(frozen=True, slots=True)
class ForestConfig:
    """How a forest is grown. Chosen by cross-validation on set A."""

    trees: int = 600
    depth: int = 4
    rate: float = 0.03  # share of each tree that is added
    l2: float = 10.0  # added to the hessian of each leaf
    feature_share: float = 0.15  # looked at on each level
    row_share: float = 0.5  # used for each tree
    borders: int = 64  # at most, for each feature
    bags: int = 1  # forests grown apart and averaged


def borders_of(column: Tensor, most: int) -> Tensor:
    """Borders between values, ascending: between all neighbours, or the quantiles of many."""
    known = column[~column.isnan()].float()
    values: Tensor = torch.unique(known)
    if len(values) < 2:
        return values[:0]
    if len(values) <= most:
        return (values[1:] + values[:-1]) / 2
    shares = torch.linspace(0, 1, most + 1, dtype=torch.float64)[1:-1]
    values = torch.unique(torch.quantile(known.double(), shares).float())
    return values


def coded(x: Tensor, borders: list[Tensor]) -> Tensor:
    """(N, F) values → (F, N) how many of the feature's borders lie below each, or `UNMEASURED`."""
    codes = torch.empty((x.shape[1], x.shape[0]), dtype=torch.int16)
    for f, known in enumerate(borders):
        column = x[:, f].float().contiguous()
        found = torch.searchsorted(known, column).to(torch.int16)
        codes[f] = found.masked_fill(column.isnan(), UNMEASURED)
    return codes


class _Grower:
    """Grows one member's trees."""

    def __init__(
        self, codes: Tensor, borders: list[Tensor], labels: Tensor, weights: Tensor,
        config: ForestConfig, generator: torch.Generator,
    ) -> None:  # fmt: skip
        self._codes, self._borders, self._config = codes, borders, config
        self._labels, self._weights = labels.float(), weights.float()
        self._generator = generator
        self._lengths = torch.tensor([len(b) for b in borders])
        self._usable = self._lengths.nonzero()[:, 0]
        self._n_drawn = max(1, int(len(self._usable) * config.feature_share))
        self._n_rows = max(1, int(codes.shape[1] * config.row_share))
        prior = (self._labels * self._weights).sum() / self._weights.sum()
        self.level = float(on_grid(torch.logit(prior)))
        self._scores = torch.full((codes.shape[1],), self.level)

    def grow(self) -> tuple[list[int], list[float], list[bool], Tensor, Tensor]:
        """One more tree: columns, borders, unmeasured (D each), leaves (L,), covers (L,)."""
        config = self._config
        rows = self._draw(torch.ones(self._codes.shape[1]), self._n_rows)
        codes = self._codes[:, rows]
        p = torch.sigmoid(self._scores[rows])
        weights = self._weights[rows] / config.row_share
        slopes = torch.stack([(p - self._labels[rows]) * weights, p * (1 - p) * weights])  # (2, N)
        leaf = torch.zeros(len(rows), dtype=torch.long)
        tests: list[tuple[int, int, bool]] = []
        for d in range(config.depth):
            test = self._best(codes, slopes, leaf, 1 << d)
            leaf += _passes(codes, test).long() << d
            tests.append(test)
        n_leaves = 1 << config.depth
        g, h = torch.zeros((2, n_leaves)).index_add_(1, leaf, slopes)
        leaves = on_grid(-config.rate * g / (h + config.l2))
        everybody = torch.zeros(self._codes.shape[1], dtype=torch.long)
        for d, test in enumerate(tests):
            everybody += _passes(self._codes, test).long() << d
        self._scores += leaves[everybody]
        covers = torch.zeros(n_leaves).index_add_(0, everybody, self._weights)
        columns, at, unmeasured = (list(c) for c in zip(*tests, strict=True))
        borders = [float(self._borders[f][k]) for f, k in zip(columns, at, strict=True)]
        return columns, borders, unmeasured, leaves, covers

    def _draw(self, weights: Tensor, n: int) -> Tensor:
        return torch.randperm(len(weights), generator=self._generator)[:n]

    def _best(
        self, codes: Tensor, slopes: Tensor, leaf: Tensor, n_leaves: int
    ) -> tuple[int, int, bool]:
        """Of the drawn tests the one with the largest gain: feature, border, unmeasured pass?"""
        drawn = self._usable[self._draw(self._usable, self._n_drawn)]
        shares = torch.rand(len(drawn), generator=self._generator)
        at = (shares * self._lengths[drawn]).to(torch.int16)
        seen = codes[drawn]  # (C, N)
        by_leaf = torch.zeros((len(leaf), 2 * n_leaves))  # gradients, then hessians, of own leaf
        here = torch.arange(len(leaf))
        by_leaf[here, leaf], by_leaf[here, leaf + n_leaves] = slopes[0], slopes[1]
        above = (seen > at[:, None]).float() @ by_leaf
        unknown = (seen == UNMEASURED).float() @ by_leaf
        passing = torch.stack([above, above + unknown])  # (2, C, 2 * leaves)
        failing = by_leaf.sum(0) - passing
        gain = self._gain(passing, n_leaves) + self._gain(failing, n_leaves)
        side, best = divmod(int(gain.argmax()), len(drawn))
        return int(drawn[best]), int(at[best]), bool(side)

    def _gain(self, sums: Tensor, n_leaves: int) -> Tensor:
        squares = sums[..., :n_leaves] ** 2 / (sums[..., n_leaves:] + self._config.l2)
        return squares.sum(-1)


def _passes(codes: Tensor, test: tuple[int, int, bool]) -> Tensor:
    feature, border, unmeasured = test
    code = codes[feature]
    above = code > border
    return above | (code == UNMEASURED) if unmeasured else above


def grow(
    x: Tensor,
    labels: Tensor,
    weights: Tensor,
    config: ForestConfig,
    generator: torch.Generator,
    on_tree: Callable[[], None] = lambda: None,
) -> Trees:
    """One member, from (N, F) values, (N,) labels and weights. Its arrays have a first axis of one.

    Deterministic for a generator's seed, one thread and one version of torch.
    """
    borders = [borders_of(x[:, f], config.borders) for f in range(x.shape[1])]
    grower = _Grower(coded(x, borders), borders, labels, weights, config, generator)
    grown = []
    for _ in range(config.trees):
        grown.append(grower.grow())
        on_tree()
    columns, at, unmeasured, leaves, covers = zip(*grown, strict=True)
    return Trees(
        columns=torch.tensor(columns)[None],
        borders=torch.tensor(at, dtype=torch.float32)[None],
        unmeasured=torch.tensor(unmeasured)[None],
        leaves=torch.stack(leaves)[None],
        covers=torch.stack(covers)[None],
        levels=torch.tensor([grower.level]),
    )


def joined(members: list[Trees]) -> Trees:
    """Members of one shape as one forest."""
    return Trees(*(torch.cat(parts) for parts in zip(*members, strict=True)))


def bagged(bags: list[Trees]) -> Trees:
    """The mean of forests that were grown on the same patients."""
    columns, borders, unmeasured, leaves, covers, levels = zip(*bags, strict=True)
    return Trees(
        torch.cat(columns, 1),
        torch.cat(borders, 1),
        torch.cat(unmeasured, 1),
        on_grid(torch.cat(leaves, 1) / len(bags)),
        torch.cat(covers, 1),
        on_grid(torch.stack(levels).mean(0)),
    )
