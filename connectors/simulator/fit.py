"""Fits the simulated hospital's physiology to PhysioNet 2012.

    python -m connectors.simulator.fit --data PATH

writes `physiology.json` beside this file: distributions and covariances of groups of patients,
nothing of any single one. What is fitted:

- Each variable's marginal distribution, as quantiles. All else lives on normal scores of it, so a
  simulated value can be nothing that was not seen in the cohort.
- Six kinds of patients: survived or died, by whether they got better, stayed, or got worse over the
  48 hours (quarters of the change of a linear severity index, within each outcome). Each has a mean
  course (a value every 12 hours for each variable).
- How patients of one kind differ (covariance between patients), and how one patient's values move
  (an Ornstein-Uhlenbeck process with a correlation time, and white noise), from the variogram of
  what the mean course leaves. Bedside values move together: correlation of their steps.
- How often things are measured: quantiles of the intervals, and how likely each value is among
  them, by outcome.
- Length of stay, age, sex and kind of intensive care, by outcome.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from connectors.cohorts.physionet2012 import CohortPatient, load
from connectors.simulator import fit_moments as moments
from connectors.simulator.fit_moments import Array, Series
from connectors.simulator.variables import (
    ADMISSION,
    BEDSIDE,
    INVASIVE_CODE,
    MEAN_PRESSURE,
    MEASURES,
    PANELS,
    VENTILATION_CODE,
)

KNOTS_H = (0.0, 12.0, 24.0, 36.0, 48.0)
COURSES = ("recovering", "steady", "worsening")
OUTCOMES = ("survived", "died")
GRID = np.linspace(0.005, 0.995, 100)  # probabilities of the quantiles that are kept
INTERVAL_GRID = np.linspace(0.05, 0.95, 10)
OUTPUT = Path(__file__).with_name("physiology.json")

_NAMES = [m.name for m in MEASURES]


def main(arguments: list[str] | None = None) -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of PhysioNet 2012")
    parser.add_argument("--out", type=Path, default=OUTPUT)
    chosen = parser.parse_args(arguments)
    patients = [p for p in load(chosen.data, ["a"]) if p.died is not None]
    fitted = fit(patients, lengths_of_stay(chosen.data))
    chosen.out.write_text(json.dumps(_rounded(fitted), separators=(",", ":")) + "\n")
    sys.stdout.write(f"{chosen.out}: {len(patients)} patients, {chosen.out.stat().st_size} bytes\n")


def fit(patients: list[CohortPatient], stays: dict[int, float]) -> dict[str, Any]:
    """Every parameter, as the JSON holds it."""
    raw = [_series(p) for p in patients]
    died = np.array([bool(p.died) for p in patients])
    quantiles = {name: _quantiles(raw, name) for name in _NAMES}
    scores = [
        {
            name: (s[name][0], moments.normal_scores(s[name][1], quantiles[name], GRID))
            for name in _NAMES
            if name in s
        }
        for s in raw
    ]
    kinds = _kinds(scores, died)
    means = {kind: _mean_course(scores, kinds == k) for k, kind in enumerate(_kind_names())}
    residual = [
        _residuals(s, means[_kind_names()[int(k)]]) for s, k in zip(scores, kinds, strict=True)
    ]
    movement = {name: moments.movement([r[name] for r in residual if name in r]) for name in _NAMES}
    between = moments.correlation_between(residual, _NAMES)
    steps = moments.correlation_of_steps(residual, [m.name for m in BEDSIDE])
    return {
        "source": "PhysioNet/CinC Challenge 2012, set a",
        "patients": len(patients),
        "probabilities": GRID.tolist(),
        "quantiles": {name: q.tolist() for name, q in quantiles.items()},
        "knots_h": list(KNOTS_H),
        "kinds": {
            kind: {"share": float(np.mean(kinds == k)), "course": means[kind]}
            for k, kind in enumerate(_kind_names())
        },
        "movement": movement,
        "between": {"measures": _NAMES, "cholesky": np.linalg.cholesky(between).tolist()},
        "steps": {
            "measures": [m.name for m in BEDSIDE],
            "cholesky": np.linalg.cholesky(steps).tolist(),
        },
        "mean_pressure": _mean_pressure(patients),
        "outcomes": {
            outcome: _practice(patients, raw, died == bool(d), stays)
            for d, outcome in enumerate(OUTCOMES)
        },
        "marginals": _marginals(patients, raw, died),
    }


# ── the cohort as series ────────────────────────────────────────────────────────────────────────


def _series(patient: CohortPatient) -> dict[str, Series]:
    """Plausible values by variable: hours and numbers."""
    found: dict[str, Series] = {}
    for measure in (*MEASURES, MEAN_PRESSURE):
        pairs = [
            (e.minute / 60.0, float(e.value))
            for e in patient.events
            if e.code in measure.fitted_from and measure.low <= float(e.value) <= measure.high
        ]
        if pairs:
            times, values = zip(*sorted(pairs), strict=True)
            found[measure.name] = (np.array(times), np.array(values))
    return found


def lengths_of_stay(folder: Path) -> dict[int, float]:
    """Days in hospital by record id, where the set knows them."""
    names = ("outcomes_a.csv", "Outcomes-a.txt")
    file = next(folder / name for name in names if (folder / name).is_file())
    with file.open(newline="", encoding="ascii") as lines:
        return {
            int(row["RecordID"]): float(row["Length_of_stay"])
            for row in csv.DictReader(lines)
            if float(row["Length_of_stay"]) >= 2
        }


def _quantiles(raw: list[dict[str, Series]], name: str) -> Array:
    values = np.concatenate([s[name][1] for s in raw if name in s])
    quantiles: Array = np.quantile(values, GRID)
    return quantiles


# ── kinds of patients ───────────────────────────────────────────────────────────────────────────


def _kind_names() -> list[str]:
    return [f"{outcome}, {course}" for outcome in OUTCOMES for course in COURSES]


def _kinds(scores: list[dict[str, Series]], died: Array) -> Array:
    """Index into `_kind_names` of each patient."""
    overall = _window_means(scores, 0.0, 49.0)
    weights = moments.ridge(np.nan_to_num(overall), died.astype(float))
    first, last = (_window_means(scores, *w) for w in ((0.0, 16.0), (32.0, 49.0)))
    change = np.nan_to_num(last - first) @ weights
    kinds = np.zeros(len(scores), dtype=int)
    for outcome in (0, 1):
        of_outcome = died == bool(outcome)
        low, high = np.quantile(change[of_outcome], [0.25, 0.75])
        course = 1 + (change > high).astype(int) - (change < low).astype(int)
        kinds[of_outcome] = 3 * outcome + course[of_outcome]
    return kinds


def _window_means(scores: list[dict[str, Series]], begin: float, end: float) -> Array:
    means = np.full((len(scores), len(_NAMES)), np.nan)  # [patients, variables]
    for i, series in enumerate(scores):
        for j, name in enumerate(_NAMES):
            if name in series:
                times, values = series[name]
                inside = values[(times >= begin) & (times < end)]
                if inside.size:
                    means[i, j] = inside.mean()
    return means


def _mean_course(scores: list[dict[str, Series]], of_kind: Array) -> dict[str, list[float]]:
    """Mean normal score at each knot, each patient counting once, thin data drawn to the whole."""
    members = [s for s, wanted in zip(scores, of_kind, strict=True) if wanted]
    whole = np.nanmean(_window_means(members, 0.0, 49.0), axis=0)
    course: dict[str, list[float]] = {name: [] for name in _NAMES}
    for knot in KNOTS_H:
        means = _window_means(members, knot - 6.0, knot + 6.0)
        counts = np.sum(~np.isnan(means), axis=0)
        sums = np.nansum(means, axis=0)
        shrunk = (sums + 10.0 * whole) / (counts + 10.0)  # as if ten patients were average
        for name, value in zip(_NAMES, shrunk, strict=True):
            course[name].append(float(value))
    return course


def _residuals(scores: dict[str, Series], course: dict[str, list[float]]) -> dict[str, Series]:
    return {name: (t, z - np.interp(t, KNOTS_H, course[name])) for name, (t, z) in scores.items()}


# ── how the ward works ──────────────────────────────────────────────────────────────────────────


def _mean_pressure(patients: list[CohortPatient]) -> dict[str, float]:
    """Where between diastolic and systolic the mean lies, over readings of all three at once."""
    shares: list[float] = []
    triples = (("76215-3", "76213-8", "76214-6"), ("76534-7", "76535-4", "76536-2"))
    for patient in patients:
        values = {(e.minute, e.code): e.value for e in patient.events if isinstance(e.value, float)}
        for systolic, diastolic, mean in triples:
            for minute in {m for m, code in values if code == mean}:
                s, d = values.get((minute, systolic), 0.0), values.get((minute, diastolic), 0.0)
                m = values[minute, mean]
                if s - d >= 15 and 0 < d < m < s:
                    shares.append((m - d) / (s - d))
    return {"share": float(np.median(shares)), "sd": float(np.std(shares))}


def _practice(
    patients: list[CohortPatient],
    raw: list[dict[str, Series]],
    of_outcome: Array,
    stays: dict[int, float],
) -> dict[str, Any]:
    chosen = [(p, s) for p, s, w in zip(patients, raw, of_outcome, strict=True) if w]
    people, series = [p for p, _ in chosen], [s for _, s in chosen]
    codes = [{e.code for e in p.events} for p in people]
    ages = [p.age for p in people if p.age is not None]
    wards = [p.icu_type for p in people if p.icu_type]
    days = [stays[p.record_id] for p in people if p.record_id in stays]
    return {
        "age_years": np.quantile(ages, INTERVAL_GRID).tolist(),
        "stay_days": np.quantile(days, INTERVAL_GRID).tolist(),
        "female": float(np.mean([p.sex == "F" for p in people])),
        "wards": {ward: wards.count(ward) / len(wards) for ward in sorted(set(wards))},
        "ventilated": float(np.mean([VENTILATION_CODE in c for c in codes])),
        "arterial_line": float(np.mean([INVASIVE_CODE in c for c in codes])),
        "bedside": _ordering(series, tuple(m.name for m in BEDSIDE)),
        "panels": {panel.name: _ordering(series, panel.measures) for panel in (*PANELS, ADMISSION)},
    }


def _ordering(series: list[dict[str, Series]], measures: tuple[str, ...]) -> dict[str, Any]:
    """How often the first measure is taken, and the others in relation to it."""
    lead = measures[0]
    with_lead = [s for s in series if lead in s]
    gaps = np.concatenate([np.diff(np.unique(s[lead][0])) for s in with_lead])
    return {
        "ever": len(with_lead) / len(series),
        "interval_h": np.quantile(gaps, INTERVAL_GRID).tolist(),
        "measures": {
            name: {
                "ever": float(np.mean([name in s for s in with_lead])),
                "each_time": min(
                    1.0,
                    sum(s[name][0].size for s in with_lead if name in s)
                    / max(1, sum(np.unique(s[lead][0]).size for s in with_lead if name in s)),
                ),
            }
            for name in measures
        },
    }


def _marginals(
    patients: list[CohortPatient], raw: list[dict[str, Series]], died: Array
) -> dict[str, dict[str, list[float]]]:
    """Mean and standard deviation by outcome: what simulated values are checked against."""
    found: dict[str, dict[str, list[float]]] = {}
    for d, outcome in enumerate(OUTCOMES):
        chosen = [s for s, dead in zip(raw, died, strict=True) if dead == bool(d)]
        found[outcome] = {}
        for name in (*_NAMES, MEAN_PRESSURE.name):
            # Each patient counts once, however often they were measured.
            means = np.array([s[name][1].mean() for s in chosen if name in s])
            spread = np.array([s[name][1].var() for s in chosen if name in s])
            total = float(np.sqrt(means.var() + spread.mean()))
            found[outcome][name] = [float(means.mean()), total]
    return found


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return value


if __name__ == "__main__":
    main()
