"""What scores are worth at the bedside: net benefit, alarms a day, how early they come.

Grids are (patients, hours) of probabilities that stand at each full hour, NaN where none does.

Source: Vickers, Elkin, Medical Decision Making 2006 (decision curves).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.metrics import Array, rounded

THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6)
_DAY_H = 24.0


def decision_curve(labels: Array, probabilities: Array) -> list[dict[str, float | None]]:
    """Net benefit of treating those above each threshold, and of treating everybody.

    In true positives a patient: a false positive costs threshold / (1 - threshold) of one.
    """
    found: list[dict[str, float | None]] = []
    if not len(labels):
        return found
    for threshold in THRESHOLDS:
        called = probabilities >= threshold
        cost = threshold / (1 - threshold)
        benefit = (called & (labels == 1)).mean() - cost * (called & (labels == 0)).mean()
        everybody = labels.mean() - cost * (1 - labels.mean())
        found.append(
            {
                "threshold": threshold,
                "net_benefit": rounded(float(benefit)),
                "treat_all": rounded(float(everybody)),
            }
        )
    return found


def first_alarm(probabilities: Array, fire: float) -> Array:
    """(patients, hours) → (patients,) the hour from 1 at which a threshold is first reached."""
    reached = np.nan_to_num(probabilities) >= fire
    hour = reached.argmax(1) + 1.0
    return np.where(reached.any(1), hour, np.nan)


def burning(probabilities: Array, fire: float, clear: float) -> NDArray[np.bool_]:
    """(patients, hours) whether an alarm is on: from `fire` on, until below `clear`.

    Where there is no probability it stays as it was.
    """
    on = np.zeros(len(probabilities), dtype=bool)
    found = np.zeros(probabilities.shape, dtype=bool)
    for hour, column in enumerate(probabilities.T):
        on = (on | (column >= fire)) & ~(column < clear)
        found[:, hour] = on
    return found


def beginnings(on: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(patients, hours) where an alarm that is on was off the hour before."""
    return on & ~np.pad(on, ((0, 0), (1, 0)))[:, :-1]


def at_thresholds(
    labels: Array, probabilities: Array, died_on_day: Sequence[int | None], clear_at: float
) -> list[dict[str, float | None]]:
    """Alarms of rules that clear at a share `clear_at` of the threshold.

    Lead time is from the first alarm to the end of the day of death, of those who died and were
    alarmed (the set gives days, not hours).
    """
    days = float(np.sum(~np.isnan(probabilities))) / _DAY_H
    death_h = np.array([np.nan if day is None else (day + 1) * _DAY_H for day in died_on_day])
    found: list[dict[str, float | None]] = []
    for threshold in THRESHOLDS:
        first = first_alarm(probabilities, threshold)
        alarmed = ~np.isnan(first)
        lead = (death_h - first)[alarmed & (labels == 1)]
        lead = lead[~np.isnan(lead)]
        began = beginnings(burning(probabilities, threshold, clear_at * threshold))
        row: dict[str, Any] = {
            "threshold": threshold,
            "patients_alarmed": float(alarmed.mean()),
            "sensitivity": _share(alarmed[labels == 1]),
            "positive_predictive_value": _share(labels[alarmed] == 1),
            "alarms_per_patient_day": float(began.sum() / days) if days else np.nan,
            "first_alarm_h": _median(first[alarmed & (labels == 1)]),
            "lead_time_h": _median(lead),
        }
        found.append({k: rounded(v) for k, v in row.items()})
    return found


def _share(flags: Any) -> float:
    return float(flags.mean()) if len(flags) else float("nan")


def _median(values: Array) -> float:
    return float(np.median(values)) if len(values) else float("nan")
