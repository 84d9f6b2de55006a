"""What a comparison comes to: how far two bundles are apart, and which is worth more.

Differences are on trial − active, with 95 % intervals that resample patients: all pairs of a
patient belong together, and both bundles are judged by the same patients (`models.hourly_metrics`).
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from models import hourly_metrics, metrics
from models.hourly_metrics import Hours
from models.metrics import Array, Estimate
from streams.comparing import Outcomes, Trial

_ROUND: Final = 4
NAMES: Final = ("active", "shadow")


def report(trial: Trial, fire: float, known: Outcomes) -> dict[str, Any]:
    """Agreement and difference of the scores, and what both are worth where outcomes are known.

    `fire`: the threshold at which the two are said to agree or not.
    """
    found: dict[str, Any] = {
        "risk": trial.risk,
        "active": trial.active,
        "shadow": trial.shadow,
        "scores": trial.scores,
        "patients": len(trial.patients),
        "both_scored": trial.both,
        "abstained": dict(zip(NAMES, trial.silent, strict=True)),
    }
    if trial.both:
        found |= _difference(trial, fire)
    found["outcomes"] = _judged(trial, known)
    return found


def _difference(trial: Trial, fire: float) -> dict[str, Any]:
    n = trial.both
    mean = trial.apart / n
    neither, active, shadow, both = trial.above
    pairs = np.array([p.pairs for p in trial.patients.values()], dtype=np.float64)
    apart = np.array([p.apart for p in trial.patients.values()])
    interval = hourly_metrics.estimate(
        mean, len(pairs), lambda w: _ratio(float(w @ apart), float(w @ pairs))
    )
    return {
        "log_odds_difference": {
            "mean": round(mean, _ROUND),
            "low": metrics.rounded(interval.low),
            "high": metrics.rounded(interval.high),
            "standard_deviation": round(_root(trial.apart_squares / n - mean**2), _ROUND),
            "largest": round(trial.apart_most, _ROUND),
        },
        "probability_difference": round(trial.p_apart / n, _ROUND),
        "correlation": metrics.rounded(_correlation(trial)),
        "threshold": fire,
        "above_both": both,
        "above_active_only": active,
        "above_shadow_only": shadow,
        "above_neither": neither,
        "kappa": metrics.rounded(_kappa(both, active, shadow, neither)),
    }


def _correlation(trial: Trial) -> float:
    n = trial.both
    (a, s), (aa, ss, product) = trial.z, trial.squares
    spread = _root(aa / n - (a / n) ** 2) * _root(ss / n - (s / n) ** 2)
    return _ratio(product / n - a * s / n**2, spread)


def _kappa(both: int, active: int, shadow: int, neither: int) -> float:
    """Agreement beyond chance (Cohen 1960); 1 where both always say the same thing."""
    n = both + active + shadow + neither
    one, other = (both + active) / n, (both + shadow) / n
    chance = one * other + (1 - one) * (1 - other)
    return 1.0 if chance == 1.0 else ((both + neither) / n - chance) / (1 - chance)


def _judged(trial: Trial, known: Outcomes) -> dict[str, Any]:
    """One pair an hour of each patient whose outcome is known."""
    rows = [
        (number, known[patient, trial.risk], *pair)
        for number, (patient, hours) in enumerate(sorted(trial.hours.items()))
        for _, pair in sorted(hours.items())
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    patient, y = table[:, 0].astype(np.int64), table[:, 1]
    patients = len(trial.hours)
    events = sum(known[patient, trial.risk] for patient in trial.hours)
    found: dict[str, Any] = {"patients": patients, "events": events, "hours": len(rows)}
    if not 0 < events < patients:
        return found
    both = [Hours(patient, y, table[:, 2 + at]) for at in (0, 1)]
    for name, hours in zip(NAMES, both, strict=True):
        found[name] = _worth(hours, patients)
    found["difference"] = _worth_more(both[1], both[0], patients)
    return found


def _worth(hours: Hours, patients: int) -> dict[str, Any]:
    p = 1 / (1 + np.exp(-hours.scores))
    return {
        "auroc": hourly_metrics.ranking(hours, patients)["auroc"].as_dict(),
        "calibration_slope": hourly_metrics.slope(hours, patients).as_dict(),
        "brier": _mean(hours, patients, (p - hours.labels) ** 2).as_dict(),
        "observed": round(float(hours.labels.mean()), _ROUND),
        "predicted": _mean(hours, patients, p).as_dict(),
    }


def _worth_more(own: Hours, other: Hours, patients: int) -> dict[str, Any]:
    """Of the same patients, resampled together."""
    p, q = (1 / (1 + np.exp(-hours.scores)) for hours in (own, other))
    squared = (p - own.labels) ** 2 - (q - own.labels) ** 2
    return {
        "auroc": hourly_metrics.difference(own, other, patients)["auroc"].as_dict(),
        "calibration_slope": hourly_metrics.slope_difference(own, other, patients).as_dict(),
        "brier": _mean(own, patients, squared).as_dict(),
        "predicted": _mean(own, patients, p - q).as_dict(),
    }


def _mean(hours: Hours, patients: int, values: Array) -> Estimate:
    """(N,) values → their mean over all hours."""
    sums = np.bincount(hours.patient, values, patients)
    counts = np.bincount(hours.patient, minlength=patients).astype(np.float64)
    return hourly_metrics.estimate(
        float(values.mean()), patients, lambda w: _ratio(float(w @ sums), float(w @ counts))
    )


def _ratio(a: float, b: float) -> float:
    return float(a / b) if b else math.nan


def _root(value: float) -> float:
    return math.sqrt(max(0.0, value))
