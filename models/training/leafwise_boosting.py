"""Grow the trees of `models.leafwise` with LightGBM; nothing of it is left in what is shipped.

Source: Ke et al., NeurIPS 2017; Geurts et al., Machine Learning 2006 (borders drawn at random).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.grid import on_grid
from models.leafwise import LEAVES, TESTS, LeafwiseTrees

# A test of "measured at all" has a border beyond all values.
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class LeafwiseConfig:
    """How trees are grown. Chosen by cross-validation on the training patients."""

    trees: int = 200  # of each bag
    bags: int = 3  # forests grown apart and averaged: their noise averages out
    rate: float = 0.05
    least_rows: int = 60  # in a leaf
    l2: float = 20.0
    feature_share: float = 0.2  # looked at for each tree
    row_share: float = 0.7
    bins: int = 63
    # One border for each feature and test is drawn at random and the best feature taken, instead of
    # the best border: trees that may not search follow the noise of few patients less.
    random_borders: bool = False
    objective: str = "binary"  # "cross_entropy": labels may lie between 0 and 1


def grow(
    x: NDArray[np.float32],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
    config: LeafwiseConfig,
    seed: int,
    on_tree: Callable[[], None] = lambda: None,
) -> LeafwiseTrees:
    """One member, from (N, F) values. Its arrays have a first axis of one.

    Deterministic for a seed, one thread and one version of LightGBM.
    """
    bags = [_bag(x, labels, weights, config, seed + 100 * b, on_tree) for b in range(config.bags)]
    side_by_side = [torch.cat(part, 1) for part in zip(*(bag[:-1] for bag in bags), strict=True)]
    trees = LeafwiseTrees._make([*side_by_side, bags[0].levels])
    return trees._replace(leaves=on_grid(trees.leaves / config.bags))


def _bag(
    x: NDArray[np.float32],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
    config: LeafwiseConfig,
    seed: int,
    on_tree: Callable[[], None],
) -> LeafwiseTrees:
    parameters: dict[str, Any] = {
        "objective": config.objective,
        "extra_trees": config.random_borders,
        "learning_rate": config.rate,
        "num_leaves": LEAVES,
        "min_data_in_leaf": config.least_rows,
        "lambda_l2": config.l2,
        "feature_fraction": config.feature_share,
        "bagging_fraction": config.row_share,
        "bagging_freq": 1,
        "max_bin": config.bins,
        "num_threads": 1,
        "deterministic": True,
        "seed": seed,
        "verbose": -1,
    }
    data = lightgbm.Dataset(x, labels, weight=weights, params=parameters)
    booster = lightgbm.train(parameters, data, config.trees, callbacks=[lambda _: on_tree()])
    reached = np.asarray(booster.predict(x, pred_leaf=True, num_threads=1)).astype(np.int64)
    covers = [np.bincount(leaf, weights, LEAVES) for leaf in reached.T]
    return to_trees(booster.dump_model()["tree_info"], np.stack(covers))


def to_trees(dumped: list[dict[str, Any]], covers: NDArray[Any]) -> LeafwiseTrees:
    """LightGBM's description of its trees, with (T, L) covers, as one member."""
    n = len(dumped)
    columns = torch.zeros((n, TESTS), dtype=torch.int16)
    borders = torch.full((n, TESTS), torch.inf)
    unmeasured = torch.zeros((n, TESTS), dtype=torch.bool)
    children = torch.full((n, TESTS, 2), -1, dtype=torch.int8)
    leaves = torch.zeros((n, LEAVES), dtype=torch.float64)

    def number(node: dict[str, Any]) -> int:
        return (
            int(node["split_index"]) if "split_index" in node else ~int(node.get("leaf_index", 0))
        )

    def walk(t: int, node: dict[str, Any]) -> None:
        if "split_index" not in node:
            leaves[t, ~number(node)] = node["leaf_value"]
            return
        d = number(node)
        columns[t, d] = node["split_feature"]
        # The largest single below the threshold separates the same singles.
        border = np.float32(np.clip(node["threshold"], -_LARGEST, _LARGEST))
        if float(border) > node["threshold"]:
            border = np.nextafter(border, np.float32(-np.inf))
        borders[t, d] = float(border)
        # Where training saw no missing value, LightGBM takes it for a zero.
        seen = node["missing_type"] == "NaN"
        unmeasured[t, d] = not node["default_left"] if seen else node["threshold"] < 0
        for side, child in enumerate((node["left_child"], node["right_child"])):
            children[t, d, side] = number(child)
            walk(t, child)

    for t, tree in enumerate(dumped):
        walk(t, tree["tree_structure"])
    return LeafwiseTrees(
        columns[None],
        borders[None],
        unmeasured[None],
        children[None],
        on_grid(leaves)[None],
        torch.from_numpy(covers).float()[None],
        torch.zeros(1),
    )


def joined(members: list[LeafwiseTrees]) -> LeafwiseTrees:
    """Members of one shape as one forest."""
    parts: list[Tensor] = [torch.cat(part) for part in zip(*members, strict=True)]
    return LeafwiseTrees(*parts)
