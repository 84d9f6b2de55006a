"""Whom a multimodal bundle refuses: those with a value farther out than nearly everybody's.

A patient's strangeness is the largest distance of a number from the training mean, in standard
deviations. It is compared with that of training patients, for a member without those of the fold
that it is to score; a new patient who is exchangeable with them is refused with a probability of at
most LEVEL, whatever the distribution. It says nothing of how often true strangers are caught.

Of images that stand in for a result there are few: the images of a patient are refused, and not the
patient, where they are farther out than those of every scan that the stand-in learned from. Of n
scans like those, one in n + 1 is.

Source: inductive conformal anomaly detection, Laxhammar, Falkman, 2015.

Letters in shape comments: N patients, C columns, M members.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.encoding import Column
from models.metrics import Array
from models.training.linear import moments

LEVEL = 0.01


def strangeness(x: Array, center: Array, scale: Array, columns: Sequence[Column]) -> Array:
    """(N, C) columns, NaN where not known → (N,), 0 where nothing is."""
    numbers = [j for j, c in enumerate(columns) if c.level is None and c.knot is None]
    off = np.abs((x - center) / scale)[:, numbers]
    return np.asarray(np.nan_to_num(off).max(1), dtype=np.float64)


def limit(found: Array) -> float:
    """The largest strangeness that is not refused; inf where there are too few to say."""
    k = int(LEVEL * (len(found) + 1))
    return float(np.sort(found)[-k]) if k else float("inf")


def left_out(x: Array, columns: Sequence[Column]) -> int:
    """How many of scans (N, C) would be refused by a limit and moments of all the others."""
    out = 0
    for one in range(len(x)):
        rest = np.delete(x, one, 0)
        center, scale = moments(rest)
        far = strangeness(rest, center, scale, columns).max()
        out += int(strangeness(x[one : one + 1], center, scale, columns)[0] > far)
    return out


def farthest(found: Array, folds: NDArray[np.int64], members: int) -> list[float]:
    """(M,) limits. `found` (N,): a member's limit leaves out the fold that it is to score."""
    return [limit(found[folds != fold]) for fold in range(members)]
