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
from numpy.typing import NDArray

from connectors.cohorts.tables import RecordId
from models import metrics
from models.clinical_use import at_thresholds, beginnings, burning, decision_curve
from models.ensemble import Ensemble, Scorer
from models.metrics import Array
from models.resampling import Resamples
from models.risk import Assessment, RiskModel, probability_of
from models.training.apart import parts
from models.training.cohort import ADMITTED_AT, COHORT, HOUR_S, Stay

AT_HOUR = 48
HOURS = tuple(range(1, AT_HOUR + 1))
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
    figures = summary(rows)
    figures |= {
        "risk": model.risk,
        "model": model.digest,
        "hour": AT_HOUR,
        **parts(rows, [scorer.trained_on(known[r.id]) for r in rows], _part),
        "hours": by_hour(stays, grid),
        "subgroups": subgroups(rows, known),
        "alarms": alarms(stays, grid, model.rule.fire, model.rule.clear),
        "decision_curve": decision_curve(*arrays(rows)[::2]),
        "thresholds": at_thresholds(
            labels, probabilities, [s.died_on_day for s in stays], clear_at, resamples
        ),
    }
    if reference is not None:
        figures["reference"] = compared(stays, rows, Scorer(reference, COHORT))
    return figures, rows, grid


def _part(rows: Sequence[Prediction]) -> dict[str, Any]:
    """The figures of a part, as far as its outcomes allow."""
    labels = arrays(rows)[0]
    if 0 < labels.sum() < len(labels):
        return summary(rows)
    return {"patients": len(rows), "scored": len(labels)}


def compared(
    stays: Sequence[Stay], rows: Sequence[Prediction], reference: CrossFitted
) -> dict[str, Any]:
    """A reference's figures at 48 hours, and the difference on patients that both score."""
    theirs = {r.id: r for r in final(stays, reference)}
    pairs = [(r, theirs[r.id]) for r in rows if r.abstained is None]
    pairs = [(own, other) for own, other in pairs if other.abstained is None]
    labels, own, _ = arrays([a for a, _ in pairs])
    _, other, probabilities = arrays([b for _, b in pairs])
    return {
        "risk": reference.risk,
        "scored": len(pairs),
        "auroc": metrics.bootstrap(metrics.auroc, labels, other).as_dict(),
        "auprc": metrics.bootstrap(metrics.auprc, labels, other).as_dict(),
        "decision_curve": decision_curve(labels, probabilities),
        "auroc_difference": metrics.paired(metrics.auroc, labels, own, other).as_dict(),
        "auprc_difference": metrics.paired(metrics.auprc, labels, own, other).as_dict(),
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


def by_hour(stays: Sequence[Stay], grid: Array) -> list[dict[str, float | None]]:
    """Discrimination and calibration of the scores that stand at each hour."""
    labels = np.array([s.label for s in stays], dtype=np.float64)
    found: list[dict[str, float | None]] = []
    for j, hour in enumerate(HOURS):
        k = ~np.isnan(grid[:, j])
        y, z = labels[k], grid[k, j]
        if not 0 < y.sum() < len(y):
            continue
        found.append(
            {
                "hour": hour,
                "scored": int(k.sum()),
                "auroc": metrics.rounded(metrics.auroc(y, z)),
                "auprc": metrics.rounded(metrics.auprc(y, z)),
                "calibration_slope": metrics.rounded(metrics.slope(y, z)),
                "ece": metrics.rounded(metrics.ece(y, 1 / (1 + np.exp(-z)))),
            }
        )
    return found


def subgroups(
    rows: Sequence[Prediction], stays: Mapping[RecordId, Stay]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Figures by age, sex and type of unit (the type is never an input of the model)."""
    found: dict[str, dict[str, dict[str, Any]]] = {"age": {}, "sex": {}, "icu_type": {}}
    groups: dict[tuple[str, str], list[Prediction]] = {}
    for row in rows:
        stay = stays[row.id]
        for kind, name in (
            ("age", _age_band(stay.age)),
            ("sex", stay.sex),
            ("icu_type", stay.icu_type or "unknown"),
        ):
            groups.setdefault((kind, name), []).append(row)
    for (kind, name), members in sorted(groups.items()):
        labels, log_odds, probabilities = arrays(members)
        if min(labels.sum(), len(labels) - labels.sum()) < 10:
            continue  # too few of one outcome for any figure
        found[kind][name] = {
            "scored": len(labels),
            "deaths": int(labels.sum()),
            "mean_probability": round(float(probabilities.mean()), 4),
            "auroc": metrics.bootstrap(metrics.auroc, labels, log_odds, 300).as_dict(),
            "calibration_slope": metrics.rounded(metrics.slope(labels, log_odds)),
        }
    return found


def _age_band(age: float | None) -> str:
    if age is None:
        return "unknown"
    return next(
        (name for top, name in ((50, "under 50"), (65, "50-64"), (80, "65-79")) if age < top),
        "80 and over",
    )


def alarms(
    stays: Sequence[Stay], grid: Array, fire: float, clear: float
) -> dict[str, float | None]:
    """What the rule would do to the hourly scores: patients alarmed, episodes, and how right."""
    labels = np.array([s.label for s in stays], dtype=np.float64)
    probabilities = 1 / (1 + np.exp(-grid))
    alarmed = np.nanmax(np.c_[probabilities, np.zeros(len(grid))], axis=1) >= fire
    started = beginnings(burning(probabilities, fire, clear))
    days = np.sum(~np.isnan(grid)) / 24
    return {
        "fire": fire,
        "clear": clear,
        "patients_alarmed": round(float(alarmed.mean()), 4),
        "episodes_per_patient_day": round(float(started.sum() / days), 4),
        "positive_predictive_value": metrics.rounded(_share(labels[alarmed])),
        "sensitivity": metrics.rounded(_share(alarmed[labels == 1])),
        "specificity": metrics.rounded(_share(~alarmed[labels == 0])),
    }


def _share(flags: Array | NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else float("nan")


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
