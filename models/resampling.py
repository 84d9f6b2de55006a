"""Intervals by drawing patients anew, the same draws for every figure of a run. numpy only.

A patient is drawn with all of their rows. Figures are computed from sums over patients, so that a
draw is a weight for each patient and nothing is sorted twice. Letters in shape comments: R draws,
P patients, N rows, K figures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.metrics import Array, Estimate, rounded

REPEATS = 1_000
_WILSON = 1.96
_SIDES = (0.025, 0.975)


class Resamples:
    """How often each patient was drawn: the draws of `metrics.bootstrap` with the same seed."""

    def __init__(self, patients: int, repeats: int = REPEATS, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        drawn = (rng.integers(0, patients, patients) for _ in range(repeats if patients else 0))
        counts = [np.bincount(rows, minlength=patients) for rows in drawn]
        self.times: Array = np.array(counts, dtype=np.float64).reshape(len(counts), patients)

    def first(self, repeats: int) -> Resamples:
        """The first so many draws alone, for what costs more."""
        return self._with(self.times[:repeats])

    def among(self, patients: Sequence[int]) -> Resamples:
        """The same draws, of these patients alone."""
        return self._with(self.times[:, np.asarray(patients, dtype=np.int64)])

    @classmethod
    def _with(cls, times: Array) -> Resamples:
        found = cls(0)
        found.times = times
        return found

    def sums(self, by_patient: Array) -> Array:
        """(P,) or (P, K) sums over each patient's rows → (R,) or (R, K) sums over those drawn."""
        return np.asarray(self.times @ by_patient)

    def counts(self, patient: NDArray[np.int64], cell: NDArray[np.int64], size: int) -> Array:
        """(N,) rows' patients and cells → (R, size) rows drawn in each cell."""
        found = [np.bincount(cell, times[patient], size) for times in self.times]
        return np.array(found, dtype=np.float64).reshape(len(self.times), size)

    def medians(self, values: Array) -> Array:
        """(P,) values, NaN where a patient has none → (R,) medians of those drawn who have one."""
        known = np.flatnonzero(~np.isnan(values))
        known = known[np.argsort(values[known], kind="stable")]
        if not len(known):
            return np.full(len(self.times), np.nan)
        upto = np.cumsum(self.times[:, known], axis=1)
        middle = [(upto[:, -1] - 1) // 2, upto[:, -1] // 2]
        at = [np.minimum((upto <= m[:, None]).sum(1), len(known) - 1) for m in middle]
        found = (values[known[at[0]]] + values[known[at[1]]]) / 2
        return np.where(upto[:, -1] > 0, found, np.nan)


def ratio(above: Array, below: Array) -> Array:
    """NaN where there is nothing to divide by."""
    known = below != 0
    return np.where(known, above / np.where(known, below, 1), np.nan)


def sides(drawn: Array) -> tuple[Array, Array]:
    """(R, …) → the 2.5 % and the 97.5 % quantile; NaN where a figure was defined in no draw."""
    if not drawn.size:
        return (np.full(drawn.shape[1:], np.nan),) * 2
    # nanquantile warns of what is NaN throughout: such a figure has no interval.
    silent = np.isnan(drawn).all(0)
    low, high = np.nanquantile(np.where(silent, 0.0, drawn), _SIDES, axis=0)
    return np.where(silent, np.nan, low), np.where(silent, np.nan, high)


def interval(drawn: Array) -> list[float | None]:
    """(R,) → low and high for JSON."""
    return [rounded(float(side)) for side in sides(drawn)]


def wilson(share: float, n: float) -> tuple[float, float]:
    """95 % interval of a share of n (Wilson, JASA 1927)."""
    square = _WILSON**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = _WILSON * np.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def share_interval(share: float, n: float, drawn: Array) -> list[float | None]:
    """(R,) → as `interval`; Wilson's for a share of none or all of n, which no draw moves."""
    return [rounded(s) for s in wilson(share, n)] if share in (0.0, 1.0) else interval(drawn)


def estimate(value: float, drawn: Array) -> Estimate:
    """A figure with the interval of its draws (R,)."""
    low, high = sides(drawn)
    return Estimate(value, float(low), float(high))
