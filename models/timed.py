"""Forests for several hours in the stay, and what lies between them.

    log-odds(x, t) = Σ_anchors weight(t) * forest(x)

Each forest was grown on scores that stood around its hour. Between two anchors the weights pass
from one to the other with the logarithm of the time; before the first and after the last that one
alone counts, so that most patients cost one forest.

Letters in shape comments: N patients, F features, A anchors, M members.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from models.trees import Forest, Trees


class TimedForest:
    """Forests by hour in the stay."""

    def __init__(self, anchors: Tensor, counts: Tensor, trees: Trees, n_features: int) -> None:
        """`anchors` (A,) hours, ascending, two at least; `counts` (A,) trees of each; `trees` as
        `side_by_side` makes them.
        """
        self._logs = anchors.double().log()
        parts = apart(trees, counts.tolist())
        # Neighbours that are asked together: the first alone, each pair, the last alone.
        pairs = list(itertools.pairwise(parts))
        self._forests = [
            Forest(parts[0], n_features),
            *(Forest(one, n_features, other) for one, other in pairs),
            Forest(parts[-1], n_features),
        ]
        self._shape = len(trees.levels), n_features

    def place(self, hours: Tensor) -> tuple[Tensor, Tensor]:
        """(N,) hours in the stay → (N,) which forest answers, (N,) weight of its second anchor."""
        logs = self._logs
        t = hours.clamp(min=1e-3).log()
        place = torch.searchsorted(logs, t, right=True)  # at an anchor the interval that begins
        left, right = logs[(place - 1).clamp(min=0)], logs[place.clamp(max=len(logs) - 1)]
        return place, ((t - left) / (right - left)).nan_to_num(0.0)

    def __call__(self, x: Tensor, hours: Tensor, explained: int = 0) -> tuple[Tensor, Tensor]:
        """(N, F) values, (N,) hours → (N, M) log-odds, and for the first `explained` patients
        (n, F) what each feature adds to the members' mean.
        """
        members, n_features = self._shape
        scores = torch.empty((len(x), members), dtype=torch.float64)
        parts = torch.empty((explained, n_features), dtype=torch.float64)
        place, share = self.place(hours)
        for p in sorted(set(place.tolist())):
            rows = (place == p).nonzero()[:, 0]
            first = int((rows < explained).sum())
            found, added = self._forests[p](x[rows], first)
            if self._forests[p].groups == 1:
                scores[rows], parts[rows[:first]] = found, added[:, 0]
                continue
            weight = share[rows, None]
            scores[rows] = (1 - weight) * found[:, :members] + weight * found[:, members:]
            weight = weight[:first]
            parts[rows[:first]] = (1 - weight) * added[:, 0] + weight * added[:, 1]
        return scores, parts


def side_by_side(by_anchor: list[Trees]) -> Trees:
    """Forests of the same members: (M, T of all, D), (M, T of all, L), levels (M, A)."""
    *arrays, levels = zip(*by_anchor, strict=True)
    return Trees._make([*(torch.cat(a, 1) for a in arrays), torch.stack(levels, 1)])


def apart(trees: Trees, counts: list[int]) -> list[Trees]:
    """The forests, undone."""
    arrays = zip(*(torch.split(t, counts, 1) for t in trees[:-1]), strict=True)
    return [Trees._make([*a, level]) for a, level in zip(arrays, trees.levels.T, strict=True)]
