"""How far a score would be off with other training patients of the same kind.

Bundles are made of two groups of patients that have none in common, and both score patients that
neither has. How far the two are apart is compared with what the members of each say of themselves
(the jackknife of `models.ensemble.spread`). That is too much where members differ by what they
chose, and too little where they agree by chance; so the variance that is foretold is a level for
everybody and a share of the jackknife's.

Letters in shape comments: N patients, M members.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from models.encoding import Column
from models.ensemble import FOLDS, spread
from models.metrics import Array
from models.training.linear import Course, Fitted, late

SHARE = 0.9
SPLITS = 4
_GROUP = 0.4  # of the patients; the rest is judged


def sureness(
    way: Callable[..., Fitted],
    x: Array,
    course: Course,
    columns: Sequence[Column],
    modalities: int,
    horizon_d: float,
    seed: int,
    on_split: Callable[[], None] = lambda: None,
) -> tuple[float, float]:
    """Level and share for a bundle of all patients (N, C).

    Half the width of an interval that holds `SHARE` of what other patients would have made of the
    log-odds is the root of level + share * (standard error)^2.
    """
    apart: list[Array] = []
    said: list[Array] = []
    for split in range(SPLITS):
        rng = np.random.default_rng(seed + split)
        group = rng.choice(3, len(x), p=[_GROUP, _GROUP, 1 - 2 * _GROUP])
        found = []
        for g in range(2):
            rows = np.flatnonzero(group == g)
            fold = rng.permutation(len(rows)) % FOLDS
            members = []
            for f in range(FOLDS):
                kept = np.zeros(len(x), dtype=np.bool_)
                kept[rows[fold != f]] = True
                one = way(x[kept], course.of(kept), columns, modalities, horizon_d, seed + f)
                judged = one.scores(x[group == 2], columns)
                members.append(late(judged, one.weights, course.baseline))
            found.append(np.stack(members, 1))  # (N, M)
        apart.append(found[0].mean(1) - found[1].mean(1))
        said.append(spread(found[0]) ** 2 + spread(found[1]) ** 2)
        on_split()
    return _level_and_share(np.concatenate(apart), np.concatenate(said))


def _level_and_share(apart: Array, said: Array) -> tuple[float, float]:
    """Of differences (N,) of two bundles and the sum (N,) of the variances that they foretold."""
    share = float(np.clip(_slope(said, apart**2), 0.0, 1.0))
    level = max(float((apart**2).mean() - share * said.mean()), 0.0) / 2  # of each of the two
    width = np.sqrt(2 * level + share * said)
    far = float(np.quantile(np.abs(apart) / np.maximum(width, 1e-9), SHARE)) ** 2
    return far * level * _GROUP, far * share  # with all patients a level is so much smaller


def _slope(x: Array, y: Array) -> float:
    return float(((x - x.mean()) * (y - y.mean())).sum() / max(((x - x.mean()) ** 2).sum(), 1e-12))
