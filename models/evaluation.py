"""Scores of a cohort, and what they are worth.

At hour h a patient's score is the one that stands then: made when the last observation before h
arrived, as the running system makes it. Patients that a bundle was trained on are scored by the
member that never saw them (cross-fitted); all others by the whole ensemble.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from connectors.cohorts.tables import RecordId
from models import metrics
from models.clinical_use import (
    DECISIONS,
    at_thresholds,
    beginnings,
    burning,
    curve_rows,
    decision_curve,
    net_benefit,
)
from models.ensemble import Ensemble, Scorer
from models.grouped_metrics import group, intervals
from models.hourly_metrics import Hours
from models.metrics import Array
from models.resampling import REPEATS, Resamples, estimate, interval, ratio, share_interval
from models.risk import AlertRule, Assessment, RiskModel, probability_of
from models.training.apart import parts
from models.training.cohort import ADMITTED_AT, COHORT, HOUR_S, Stay

AT_HOUR = 48
HOURS = tuple(range(1, AT_HOUR + 1))
FEWER = 300  # draws behind the intervals by hour and of subgroups
LEAST = 10  # deaths, and survivors, in a subgroup of which figures are given
_GROUPS = 400
_BY_HOUR = ("auroc", "auprc", "calibration_slope", "ece")
COLUMNS = ("id", "as_of", "probability", "log_odds", "abstained", "label", "ehr")


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row of predictions.csv. `as_of` is in hours since admission."""

    id: RecordId
    as_of: float
    probability: float | None
    log_odds: float | None
    abstained: str | None
    label: int
    ehr: float | None  # llr of the one modality: all of these risks read the health record


def predicted(stay: Stay, assessment: Assessment) -> Prediction:
    """An assessment as a row."""
    llrs = [e.llr for e in assessment.evidence]
    return Prediction(
        id=stay.record_id,
        as_of=round((assessment.as_of - ADMITTED_AT) / HOUR_S, 4),
        probability=assessment.probability,
        log_odds=assessment.log_odds,
        abstained=assessment.abstained,
        label=stay.label,
        ehr=llrs[0] if llrs else None,
    )


class CohortModel(Ensemble, RiskModel, Protocol):
    """A risk model of several members."""


CrossFitted = Scorer[CohortModel]


def final(stays: Sequence[Stay], scorer: CrossFitted) -> list[Prediction]:
    """Each patient's score that stands 48 hours after admission."""
    rows: list[Prediction] = []
    for stay in stays:
        moment = stay.standing(AT_HOUR)
        as_of = ADMITTED_AT + AT_HOUR * HOUR_S if moment is None else moment
        rows.append(predicted(stay, scorer.model(stay).assess([(stay.record, as_of)])[0]))
    return rows


def hourly(
    stays: Sequence[Stay], scorer: CrossFitted, on_stay: Callable[[], None] = lambda: None
) -> Array:
    """(patients, 48) log-odds that stand at each full hour; NaN where none does."""
    grid = np.full((len(stays), len(HOURS)), np.nan)
    for i, stay in enumerate(stays):
        moments = [stay.standing(h) for h in HOURS]
        distinct = sorted({m for m in moments if m is not None})
        pairs = [(stay.record, m) for m in distinct]
        scores = dict(zip(distinct, scorer.model(stay).log_odds(pairs), strict=True))
        for j, moment in enumerate(moments):
            score = None if moment is None else scores[moment]
            grid[i, j] = np.nan if score is None else score
        on_stay()
    return grid


def evaluate(
    stays: Sequence[Stay],
    model: CohortModel,
    scores: Mapping[RecordId, Assessment] | None = None,
    on_stay: Callable[[], None] = lambda: None,
    reference: CohortModel | None = None,
) -> tuple[dict[str, Any], list[Prediction], Array]:
    """Figures, rows at 48 hours, and log-odds by hour.

    `scores` (by record id) are judged instead of the model's own, for example those that the
    running system gave; the curve over hours is the model's in any case. `reference` is another
    model (NEWS2) to compare with on the same patients.
    """
    scorer = Scorer(model, COHORT)
    if scores is None:
        rows = final(stays, scorer)
    else:
        rows = [predicted(s, scores[s.record_id]) for s in stays if s.record_id in scores]
    grid = hourly(stays, scorer, on_stay)
    known = {s.record_id: s for s in stays}
    labels = np.array([s.label for s in stays], dtype=np.float64)
    probabilities = 1 / (1 + np.exp(-grid))
    clear_at = model.rule.clear / model.rule.fire
    resamples = Resamples(len(stays))
    standing = at_the_end(stays, rows)
    rule, rule_sides = alarms(stays, grid, model.rule, resamples)
    figures = summary(rows)
    figures |= {
        "risk": model.risk,
        "model": model.digest,
        "hour": AT_HOUR,
        **parts(rows, [scorer.trained_on(known[r.id]) for r in rows], _part),
        "resamples": {"all": REPEATS, "by_hour_and_subgroups": FEWER},
        "abstained_deaths": _deaths_by_reason(rows),
        "ece_by_chance": metrics.rounded(metrics.ece_by_chance(arrays(rows)[2])),
        "intervals": _own_intervals(standing, resamples) | {"alarms": rule_sides},
        "hours": by_hour(stays, grid, resamples),
        **subgroups(rows, known, resamples),
        "alarms": rule,
        "decision_curve": decision_curve(standing, resamples),
        "thresholds": at_thresholds(
            labels, probabilities, [s.died_on_day for s in stays], clear_at, resamples
        ),
    }
    if reference is not None:
        figures["reference"] = compared(stays, rows, Scorer(reference, COHORT), resamples)
    return figures, rows, grid


def _part(rows: Sequence[Prediction]) -> dict[str, Any]:
    """The figures of a part, as far as its outcomes allow."""
    labels = arrays(rows)[0]
    if 0 < labels.sum() < len(labels):
        return summary(rows)
    return {"patients": len(rows), "scored": len(labels)}


def at_the_end(stays: Sequence[Stay], rows: Iterable[Prediction]) -> Hours:
    """The rows that have a score, by the patient's place among the stays."""
    place = {s.record_id: i for i, s in enumerate(stays)}
    scored = [r for r in rows if r.abstained is None]
    labels, log_odds, _ = arrays(scored)
    return Hours(np.array([place[r.id] for r in scored], dtype=np.int64), labels, log_odds)


def _own_intervals(standing: Hours, resamples: Resamples) -> dict[str, Any]:
    """Of the figures of `summary` that are plain numbers."""
    found = intervals(standing, resamples)
    return {name: found[name] for name in ("calibration_intercept", "ece")}


def _deaths_by_reason(rows: Sequence[Prediction]) -> dict[str, int]:
    reasons = sorted({r.abstained for r in rows if r.abstained})
    return {a: sum(r.label for r in rows if r.abstained == a) for a in reasons}


def compared(
    stays: Sequence[Stay],
    rows: Sequence[Prediction],
    reference: CrossFitted,
    resamples: Resamples,
) -> dict[str, Any]:
    """A reference's figures at 48 hours, and the difference, all on patients that both score."""
    theirs = {r.id: r for r in final(stays, reference)}
    mine = [r for r in rows if r.abstained is None and theirs[r.id].abstained is None]
    own = at_the_end(stays, mine)
    other = at_the_end(stays, [theirs[r.id] for r in mine])
    curves = [net_benefit(h, DECISIONS, resamples) for h in (own, other)]
    return {
        "risk": reference.risk,
        "scored": len(mine),
        "auroc": metrics.bootstrap(metrics.auroc, *other[1:]).as_dict(),
        "auprc": metrics.bootstrap(metrics.auprc, *other[1:]).as_dict(),
        "decision_curve": curve_rows(
            DECISIONS,
            {"own": curves[0], "net_benefit": curves[1], "difference": curves[0] - curves[1]},
        ),
        "auroc_difference": metrics.paired(metrics.auroc, *own[1:], other.scores).as_dict(),
        "auprc_difference": metrics.paired(metrics.auprc, *own[1:], other.scores).as_dict(),
    }


def arrays(rows: Iterable[Prediction]) -> tuple[Array, Array, Array]:
    """Labels, log-odds, probabilities of the rows that have a score."""
    scored = [(r.label, r.log_odds, r.probability) for r in rows if r.abstained is None]
    table = np.array(scored, dtype=np.float64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def summary(rows: Sequence[Prediction]) -> dict[str, Any]:
    """The figures of one set of rows."""
    labels, log_odds, probabilities = arrays(rows)
    reasons = sorted({r.abstained for r in rows if r.abstained})
    _, intercept = metrics.calibration_line(labels, log_odds)
    return {
        "patients": len(rows),
        "scored": len(labels),
        "deaths_scored": int(labels.sum()),
        "abstained": {a: sum(r.abstained == a for r in rows) for a in reasons},
        "auroc": metrics.bootstrap(metrics.auroc, labels, log_odds).as_dict(),
        "auprc": metrics.bootstrap(metrics.auprc, labels, log_odds).as_dict(),
        "brier": metrics.bootstrap(metrics.brier, labels, probabilities).as_dict(),
        "calibration_slope": metrics.bootstrap(metrics.slope, labels, log_odds).as_dict(),
        "calibration_intercept": metrics.rounded(intercept),
        "ece": metrics.rounded(metrics.ece(labels, probabilities)),
    }


def by_hour(stays: Sequence[Stay], grid: Array, resamples: Resamples) -> list[dict[str, Any]]:
    """Discrimination and calibration of the scores that stand at each hour, with `intervals`."""
    labels = np.array([s.label for s in stays], dtype=np.float64)
    few = resamples.first(FEWER)
    found: list[dict[str, Any]] = []
    for j, hour in enumerate(HOURS):
        k = ~np.isnan(grid[:, j])
        y, z = labels[k], grid[k, j]
        if not 0 < y.sum() < len(y):
            continue
        drawn = intervals(Hours(np.flatnonzero(k), y, z), few, _GROUPS)
        found.append(
            {
                "hour": hour,
                "scored": int(k.sum()),
                "auroc": metrics.rounded(metrics.auroc(y, z)),
                "auprc": metrics.rounded(metrics.auprc(y, z)),
                "calibration_slope": metrics.rounded(metrics.slope(y, z)),
                "ece": metrics.rounded(metrics.ece(y, 1 / (1 + np.exp(-z)))),
                "intervals": {name: drawn[name] for name in _BY_HOUR},
            }
        )
    return found


def subgroups(
    rows: Sequence[Prediction], stays: Mapping[RecordId, Stay], resamples: Resamples
) -> dict[str, Any]:
    """Figures by age, sex and type of unit (the type is never an input of the model).

    `subgroups_too_few` lists those with fewer than `LEAST` deaths or survivors, without figures.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {"age": {}, "sex": {}, "icu_type": {}}
    too_few: list[dict[str, Any]] = []
    few, everybody = resamples.first(FEWER), list(stays.values())
    for (kind, name), members in sorted(_grouped(rows, stays).items()):
        labels, log_odds, probabilities = arrays(members)
        if min(labels.sum(), len(labels) - labels.sum()) < LEAST:
            counts = {"scored": len(labels), "deaths": int(labels.sum())}
            too_few.append({"kind": kind, "name": name} | counts)
            continue
        drawn = group(at_the_end(everybody, members), few).figures()
        found[kind][name] = {
            "scored": len(labels),
            "deaths": int(labels.sum()),
            "mean_probability": round(float(probabilities.mean()), 4),
            "auroc": estimate(metrics.auroc(labels, log_odds), drawn["auroc"][1:]).as_dict(),
            "calibration_slope": metrics.rounded(metrics.slope(labels, log_odds)),
            "intervals": {"calibration_slope": interval(drawn["calibration_slope"][1:])},
        }
    return {"subgroups": found, "subgroups_too_few": too_few}


def _grouped(
    rows: Sequence[Prediction], stays: Mapping[RecordId, Stay]
) -> dict[tuple[str, str], list[Prediction]]:
    groups: dict[tuple[str, str], list[Prediction]] = {}
    for row in rows:
        stay = stays[row.id]
        for kind, name in (
            ("age", _age_band(stay.age)),
            ("sex", stay.sex),
            ("icu_type", stay.icu_type or "unknown"),
        ):
            groups.setdefault((kind, name), []).append(row)
    return groups


def _age_band(age: float | None) -> str:
    if age is None:
        return "unknown"
    return next(
        (name for top, name in ((50, "under 50"), (65, "50-64"), (80, "65-79")) if age < top),
        "80 and over",
    )


def alarms(
    stays: Sequence[Stay], grid: Array, rule: AlertRule, resamples: Resamples
) -> tuple[dict[str, Any], dict[str, list[float | None]]]:
    """What the rule would do to the hourly scores: patients alarmed, episodes, and how right.

    And the intervals of these figures.
    """
    fire, clear = rule.fire, rule.clear
    died = np.array([s.label for s in stays], dtype=np.float64)
    probabilities = 1 / (1 + np.exp(-grid))
    highest = np.nanmax(np.c_[probabilities, np.zeros(len(grid))], axis=1)
    alarmed = (highest >= fire).astype(np.float64)
    started = beginnings(burning(probabilities, fire, clear)).sum(1)
    hours = np.sum(~np.isnan(grid), axis=1)
    parts = np.c_[np.ones(len(died)), alarmed, died, alarmed * died, started, hours]
    sums = np.vstack([parts.sum(0), resamples.sums(parts)])
    everybody, called, deaths, hits, episodes, in_all = sums.T
    survived = everybody - deaths
    found = {
        "patients_alarmed": ratio(called, everybody),
        "episodes_per_patient_day": ratio(24 * episodes, in_all),
        "positive_predictive_value": ratio(hits, called),
        "sensitivity": ratio(hits, deaths),
        "specificity": ratio(survived - (called - hits), survived),
    }
    values = {name: metrics.rounded(float(drawn[0])) for name, drawn in found.items()}
    out_of = {"patients_alarmed": everybody, "positive_predictive_value": called}
    out_of |= {"sensitivity": deaths, "specificity": survived}
    sides = {name: interval(drawn[1:]) for name, drawn in found.items()} | {
        name: share_interval(float(found[name][0]), float(n[0]), found[name][1:])
        for name, n in out_of.items()
    }
    return {"fire": fire, "clear": clear, **values}, sides


def write_predictions(rows: Iterable[Prediction], file: Path) -> None:
    """predictions.csv; an abstention leaves the numbers empty."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            values = [getattr(row, name) for name in COLUMNS]
            writer.writerow(["" if v is None else v for v in values])


def write_hourly(stays: Sequence[Stay], grid: Array, file: Path) -> None:
    """hourly.csv, for `tocsin backtest`: each patient's probability at each full hour."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("id", "as_of", "probability", "label", "age", "sex", "icu_type"))
        for stay, row in zip(stays, grid, strict=True):
            about = (stay.label, _age_band(stay.age), stay.sex, stay.icu_type or "unknown")
            for hour, log_odds in zip(HOURS, row, strict=True):
                if not np.isnan(log_odds):
                    writer.writerow((stay.record_id, hour, probability_of(log_odds), *about))
