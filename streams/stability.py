"""The population stability index: how far a distribution has moved.

PSI is the sum over bins of (now - before) · ln(now / before); by common usage below 0.1 is steady,
above 0.25 is a change that somebody should look into. Two samples of one distribution differ by
(bins - 1) · (1/n + 1/m) on average (Yurdakul and Naranjo, 2020, Statistical properties of the
population stability index); that much is chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

DAY_S: Final = 86_400.0
STEADY, CHANGED = 0.1, 0.25
_FLOOR: Final = 1e-4  # of a share: an empty bin must not make the index infinite


def psi(before: Sequence[int], now: Sequence[int]) -> float:
    """Population stability index of two histograms over the same bins."""
    first, second = (
        [max(count / max(sum(some), 1), _FLOOR) for count in some] for some in (before, now)
    )
    return math.fsum((b - a) * math.log(b / a) for a, b in zip(first, second, strict=True))


def beyond_chance(before: Sequence[int], now: Sequence[int]) -> float:
    """The index less what chance alone gives two samples of this size; not below 0."""
    used = sum(1 for a, b in zip(before, now, strict=True) if a or b)
    chance = (used - 1) * (1 / max(sum(before), 1) + 1 / max(sum(now), 1))
    return max(0.0, psi(before, now) - chance)
