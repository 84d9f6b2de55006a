"""Values that are an emergency by themselves, and what a model may still say beside them.

A model that has learned from intensive care weighs all there is together: one deadly value among
normal ones hardly moves it, since such patients were treated at once, or the value was none (a
venous sample called arterial, a flushed line). At a bedside it has to be looked at first. So where
the newest value of a variable lies in one of these bands, an answer is given only

- for a vital sign, where the model itself warns;
- for a laboratory value, where the model does not reassure.

A value counts until the next one, for a day at most.

Bands: the four points of APACHE II for heart and respiratory rate, high temperature, pH, sodium and
potassium. Not taken over: bands in which many training patients were seen (mean pressure,
creatinine, hematocrit), leukocytes, which are a state of weeks and no emergency, and oxygen in
arterial blood, whose meaning hangs on what was breathed. Beside them systolic pressure below 70 and
a coma score below 6 as in SAPS II, the latter only where nobody is known to ventilate (who sleeps
by drugs is no emergency); moderate hypothermia; severe hypoglycaemia as in NICE-SUGAR; a lactate of
10. For a low saturation and a high systolic pressure no score has such a band: 80 and 260 are our
own choice.

Letters in shape comments: N patients, F features, B bands.

Source: Knaus et al., Critical Care Medicine 1985 (APACHE II); Le Gall et al., JAMA 1993 (SAPS II);
NICE-SUGAR, NEJM 2012; Haas et al., Intensive Care Medicine 2016 (lactate).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.features import COLUMN

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
# Variable → below which and from which on; None where no value on that side is one.
Bands = Mapping[str, Sequence[float | None]]

VITAL_SIGNS: Final[dict[str, tuple[float | None, float | None]]] = {
    "heart_rate": (40, 180),
    "resp_rate": (6, 50),
    "temperature": (32, 41),
    "spo2": (80, None),
    "sbp_invasive": (70, 260),
    "sbp_cuff": (70, 260),
    "gcs": (6, None),
}
LABORATORY: Final[dict[str, tuple[float | None, float | None]]] = {
    "ph": (7.15, 7.7),
    "sodium": (111, 180),
    "potassium": (2.5, 7),
    "glucose": (40, None),
    "lactate": (None, 10),
}
# Two ways of measuring one thing: only the later counts, the first where they tie.
_EITHER = (("sbp_invasive", "sbp_cuff"),)
_UNLESS_VENTILATED = "gcs"
_VENTILATED = COLUMN["ventilated.last"]


_STANDS_H = 24.0  # as long as a vital sign counts for NEWS2


class _Limits(NamedTuple):
    columns: NDArray[np.intp]  # (B,)
    gaps: NDArray[np.intp]  # (B,) hours since
    lowest: NDArray[np.intp]  # (B,) of the window
    highest: NDArray[np.intp]  # (B,)
    below: Array  # (B,)
    above: Array  # (B,)


class Critical:
    """Says of whom a newest value is an emergency."""

    def __init__(self, bands: Bands, columns: Mapping[str, int] = COLUMN) -> None:
        """`columns` of the features by name; those of `models.features` unless others are given.

        Raises `KeyError` for a variable that is not among the features. Where two ways of measuring
        have bands of their own, or a coma score has, the features must be those of
        `models.features`.
        """
        self.names = list(bands)

        def places(statistic: str) -> NDArray[np.intp]:
            return np.array([columns[f"{name}.{statistic}"] for name in bands], dtype=np.intp)

        self._limits = _Limits(
            places("last"),
            places("hours_since"),
            places("lowest"),
            places("highest"),
            np.array([-math.inf if low is None else low for low, _ in bands.values()]),
            np.array([math.inf if high is None else high for _, high in bands.values()]),
        )
        place = {name: i for i, name in enumerate(self.names)}
        self._pairs = [(place[a], place[b], _gap(a), _gap(b)) for a, b in _EITHER if a in place]
        self._coma = place.get(_UNLESS_VENTILATED)

    def __call__(self, x: Array) -> Flags:
        """(N, F) → (N, B): which newest values lie in their band."""
        limits = self._limits
        values = x[:, limits.columns]
        found: Flags = (values < limits.below) | (values >= limits.above)
        if found.any():
            found &= ~(x[:, limits.gaps] > _STANDS_H)
            self._pass_over(found, x)
        return found

    def ever(self, x: Array) -> Flags:
        """(N, F) → (N,): did any value of the window lie in its band, whenever it was?"""
        limits = self._limits
        below, above = x[:, limits.lowest] < limits.below, x[:, limits.highest] >= limits.above
        return np.asarray((below | above).any(axis=1), dtype=np.bool_)

    def of(self, row: Array) -> list[tuple[str, float]]:
        """(F,) → the variables in whose band the newest value lies, with it."""
        values = row[self._limits.columns].tolist()
        flags = self(row[None])[0].tolist()
        found = zip(self.names, values, flags, strict=True)
        return [(name, value) for name, value, flag in found if flag]

    def _pass_over(self, found: Flags, x: Array) -> None:
        """Values that a later one by another method replaces, and the sleep of the ventilated."""
        for one, other, gap, other_gap in self._pairs:
            found[:, one] &= ~(x[:, other_gap] < x[:, gap])
            found[:, other] &= ~(x[:, gap] <= x[:, other_gap])
        if self._coma is not None:
            found[:, self._coma] &= ~(x[:, _VENTILATED] > 0)


def _gap(variable: str) -> int:
    return COLUMN[f"{variable}.hours_since"]
