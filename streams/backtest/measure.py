"""What the alerts of a policy are worth: load, precision, sensitivity, lead time, with intervals.

Intervals are 95 % percentile intervals of a bootstrap over patients: all stays of a patient are
drawn together. An alert is right when the stay's event comes after its first call, within the
horizon where one is given; where only the stay's end is known, when the event happened at all.
Alerts of stays whose end nobody has told count as load and not as right or wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from connectors.contract import Severity
from streams.backtest.simulate import Raised
from streams.backtest.stays import HOUR_S, UNKNOWN, Stays

DAY_S: Final = 86_400.0
DRAWS: Final = 1_000
_SEED: Final = 20_261_125
Array = NDArray[np.float64]


class Table(NamedTuple):
    """Per patient, what all figures are sums of. One row for each patient."""

    alerts: Array
    calls: Array
    right: Array
    judged: Array  # right or wrong
    events: Array
    warned: Array  # events with a right alert before
    days: Array  # patient-days watched
    stays: Array  # with a known end
    quiet: Array  # … without the event and without an alert
    calm: Array  # … without the event


def measure(
    stays: Stays,
    raised: Sequence[Raised],
    *,
    horizon_s: float | None = None,
    patients_per_nurse: float = 5.0,
    draws: int = DRAWS,
    chosen: NDArray[np.bool_] | None = None,
) -> dict[str, Any]:
    """The figures of all stays, or of the chosen ones."""
    keep = np.ones(len(stays), dtype=bool) if chosen is None else chosen
    mine = [one for one in raised if keep[one.stay]]
    table = tabulate(stays, mine, keep, horizon_s)
    drawn = _drawn(table, draws)
    leads = lead_times(stays, mine, horizon_s)
    hours = float(table.days.sum()) * 24.0

    return {
        "stays": int(keep.sum()),
        "patients": len(table.days),
        "patient_days": round(float(table.days.sum()), 2),
        "scores": int(np.diff(stays.bounds)[keep].sum()),
        "events": int(table.events.sum()),
        "alerts": len(mine),
        "calls": int(table.calls.sum()),
        "alerts_per_patient_day": _rate(table, drawn, "alerts", "days"),
        "ppv": _rate(table, drawn, "right", "judged"),
        "sensitivity": _rate(table, drawn, "warned", "events"),
        "specificity": _rate(table, drawn, "quiet", "calm"),
        "lead_time_h": _quartiles(leads),
        "calls_per_nurse_and_hour": _rate(table, drawn, "calls", "days", patients_per_nurse / 24.0),
        "patients_per_nurse": patients_per_nurse,
        "nurse_hours": round(hours / patients_per_nurse, 1),
        "minutes_open": _quartiles([(one.ended - one.at) / 60.0 for one in mine]),
    }


def by_part(
    stays: Stays,
    raised: Sequence[Raised],
    *,
    horizon_s: float | None = None,
    patients_per_nurse: float = 5.0,
    draws: int = DRAWS,
) -> dict[str, dict[str, Any]]:
    """The same by ward and by each subgroup; alerts and precision by severity."""
    parts: dict[str, Sequence[str]] = {"ward": stays.wards, **stays.subgroups}
    found: dict[str, dict[str, Any]] = {}
    for name, values in parts.items():
        if len(set(values)) < 2:
            continue
        column = np.array(values)
        found[name] = {
            value or "unknown": measure(
                stays,
                raised,
                horizon_s=horizon_s,
                patients_per_nurse=patients_per_nurse,
                draws=draws,
                chosen=column == value,
            )
            for value in sorted(set(values))
        }
    found["severity"] = {
        severity.value: _of_severity(stays, raised, severity, horizon_s, draws)
        for severity in Severity
    }
    return found


def _of_severity(
    stays: Stays, raised: Sequence[Raised], severity: Severity, horizon_s: float | None, draws: int
) -> dict[str, Any]:
    mine = [one for one in raised if one.severity is severity]
    table = tabulate(stays, mine, np.ones(len(stays), dtype=bool), horizon_s)
    drawn = _drawn(table, draws)
    return {
        "alerts": len(mine),
        "alerts_per_patient_day": _rate(table, drawn, "alerts", "days"),
        "ppv": _rate(table, drawn, "right", "judged"),
    }


def tabulate(
    stays: Stays, raised: Sequence[Raised], keep: NDArray[np.bool_], horizon_s: float | None
) -> Table:
    """Sums of each patient over the stays that are kept."""
    n = len(stays)
    alerts, calls, right, judged, warned = (np.zeros(n) for _ in range(5))
    for one in raised:
        alerts[one.stay] += 1
        calls[one.stay] += one.calls
        true = is_right(stays, one, horizon_s)
        if true is not None:
            right[one.stay] += true
            judged[one.stay] += 1
            warned[one.stay] = max(warned[one.stay], true)
    known = stays.labels != UNKNOWN
    calm = (stays.labels == 0).astype(float)
    days = stays.watched_s() / DAY_S
    events = (stays.labels == 1).astype(float)
    columns = (
        alerts,
        calls,
        right,
        judged,
        events,
        warned,
        days,
        known,
        calm * (alerts == 0),
        calm,
    )
    of = _patients(stays)[keep]
    _, rows = np.unique(of, return_inverse=True)
    size = int(rows.max()) + 1 if len(rows) else 0
    summed = [
        np.bincount(rows, np.asarray(c, np.float64)[keep], size).astype(np.float64) for c in columns
    ]
    return Table(*summed)


def _patients(stays: Stays) -> NDArray[np.int64]:
    numbers = {name: i for i, name in enumerate(dict.fromkeys(stays.patients))}
    return np.array([numbers[name] for name in stays.patients], dtype=np.int64)


def is_right(stays: Stays, one: Raised, horizon_s: float | None) -> bool | None:
    """None: nobody has told what became of the patient."""
    label, event = stays.labels[one.stay], stays.events[one.stay]
    if label == UNKNOWN:
        return None
    if label == 0 or np.isnan(event):
        return bool(label)
    lead = event - one.at
    return bool(lead >= 0 and (horizon_s is None or lead <= horizon_s))


def lead_times(stays: Stays, raised: Sequence[Raised], horizon_s: float | None) -> list[float]:
    """Hours from the first right call of a stay to its event, where its time is known."""
    first: dict[int, float] = {}
    for one in raised:
        if not np.isnan(stays.events[one.stay]) and is_right(stays, one, horizon_s):
            first.setdefault(one.stay, float(stays.events[one.stay] - one.at) / HOUR_S)
    return list(first.values())


def _drawn(table: Table, draws: int) -> Table:
    """The sums of each draw: as many patients as there are, drawn with replacement."""
    columns = np.stack(table, axis=1)  # (patients, columns)
    patients = len(columns)
    if not patients or not draws:
        return Table(*(np.zeros(0) for _ in table))
    chance = np.random.default_rng(_SEED)
    sums = np.empty((draws, columns.shape[1]))
    for draw in range(draws):  # one at a time: all at once would not fit into memory
        times = np.bincount(chance.integers(0, patients, patients), minlength=patients)
        sums[draw] = times @ columns
    return Table(*sums.T)


def _rate(
    table: Table, drawn: Table, top: str, below: str, scale: float = 1.0
) -> dict[str, float] | None:
    """A ratio of sums, with its interval; None where there is nothing below the line."""
    over, under = float(getattr(table, top).sum()), float(getattr(table, below).sum())
    if under <= 0:
        return None
    found = {"value": round(scale * over / under, 6)}
    tops, belows = getattr(drawn, top), getattr(drawn, below)
    ratios = scale * tops[belows > 0] / belows[belows > 0]
    if len(ratios):
        low, high = np.quantile(ratios, (0.025, 0.975))
        found |= {"low": round(float(low), 6), "high": round(float(high), 6)}
    return found


def _quartiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    low, middle, high = np.quantile(np.array(values), (0.25, 0.5, 0.75))
    return {
        "median": round(float(middle), 3),
        "q1": round(float(low), 3),
        "q3": round(float(high), 3),
        "count": len(values),
    }


def differences(
    stays: Stays, before: Sequence[Raised], after: Sequence[Raised]
) -> Mapping[str, list[dict[str, Any]]]:
    """Whom only one of two policies would have called for, oldest call first."""
    first, second = ({}, {})  # type: tuple[dict[int, Raised], dict[int, Raised]]
    for known, raised in ((first, before), (second, after)):
        for one in raised:
            known.setdefault(one.stay, one)
    return {
        "no_longer": [_shown(stays, first[s]) for s in sorted(first.keys() - second.keys())],
        "newly": [_shown(stays, second[s]) for s in sorted(second.keys() - first.keys())],
    }


def _shown(stays: Stays, one: Raised) -> dict[str, Any]:
    label = int(stays.labels[one.stay])
    return {
        "patient": stays.patients[one.stay],
        "ward": stays.wards[one.stay],
        "at": one.at,
        "severity": one.severity.value,
        "event": None if label == UNKNOWN else bool(label),
    }
