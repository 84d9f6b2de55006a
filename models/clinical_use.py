"""What scores are worth at the bedside: net benefit, alarms a day, how early they come.

Grids are (patients, hours) of probabilities that stand at each full hour, NaN where none does.

Source: Vickers, Elkin, Medical Decision Making 2006 (decision curves).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.hourly_metrics import Hours
from models.metrics import Array, rounded
from models.resampling import Resamples, interval, ratio, share_interval

THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6)
DECISIONS = tuple(sorted({*THRESHOLDS, *(round(0.02 * i, 2) for i in range(1, 31))}))
WARNING_H = 12  # an alarm that was off for so long before the end is not taken for a warning
_DAY_H = 24.0


def net_benefit(hours: Hours, thresholds: Sequence[float], resamples: Resamples) -> Array:
    """(1 + R, thresholds) net benefit of treating rows from each threshold on.

    In true positives a row: a false positive costs threshold / (1 - threshold) of one. Row 0 is
    the cohort, the others are the draws of its patients.
    """
    patients = resamples.times.shape[1]
    probabilities, rows = 1 / (1 + np.exp(-hours.scores)), np.ones_like(hours.labels)
    worth = np.zeros((patients, len(thresholds)))
    for k, threshold in enumerate(thresholds):
        cost = threshold / (1 - threshold)
        value = np.where(hours.labels == 1, 1.0, -cost) * (probabilities >= threshold)
        worth[:, k] = np.bincount(hours.patient, value, patients)
    n = np.bincount(hours.patient, rows, patients).astype(np.float64)
    total, drawn = (
        np.vstack([worth.sum(0), resamples.sums(worth)]),
        np.r_[n.sum(), resamples.sums(n)],
    )
    return ratio(total, np.broadcast_to(drawn[:, None], total.shape))


def decision_curve(
    hours: Hours, resamples: Resamples, thresholds: Sequence[float] = DECISIONS
) -> list[dict[str, Any]]:
    """Net benefit by threshold, and that of treating everybody, with intervals."""
    everybody = hours._replace(scores=np.full(len(hours.labels), np.inf))
    own, treated = (net_benefit(h, thresholds, resamples) for h in (hours, everybody))
    return curve_rows(thresholds, {"net_benefit": own, "treat_all": treated})


def curve_rows(at: Sequence[float], curves: dict[str, Array]) -> list[dict[str, Any]]:
    """One row for each threshold of curves (1 + R, thresholds), with `intervals`."""
    return [
        {"threshold": round(float(t), 6)}
        | {name: rounded(float(curve[0, k])) for name, curve in curves.items()}
        | {"intervals": {name: interval(curve[1:, k]) for name, curve in curves.items()}}
        for k, t in enumerate(at)
    ]


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


def warned_since(on: NDArray[np.bool_], end_h: Array) -> Array:
    """(patients,) the hour from 1 at which the alarm began that warned of an end; NaN: none did.

    An alarm warns if it was on within the last `WARNING_H` hours before the end (patients,) in
    hours. One that cleared before does not, however early it came.
    """
    hours = np.arange(1, on.shape[1] + 1)
    since = np.maximum.accumulate(np.where(beginnings(on), hours, 0), axis=1)
    near = (hours > end_h[:, None] - WARNING_H) & (hours <= end_h[:, None])
    warning = on & near
    began = np.take_along_axis(since, warning.argmax(1)[:, None], axis=1)[:, 0]
    return np.where(warning.any(1), began, np.nan)


def at_thresholds(
    labels: Array,
    probabilities: Array,
    died_on_day: Sequence[int | None],
    clear_at: float,
    resamples: Resamples | None = None,
) -> list[dict[str, Any]]:
    """Alarms of rules that clear at a share `clear_at` of the threshold.

    `deaths_warned` is the share of deaths with an alarm on within the last `WARNING_H` hours of
    the observation (to the last hour of the grid, or to the end of the day of death, if that is
    earlier). Lead time is from the beginning of that alarm to the end of the day of death (the set
    gives days, not hours). With resamples each row has `intervals`.
    """
    death_h = np.array([np.nan if day is None else (day + 1) * _DAY_H for day in died_on_day])
    end_h = np.fmin(death_h, probabilities.shape[1])
    hours = np.sum(~np.isnan(probabilities), axis=1).astype(np.float64)
    found = []
    for threshold in THRESHOLDS:
        on = burning(probabilities, threshold, clear_at * threshold)
        since = np.where(labels == 1, warned_since(on, end_h), np.nan)
        row = _Row(labels, np.any(on, axis=1), beginnings(on).sum(1), hours, since, death_h - since)
        found.append({"threshold": threshold} | row.figures(resamples))
    return found


class _Row(NamedTuple):
    """What a rule did, by patient; NaN in `since` where nothing warned of a death."""

    labels: Array
    alarmed: NDArray[np.bool_]
    alarms: NDArray[np.int64]
    hours: Array
    since: Array
    lead: Array

    def figures(self, resamples: Resamples | None) -> dict[str, Any]:
        """Figures, and their intervals."""
        value = self._from(np.ones((1, len(self.labels))), _plain_median)
        found: dict[str, Any] = {k: rounded(float(v[0])) for k, v in value.items()}
        if resamples is not None:
            drawn = self._from(resamples.times, resamples.medians)
            found["intervals"] = {k: interval(v) for k, v in drawn.items()} | {
                k: share_interval(float(value[k][0]), n, drawn[k])
                for k, n in self._out_of().items()
            }
        return found

    def _out_of(self) -> dict[str, int]:
        """How many patients a share is of."""
        deaths = int(self.labels.sum())
        return {
            "patients_alarmed": len(self.labels),
            "sensitivity": deaths,
            "deaths_warned": deaths,
            "positive_predictive_value": int(self.alarmed.sum()),
        }

    def _from(self, times: Array, median: Callable[[Array], Array]) -> dict[str, Array]:
        """(R, patients) how often each was drawn → (R,) each figure."""
        died, alarmed = self.labels, self.alarmed.astype(np.float64)
        warned = (~np.isnan(self.since)).astype(np.float64)
        parts = np.c_[np.ones(len(died)), alarmed, died, alarmed * died, warned]
        everybody, called, deaths, hits, in_time = (times @ parts).T
        began, hours = (times @ np.c_[self.alarms, self.hours]).T
        return {
            "patients_alarmed": ratio(called, everybody),
            "sensitivity": ratio(hits, deaths),
            "positive_predictive_value": ratio(hits, called),
            "alarms_per_patient_day": ratio(began * _DAY_H, hours),
            "deaths_warned": ratio(in_time, deaths),
            "warned_since_h": median(self.since),
            "lead_time_h": median(self.lead),
        }


def _plain_median(values: Array) -> Array:
    known = values[~np.isnan(values)]
    return np.array([np.median(known) if len(known) else np.nan])
