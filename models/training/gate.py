"""Fit the reference of the conformal gate, and observe its coverage.

For member m the measure is fitted on the patients of three folds and calibrated on those of a
fourth; fold m is left for the observation. One moment of a patient counts in each band, so that
patients, not their moments, are what is compared.

Letters in shape comments: N rows, V columns that are measured, B bands, M members.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.conformal import BANDS, Array, Gate, Reference, band, distance, limit, standardised
from models.ensemble import FOLDS

LEVEL = 0.002  # chance to be refused wrongly, for each of the two measures
_NORMAL_95 = 1.645
_LEAST = 1e-6
_SKEWED = 2.0  # the upper tail is so many times as long as the lower one: logarithm
_RIDGE = 1.0  # added to the covariance's diagonal: that two pressures disagree is no stranger


def fit_gates(
    x: Array, hours: Array, known: Array, patients: NDArray[Any], folds: NDArray[Any],
    columns: list[int],
) -> Reference:  # fmt: skip
    """One reference for each member, along a first axis; `columns` of (N, F) `x` are measured."""
    chosen = one_each(hours, patients)
    x, hours, known, folds = x[chosen][:, columns], hours[chosen], known[chosen], folds[chosen]
    members = []
    for m in range(FOLDS):
        calibrates = folds == (m + 1) % FOLDS
        shape = _shape(x[(folds != m) & ~calibrates])
        bands = band(hours[calibrates])
        far = distance(x[calibrates], shape)
        few = -known[calibrates]
        limits = [[limit(s[bands == b], LEVEL) for b in range(len(BANDS) + 1)] for s in (far, few)]
        # On the first day data are still coming in: only later is little too little.
        limits[1][:-1] = [np.inf] * len(BANDS)
        members.append(
            shape._replace(gate_farthest=np.array(limits[0]), gate_fewest=-np.array(limits[1]))
        )
    return Reference(*(np.stack(parts) for parts in zip(*members, strict=True)))


def one_each(hours: Array, patients: NDArray[Any]) -> NDArray[np.intp]:
    """Rows: the last moment of each patient in each band."""
    key = patients.astype(np.int64) * (len(BANDS) + 1) + band(hours)
    order = np.lexsort((hours, key))
    last = np.append(np.diff(key[order]) != 0, True)
    return np.sort(order[last])


def _quantiles(values: Array, unseen: NDArray[np.bool_]) -> Array:
    found: Array = np.nanquantile(np.where(unseen, 0.0, values), (0.05, 0.5, 0.95), axis=0)
    return found


def _shape(values: Array) -> Reference:
    """The measure of distance, without limits, from (N, V) values."""
    unseen = np.isnan(values).sum(0) == len(values)  # a variable that nobody had says nothing
    ages = values[~np.isnan(values[:, 0]), 0]
    low, center, high = _quantiles(values, unseen)
    skewed = (low > 0) & (high - center > _SKEWED * (center - low))
    low, center, high = (
        np.where(skewed, np.log(np.maximum(q, _LEAST)), q) for q in (low, center, high)
    )
    shape = Reference(
        skewed.astype(np.float64),
        center,
        np.maximum((center - low) / _NORMAL_95, _LEAST),
        np.maximum((high - center) / _NORMAL_95, _LEAST),
        np.eye(values.shape[1]),
        np.zeros(0),
        np.zeros(0),
        np.array(ages.min() if len(ages) else -np.inf),
    )
    z = standardised(values, shape)
    covariance = z.T @ z / len(z) + _RIDGE * np.eye(z.shape[1])
    precision: Array = np.linalg.inv(covariance).astype(np.float64)
    return shape._replace(gate_precision=precision)


def observed(
    references: Reference, x: Array, hours: Array, known: Array, patients: NDArray[Any],
    folds: NDArray[Any], columns: list[int],
) -> dict[str, Any]:  # fmt: skip
    """How many of the held-out patients (fold m by member m) each measure refuses, by band."""
    chosen = one_each(hours, patients)
    x, hours, known, folds = x[chosen], hours[chosen], known[chosen], folds[chosen]
    far, few = np.zeros(len(x), dtype=bool), np.zeros(len(x), dtype=bool)
    for m in range(FOLDS):
        k = folds == m
        gate = Gate(Reference(*(a[m] for a in references)), columns)
        far[k], few[k] = gate.far(x[k], hours[k]), gate.few(known[k], hours[k])
    edges = ("0", *(f"{b:g}" for b in BANDS), "")
    bands = band(hours)
    return {
        "level": LEVEL,
        "bands": [
            {
                "hours": f"{low}–{high}" if high else f"from {low}",
                "patients": int((bands == b).sum()),
                "out_of_distribution": round(float(far[bands == b].mean()), 4),
                "too_little_data": round(float(few[bands == b].mean()), 4),
            }
            for b, (low, high) in enumerate(itertools.pairwise(edges))
            if (bands == b).any()
        ],
    }
