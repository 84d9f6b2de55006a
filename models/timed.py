"""Forests for several hours in the stay, and what lies between them.

    log-odds(x, t) = Σ_anchors weight(t) * forest(x)

Each forest was grown on scores that stood around its hour. Between two anchors the weights pass
from one to the other with the logarithm of the time; before the first and after the last that one
alone counts, so that most patients cost one forest.

Letters in shape comments: N patients, F features, A anchors, M members.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from models.borders import Array, Places
from models.carried import Seat
from models.leafwise import LeafwiseForest, LeafwiseTrees


class TimedForest:
    """Forests by hour in the stay."""

    def __init__(
        self, anchors: Tensor, counts: Tensor, trees: LeafwiseTrees, n_features: int
    ) -> None:
        """`anchors` (A,) hours, ascending, two at least; `counts` (A,) trees of each; `trees` as
        `side_by_side` makes them.
        """
        self._logs = anchors.double().log().numpy()
        parts = apart(trees, counts.tolist())
        # Neighbours that are asked together: the first alone, each pair, the last alone.
        pairs = list(itertools.pairwise(parts))
        self._forests = [
            LeafwiseForest(parts[0], n_features),
            *(LeafwiseForest(one, n_features, other) for one, other in pairs),
            LeafwiseForest(parts[-1], n_features),
        ]
        self._shape = len(trees.levels), n_features

    def __call__(self, x: Tensor, hours: Tensor, explained: int = 0) -> tuple[Tensor, Tensor]:
        """(N, F) values, (N,) hours → (N, M) log-odds, and for the first `explained` patients
        (n, F) what each feature adds to the members' mean.
        """
        members, n_features = self._shape
        scores = torch.empty((len(x), members), dtype=torch.float64)
        parts = torch.empty((explained, n_features), dtype=torch.float64)
        for forest, rows, weights in self._by_forest(hours.numpy()):
            first = int((rows < explained).sum())
            found, added = forest(x[torch.from_numpy(rows)], first)
            scores[rows] = torch.from_numpy(
                _mixed(found.numpy().reshape(len(rows), -1, members), weights)
            )
            parts[rows[:first]] = torch.from_numpy(_mixed(added.numpy(), weights[:first]))
        return scores, parts

    def carried(self, x: Array, hours: Array, seats: Sequence[Seat]) -> tuple[Array, Array]:
        """The same of patients who are asked about again and again, see `models.carried`."""
        members, n_features = self._shape
        scores, parts = np.empty((len(x), members)), np.empty((len(x), n_features))
        for forest, rows, weights in self._by_forest(hours):
            found, added = forest.carried(x[rows], [seats[i] for i in rows.tolist()])
            scores[rows] = _mixed(found.reshape(len(rows), -1, members), weights)
            parts[rows] = _mixed(added, weights)
        return scores, parts

    def _by_forest(self, hours: Array) -> Iterator[tuple[LeafwiseForest, Places, Array]]:
        """Each forest that is asked, the rows that it answers, and their second anchor's weight."""
        logs = self._logs
        t = np.log(np.maximum(hours, 1e-3))
        place = np.searchsorted(logs, t, side="right")  # at an anchor the interval that begins
        left, right = logs[np.maximum(place - 1, 0)], logs[np.minimum(place, len(logs) - 1)]
        weight = (t - left) / np.where(right > left, right - left, 1.0)
        for p in sorted(set(place.tolist())):
            rows = (place == p).nonzero()[0]
            yield self._forests[p], rows, weight[rows]


def _mixed(groups: Array, weights: Array) -> Array:
    """(N, 1 or 2, …) of one anchor or two, (N,) weight of the second → (N, …)."""
    if groups.shape[1] == 1:
        alone: Array = groups[:, 0]
        return alone
    second = weights[:, None]
    mixed: Array = (1 - second) * groups[:, 0] + second * groups[:, 1]
    return mixed


def side_by_side(by_anchor: list[LeafwiseTrees]) -> LeafwiseTrees:
    """Forests of the same members: arrays (M, T of all, …), levels (M, A)."""
    *arrays, levels = zip(*by_anchor, strict=True)
    return LeafwiseTrees._make([*(torch.cat(a, 1) for a in arrays), torch.stack(levels, 1)])


def apart(trees: LeafwiseTrees, counts: list[int]) -> list[LeafwiseTrees]:
    """The forests, undone."""
    arrays = zip(*(torch.split(t, counts, 1) for t in trees[:-1]), strict=True)
    return [
        LeafwiseTrees._make([*a, level]) for a, level in zip(arrays, trees.levels.T, strict=True)
    ]
