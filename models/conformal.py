"""Abstention by a conformal rule: is this patient like those the model was trained on?

Two measures of strangeness: how far the newest values lie from the training patients' (Mahalanobis'
distance, the unmeasured at the centre), and how few variables are known. Each is compared with
patients that neither the model's member nor the measure was fitted on, in the same band of hours
in the stay. A patient is out when fewer than `level` of them are as strange:

    p = (1 + number of them at least as strange) / (1 + their number) <= level

If a new patient is exchangeable with them, the chance to be refused wrongly is at most `level`, for
each of the two, whatever the distribution. It says nothing of how often true strangers are caught.

Letters in shape comments: N patients, F features, V columns that are measured, B bands, M members.

Source: Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005 (validity);
Laxhammar, Falkman, Annals of Mathematics and Artificial Intelligence 2015 (inductive conformal
anomaly detection); Vovk, ACML 2012 (validity by category).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

BANDS = (6.0, 24.0)  # hours in the stay at which a new band begins
_BANDS = np.array(BANDS)
_LEAST = 1e-3  # nothing that is measured is less and above zero
_FARTHEST = 6.0  # standard deviations: beyond, a value is an artefact as likely as a stranger


class Reference(NamedTuple):
    """What a patient is compared with. Stored for each member with a first axis M."""

    gate_log: Array  # (V,) 1 where the logarithm is looked at: long tails upwards
    gate_center: Array  # (V,) median
    gate_below: Array  # (V,) standard deviation of what lies below it, by the 5 % quantile
    gate_above: Array  # (V,) … above it, by the 95 % quantile
    gate_precision: Array  # (V, V) inverse covariance of the values so standardised
    gate_farthest: Array  # (B,) largest distance that is not out
    gate_fewest: Array  # (B,) smallest number of variables that is not out
    gate_youngest: Array  # () the least age


class Gate:
    """Says who is out. `columns` (V,) are the features that are measured, the age first."""

    def __init__(self, reference: Reference, columns: list[int]) -> None:
        self._reference = Reference(*(np.asarray(a, dtype=np.float64) for a in reference))
        self._columns = columns

    def far(self, x: Array, hours: Array) -> Flags:
        """(N, F) features, (N,) hours in the stay → (N,): are the values out of distribution?

        Nobody younger than all training patients is in, whatever their values.
        """
        values = x[:, self._columns]
        limits = self._reference.gate_farthest[band(hours)]
        young = values[:, 0] < self._reference.gate_youngest
        found: Flags = (distance(values, self._reference) > limits) | young
        return found

    def few(self, known: Array, hours: Array) -> Flags:
        """(N,) numbers of known variables → (N,): is that too little at that time of the stay?"""
        found: Flags = known < self._reference.gate_fewest[band(hours)]
        return found


def band(hours: Array) -> NDArray[np.intp]:
    """(N,) hours in the stay → (N,) bands; time that is not known counts as the first."""
    return np.searchsorted(_BANDS, np.fmax(hours, 0.0), side="right")


def standardised(values: Array, reference: Reference) -> Array:
    """(N, V) → (N, V) deviations from the median, 0 where not measured."""
    logs = np.log(np.maximum(values, _LEAST))
    off = np.where(reference.gate_log > 0, logs, values) - reference.gate_center
    z = np.where(off < 0, off / reference.gate_below, off / reference.gate_above)
    z[np.isnan(z)] = 0.0
    return np.minimum(np.maximum(z, -_FARTHEST), _FARTHEST)


def distance(values: Array, reference: Reference) -> Array:
    """(N, V) → (N,) squared Mahalanobis distance."""
    z = standardised(values, reference)
    found: Array = ((z @ reference.gate_precision) * z).sum(1)
    return found


def limit(scores: Array, level: float) -> float:
    """The largest score of calibration patients that is not out; inf when they are too few to say.

    With n patients and k = floor(level * (n + 1)) that is the k-th largest.
    """
    k = int(level * (len(scores) + 1))
    return float(np.sort(scores)[-k]) if k else float("inf")
