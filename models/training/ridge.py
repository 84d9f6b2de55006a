"""Linear scores with a ridge, by Newton's method: of an outcome, or of the whole course.

Proportional hazards also learn from patients whose follow-up ended before the horizon, up to where
they were seen. `ridge` is inverse strength, as scikit-learn counts it.

Source: Cox 1972, ties after Breslow 1974.

Letters in shape comments: N patients, C columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.metrics import Array


def logistic(z: Array, labels: Array, ridge: float) -> tuple[Array, float]:
    """(C,) weights and the intercept, which is free, of standardised columns z (N, C)."""
    design = np.c_[np.ones(len(z)), z]
    pull = np.full(design.shape[1], 1 / ridge)
    pull[0] = 0.0
    beta = np.zeros(design.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-(design @ beta)))
        gradient = design.T @ (p - labels) + pull * beta
        hessian = (design * (p * (1 - p))[:, None]).T @ design + np.diag(pull)
        step = np.linalg.solve(hessian, gradient).clip(-1, 1)
        beta = beta - step
        if np.abs(step).max() < 1e-8:
            break
    return beta[1:], float(beta[0])


def cox(z: Array, days: Array, events: NDArray[np.bool_], ridge: float) -> Array:
    """(C,) weights of standardised columns z (N, C)."""
    order = np.argsort(-days, kind="stable")
    z, days, happened = z[order], days[order], events[order].astype(np.float64)
    last = np.r_[np.flatnonzero(np.diff(days)), len(days) - 1]  # of each run of equal days
    run = np.searchsorted(last, np.arange(len(days)))
    first, at_risk = np.r_[0, last[:-1] + 1][run], last[run]
    beta = np.zeros(z.shape[1])
    for _ in range(50):
        eta = z @ beta
        hazard = np.exp(eta - eta.max())
        total = np.cumsum(hazard)[at_risk]  # of those still followed, from the longest down
        mean = np.cumsum(hazard[:, None] * z, 0)[at_risk] / total[:, None]
        share = hazard * np.cumsum((happened / total)[::-1])[::-1][first]
        gradient = z.T @ (happened - share) - beta / ridge
        curvature = (z * share[:, None]).T @ z - (mean * happened[:, None]).T @ mean
        step = np.linalg.solve(curvature + np.eye(len(beta)) / ridge, gradient).clip(-1, 1)
        beta = beta + step
        if np.abs(step).max() < 1e-8:
            break
    return beta
