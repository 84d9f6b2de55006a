"""Moments of patients, and the borders that values passed between them.

Letters in shape comments: N moments, M patients, X sums or parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.borders import Places, Whole


class Moments(NamedTuple):
    """Moments, those of one patient one after the other."""

    rows: Places  # (N,) of the values
    of: Places  # (N,) whose they are, 0 to M - 1
    first: Places  # (M,) a patient's first moment
    number: Places  # (M,) of each patient's moments

    @property
    def last(self) -> Places:
        """(M,) a patient's last moment."""
        found: Places = self.first + self.number - 1
        return found

    @property
    def several(self) -> bool:
        """Has any patient more than one?"""
        return len(self.rows) > len(self.number)

    @staticmethod
    def of_patients(mine: Sequence[Sequence[int]]) -> Moments:
        """The rows of each patient."""
        number = np.array([len(rows) for rows in mine], dtype=np.intp)
        rows = np.array([row for rows in mine for row in rows], dtype=np.intp)
        of = np.arange(len(mine)).repeat(number)
        return Moments(rows, of, number.cumsum() - number, number)

    def running(self, changes: Whole, before: Whole) -> Whole:
        """(N, X) changes at each moment, (M, X) what stood before → (N, X) what stands then."""
        total: Whole = changes.cumsum(0, dtype=np.int32)
        start = before - total.take(self.first, axis=0) + changes.take(self.first, axis=0)
        stands: Whole = total + start.take(self.of, axis=0)
        return stands


class Passed(NamedTuple):
    """Values that moved over borders, by patient, feature and moment."""

    row: Places  # the moment
    old: Places  # place among the edges before
    new: Places

    def some(self, which: NDArray[np.bool_]) -> Passed:
        """Those alone."""
        return Passed(*(one[which] for one in self))
