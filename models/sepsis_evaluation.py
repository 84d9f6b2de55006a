"""Scores of a cohort hour by hour, and what they are worth.

At each hour of a patient's record the model is asked anew. Patients that the bundle was trained on
are scored by the member that never saw them (cross-fitted), all others by the whole ensemble. The
threshold of the utility is chosen on other patients: for a training patient on the other folds, for
others it is the one that the bundle ships with.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import hourly_metrics, metrics, utility
from models.clinical_use import beginnings, burning, curve_rows, decision_curve
from models.ensemble import FOLDS, Scorer
from models.grouped_metrics import group, intervals
from models.hourly_metrics import Hours
from models.metrics import Array
from models.resampling import Resamples, estimate, interval, ratio, share_interval
from models.risk import Assessment, RiskModel, probability_of
from models.sepsis import SepsisModel
from models.training.apart import parts
from models.training.sepsis_cohort import COHORT, SepsisStay

COLUMNS = ("id", "as_of", "probability", "log_odds", "abstained", "label", "ehr")
# Hours in intensive care, in spans.
SPANS = ((1, 6), (7, 12), (13, 24), (25, 48), (49, 96), (97, 1_000))
THRESHOLDS = tuple(np.geomspace(0.002, 0.3, 60).tolist())  # of the curves
LEAST = 10  # patients with sepsis in a subgroup of which figures are given
_PAIRED_REPEATS = 100
CHECKED = 500  # patients whose figures a test recomputes
_LOOK_BACK_H = 24  # an alarm this long before the onset is not taken for a warning of it


@dataclass(frozen=True, slots=True)
class Scored:
    """One patient's hours."""

    record_id: str
    fold: int | None  # that may score them; None: not a training patient
    hours: tuple[int, ...]
    labels: tuple[int, ...]
    log_odds: Array  # NaN where the model abstains
    abstained: dict[int, str]  # index of the hour → reason
    group: dict[str, str]  # what subgroups they belong to
    reference: Array | None = None  # log-odds of another risk's model, NaN where it abstains


def score(
    stay: SepsisStay, scorer: Scorer[SepsisModel], reference: RiskModel | None = None
) -> Scored:
    """Ask at every hour; `reference` too."""
    model = scorer.model(stay)
    moments = stay.moments()
    log_odds = model.log_odds(moments)
    silent = [i for i, z in enumerate(log_odds) if z is None]
    reasons = [a.abstained or "" for a in model.assess([moments[i] for i in silent])]
    return Scored(
        stay.record_id,
        scorer.member(stay),
        stay.hours,
        stay.labels,
        _numbers(log_odds),
        dict(zip(silent, reasons, strict=True)),
        groups_of(stay),
        None if reference is None else _numbers(reference.log_odds(moments)),
    )


def _numbers(log_odds: Sequence[float | None]) -> Array:
    return np.array([math.nan if z is None else z for z in log_odds])


def score_all(
    stays: Iterable[SepsisStay],
    model: SepsisModel,
    on_stay: Callable[[], None] = lambda: None,
    reference: RiskModel | None = None,
) -> list[Scored]:
    """Ask for everybody; a patient's record is not kept."""
    scorer = Scorer(model, COHORT)
    found: list[Scored] = []
    for stay in stays:
        found.append(score(stay, scorer, reference))
        on_stay()
    return found


def heard(scored: Sequence[Scored], answers: Mapping[str, Assessment]) -> list[Scored]:
    """The last hour of each patient alone, as somebody else (the running system) scored it."""
    found = []
    for one in scored:
        answer = answers.get(one.record_id)
        if answer is None:
            continue
        z = math.nan if answer.log_odds is None else answer.log_odds
        reasons = {0: answer.abstained} if answer.abstained else {}
        found.append(
            Scored(
                one.record_id, one.fold, one.hours[-1:], one.labels[-1:], np.array([z]), reasons,
                one.group,
            )
        )  # fmt: skip
    return found


def compared(rows: Sequence[Scored], scored: Sequence[Scored]) -> dict[str, Any]:
    """How far last hours from elsewhere are from our own, in log-odds."""
    own = {one.record_id: float(one.log_odds[-1]) for one in scored}
    far = np.array([float(one.log_odds[-1]) - own[one.record_id] for one in rows])
    alone = sum(math.isnan(one.log_odds[-1]) != math.isnan(own[one.record_id]) for one in rows)
    return {
        "patients": len(rows),
        "largest_difference": round(float(np.nan_to_num(np.abs(far)).max(initial=0.0)), 6),
        "abstained_on_one_side": alone,
    }


def groups_of(stay: SepsisStay) -> dict[str, str]:
    """Age, sex, unit and the way into intensive care."""
    bands = ((50, "under 50"), (65, "50-64"), (80, "65-79"), (math.inf, "80 and over"))
    age = "unknown" if stay.age is None else next(n for top, n in bands if stay.age < top)
    before = "at once" if stay.hospital_h < 1 else "from the ward"
    return {"age": age, "sex": stay.sex, "unit": stay.unit or "unknown", "admission": before}


# ── figures ────────────────────────────────────────────────────────────────────────────────────


def figures(scored: Sequence[Scored], model: SepsisModel, reference: str = "") -> dict[str, Any]:
    """All figures of a cohort; `reference` names the risk that `Scored.reference` is of."""
    hours = to_hours(scored)
    patients = len(scored)
    resamples = Resamples(patients, hourly_metrics.REPEATS)
    probabilities = 1 / (1 + np.exp(-hours.scores))
    reasons = [reason for one in scored for reason in one.abstained.values()]
    threshold = float(model.bundle.answers["utility_log_odds"])
    nested = nested_thresholds(scored, threshold)
    beside = {"reference": compared_with(scored, reference)} if reference else {}
    return beside | {
        "risk": model.risk,
        "model": model.digest,
        "patients": patients,
        "patients_with_sepsis": sum(1 in one.labels for one in scored),
        **apart(scored, nested),
        "hours": sum(len(one.hours) for one in scored),
        "scored": len(hours.labels),
        "positive_scored": int(hours.labels.sum()),
        "abstained": {r: reasons.count(r) for r in sorted(set(reasons))},
        "abstained_positive": _positive_by_reason(scored),
        **{k: v.as_dict() for k, v in hourly_metrics.ranking(hours, patients).items()},
        "all_hours": all_hours(scored, model.baseline),
        "first_patients": all_hours(scored[:CHECKED], model.baseline),
        "calibration_slope": hourly_metrics.slope(hours, patients).as_dict(),
        "calibration_intercept": metrics.rounded(
            metrics.calibration_line(hours.labels, hours.scores)[1]
        ),
        "ece": metrics.rounded(metrics.ece(hours.labels, probabilities)),
        "intervals": _own_intervals(hours, resamples),
        "resamples": {"all": len(resamples.times), "reference": _PAIRED_REPEATS},
        "utility": utility_of(scored, nested).as_dict(),
        "utility_thresholds": sorted({round(probability_of(t), 4) for t in nested}),
        "utility_by_threshold": utility_by_threshold(scored, resamples),
        "decision_curve": decision_curve(hours, resamples, THRESHOLDS),
        "over_time": over_time(scored, resamples),
        **subgroups(scored, nested, resamples),
        "alarms": [
            alarms(scored, fire, clear, resamples)
            for fire, clear in (
                (model.rule.fire, model.rule.clear),
                (model.rule.critical, model.rule.clear),
                (probability_of(threshold), 0.75 * probability_of(threshold)),
            )
        ],
    }


def apart(scored: Sequence[Scored], thresholds: Sequence[float]) -> dict[str, Any]:
    """Training patients and others one by one: `models.training.apart`."""
    rows = list(zip(scored, thresholds, strict=True))
    return parts(rows, [one.fold is not None for one in scored], _part)


def _part(rows: Sequence[tuple[Scored, float]]) -> dict[str, Any]:
    scored = [one for one, _ in rows]
    hours = to_hours(scored)
    found = {"patients": len(scored), "scored": len(hours.labels)}
    if not 0 < hours.labels.sum() < len(hours.labels):
        return found
    return found | {
        **{k: v.as_dict() for k, v in hourly_metrics.ranking(hours, len(scored)).items()},
        "calibration_slope": hourly_metrics.slope(hours, len(scored)).as_dict(),
        "ece": metrics.rounded(metrics.ece(hours.labels, 1 / (1 + np.exp(-hours.scores)))),
        "utility": utility_of(scored, [t for _, t in rows]).as_dict(),
    }


def to_hours(scored: Sequence[Scored]) -> Hours:
    """The rows that have a score."""
    if not scored:
        return Hours(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    patient = np.repeat(np.arange(len(scored)), [len(one.hours) for one in scored])
    labels = np.concatenate([np.array(one.labels, dtype=np.float64) for one in scored])
    scores = np.concatenate([one.log_odds for one in scored])
    known = ~np.isnan(scores)
    return Hours(patient[known], labels[known], scores[known])


def _positive_by_reason(scored: Sequence[Scored]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in scored:
        for i, reason in one.abstained.items():
            found[reason] = found.get(reason, 0) + one.labels[i]
    return dict(sorted(found.items()))


def _own_intervals(hours: Hours, resamples: Resamples) -> dict[str, Any]:
    """Of the figures of all hours that are plain numbers."""
    found = intervals(hours, resamples)
    return {name: found[name] for name in ("calibration_intercept", "ece")}


def compared_with(scored: Sequence[Scored], risk: str) -> dict[str, Any]:
    """A reference's ranking of the hours, and the difference on hours that both score."""
    own = np.concatenate([one.log_odds for one in scored])
    other = np.concatenate([np.zeros(0) if s.reference is None else s.reference for s in scored])
    patient = np.repeat(np.arange(len(scored)), [len(one.hours) for one in scored])
    labels = np.concatenate([np.array(one.labels, dtype=np.float64) for one in scored])
    both = ~np.isnan(own) & ~np.isnan(other)
    hours = Hours(patient[both], labels[both], own[both])
    theirs = hours._replace(scores=other[both])
    found = hourly_metrics.ranking(theirs, len(scored), _PAIRED_REPEATS)
    differences = hourly_metrics.difference(hours, theirs, len(scored), _PAIRED_REPEATS)
    return {
        "risk": risk,
        "scored": int(both.sum()),
        **{k: v.as_dict() for k, v in found.items()},
        **{f"{k}_difference": v.as_dict() for k, v in differences.items()},
    }


def all_hours(scored: Sequence[Scored], baseline: float) -> dict[str, float | None]:
    """Discrimination with abstentions at the baseline, as who must answer at every hour would."""
    labels = np.concatenate([np.array(one.labels, dtype=np.float64) for one in scored])
    scores = np.nan_to_num(np.concatenate([one.log_odds for one in scored]), nan=baseline)
    return {
        "auroc": metrics.rounded(metrics.auroc(labels, scores)),
        "auprc": metrics.rounded(metrics.auprc(labels, scores)),
    }


def nested_thresholds(scored: Sequence[Scored], shipped: float) -> list[float]:
    """For each patient, the log-odds from which on alarms were worth most on other patients."""
    chosen: dict[int | None, float] = {None: shipped}
    for fold in range(FOLDS):
        others = [one for one in scored if one.fold is not None and one.fold != fold]
        if any(1 in one.labels for one in others):
            chosen[fold] = best_threshold(others)
    return [chosen.get(one.fold, shipped) for one in scored]


def best_threshold(scored: Sequence[Scored]) -> float:
    """The log-odds from which on alarms are worth most."""
    known = utility.gains([one.labels for one in scored])
    scores = np.concatenate([one.log_odds for one in scored])
    return utility.best_threshold(known, np.nan_to_num(scores, nan=-np.inf))


def utility_of(scored: Sequence[Scored], thresholds: Sequence[float]) -> metrics.Estimate:
    """Normalised utility of an alarm at each hour from a patient's threshold on."""
    known = [utility.gains([one.labels]) for one in scored]
    raised = [one.log_odds >= t for one, t in zip(scored, thresholds, strict=True)]
    return hourly_metrics.utility_estimate(known, raised)


def utility_by_threshold(scored: Sequence[Scored], resamples: Resamples) -> list[dict[str, Any]]:
    """Normalised utility of an alarm at each hour from a threshold on, which all patients share."""
    known = [utility.gains([one.labels]) for one in scored]
    patient = np.repeat(np.arange(len(scored)), [len(one.hours) for one in scored])
    gain, best = np.concatenate([g.gain for g in known]), np.array([g.best for g in known])
    z = np.nan_to_num(np.concatenate([one.log_odds for one in scored]), nan=-np.inf)
    got = np.stack(
        [
            np.bincount(patient, gain * (z >= math.log(t / (1 - t))), len(scored))
            for t in THRESHOLDS
        ],
        axis=1,
    ).astype(np.float64)
    total, most = (np.vstack([v.sum(0), resamples.sums(v)]) for v in (got, best[:, None]))
    return curve_rows(THRESHOLDS, {"utility": ratio(total, np.broadcast_to(most, total.shape))})


def over_time(scored: Sequence[Scored], resamples: Resamples) -> list[dict[str, Any]]:
    """Discrimination and calibration by the hour in intensive care, with `intervals`."""
    hour = np.concatenate([np.array(one.hours) for one in scored])
    z = np.concatenate([one.log_odds for one in scored])
    y = np.concatenate([np.array(one.labels, dtype=np.float64) for one in scored])
    patient = np.repeat(np.arange(len(scored)), [len(one.hours) for one in scored])
    found: list[dict[str, Any]] = []
    for first, last in SPANS:
        k = (hour >= first) & (hour <= last) & ~np.isnan(z)
        if not 0 < y[k].sum() < k.sum():
            continue
        drawn = intervals(Hours(patient[k], y[k], z[k]), resamples)
        found.append(
            {
                "hours": f"{first}-{last}" if last < SPANS[-1][1] else f"{first} and later",
                "scored": int(k.sum()),
                "patients": len(np.unique(patient[k])),
                "patients_positive": len(np.unique(patient[k & (y == 1)])),
                "positive": round(float(y[k].mean()), 4),
                "auroc": metrics.rounded(metrics.auroc(y[k], z[k])),
                "auprc": metrics.rounded(metrics.auprc(y[k], z[k])),
                "calibration_slope": metrics.rounded(metrics.slope(y[k], z[k])),
                "ece": metrics.rounded(metrics.ece(y[k], 1 / (1 + np.exp(-z[k])))),
                "intervals": {n: drawn[n] for n in ("auroc", "auprc", "calibration_slope", "ece")},
            }
        )
    return found


def subgroups(
    scored: Sequence[Scored], thresholds: Sequence[float], resamples: Resamples
) -> dict[str, Any]:
    """Figures by age, sex, unit and admission.

    `subgroups_too_few` lists those with fewer than `LEAST` patients with sepsis, without figures.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    too_few: list[dict[str, Any]] = []
    members: dict[tuple[str, str], list[int]] = {}
    for i, one in enumerate(scored):
        for item in one.group.items():
            members.setdefault(item, []).append(i)
    for (kind, name), at in sorted(members.items()):
        part = [scored[i] for i in at]
        septic = sum(1 in one.labels for one in part)
        counts = {"patients": len(part), "with_sepsis": septic}
        if septic < LEAST:
            too_few.append({"kind": kind, "name": name} | counts)
            continue
        hours = to_hours(part)
        drawn = group(hours, resamples.among(at)).figures()
        slope = metrics.rounded(metrics.slope(hours.labels, hours.scores))
        found.setdefault(kind, {})[name] = counts | {
            "auroc": estimate(
                metrics.auroc(hours.labels, hours.scores), drawn["auroc"][1:]
            ).as_dict(),
            "calibration_slope": slope,
            "utility": utility_of(part, [thresholds[i] for i in at]).as_dict(),
            "intervals": {"calibration_slope": interval(drawn["calibration_slope"][1:])},
        }
    return {"subgroups": found, "subgroups_too_few": too_few}


# ── alarms of a rule ───────────────────────────────────────────────────────────────────────────


def alarms(
    scored: Sequence[Scored], fire: float, clear: float, resamples: Resamples | None = None
) -> dict[str, Any]:
    """What a rule would do hour by hour: how often it alarms, how right and how early it is.

    With resamples there are `intervals` beside the figures.
    """
    on = burning(_grid(scored), fire, clear)
    did = np.array(
        [_of_patient(*of) for of in zip(scored, on, beginnings(on), strict=True)], dtype=np.float64
    ).reshape(-1, 6)
    value = _of_rule(did, np.ones((1, len(did))), lambda leads: _median(leads)[None])
    found: dict[str, Any] = {"fire": round(fire, 4), "clear": round(clear, 4)}
    found |= {name: _numbers_of(v[0]) for name, v in value.items()}
    if resamples is not None:
        drawn = _of_rule(did, resamples.times, resamples.medians)
        found["intervals"] = {name: _sides_of(v) for name, v in drawn.items()} | {
            name: share_interval(float(value[name][0]), n, drawn[name])
            for name, n in _out_of(did).items()
        }
    return found


_EARLY_H = (0, 3, 6, 12)


def _of_patient(
    one: Scored, on: NDArray[np.bool_], began: NDArray[np.bool_]
) -> tuple[float, float, float, float, float, float]:
    """Hours, alarms, whether septic, whether alarmed without sepsis, alarms before an onset, lead
    time (NaN: nothing warned)."""
    hours = len(one.hours)
    starts = np.flatnonzero(began[:hours])
    onset = utility.onset(one.labels)
    if onset is None:
        return hours, len(starts), 0.0, float(len(starts) > 0), 0.0, math.nan
    lead = _lead(on[:hours], starts, onset)
    right = sum(onset - _LOOK_BACK_H <= s <= onset + 3 for s in starts.tolist())
    return hours, len(starts), 1.0, 0.0, float(right), math.nan if lead is None else lead


def _of_rule(did: Array, times: Array, median: Callable[[Array], Array]) -> dict[str, Array]:
    """(patients, 6) of `_of_patient`, (R, patients) how often each was drawn → figures (R, …)."""
    leads = did[:, 5]
    early = np.stack([leads >= h for h in _EARLY_H], axis=1)
    parts = np.c_[np.ones(len(did)), did[:, :5], ~np.isnan(leads), early]
    patients, hours, episodes, septic, false, right, warned = (times @ parts[:, :7]).T
    in_time = times @ parts[:, 7:]
    return {
        "episodes_per_patient_day": ratio(24 * episodes, hours),
        "patients_without_sepsis_alarmed": ratio(false, patients - septic),
        "sensitivity": ratio(warned, septic),
        "sensitivity_0_3_6_12_h_before": ratio(
            in_time, np.broadcast_to(septic[:, None], in_time.shape)
        ),
        "episodes_before_sepsis": ratio(right, episodes),
        "median_lead_time_h": median(leads),
    }


def _out_of(did: Array) -> dict[str, float]:
    """How many patients, or alarms, a share is of."""
    septic = float(did[:, 2].sum())
    return {
        "patients_without_sepsis_alarmed": len(did) - septic,
        "sensitivity": septic,
        "episodes_before_sepsis": float(did[:, 1].sum()),
    }


def _median(leads: Array) -> Array:
    known = leads[~np.isnan(leads)]
    return np.asarray(np.median(known) if len(known) else np.nan)


def _numbers_of(value: Any) -> Any:
    """For JSON: one figure, or a list."""
    if np.ndim(value):
        return [metrics.rounded(float(v)) for v in value]
    return metrics.rounded(float(value))


def _sides_of(drawn: Array) -> Any:
    """For JSON: one interval, or a list of them."""
    return interval(drawn) if drawn.ndim == 1 else [interval(column) for column in drawn.T]


def _grid(scored: Sequence[Scored]) -> Array:
    """(patients, hours) probabilities, NaN where there is none."""
    found = np.full((len(scored), max((len(one.hours) for one in scored), default=0)), math.nan)
    for row, one in zip(found, scored, strict=True):
        row[: len(one.hours)] = 1 / (1 + np.exp(-one.log_odds))
    return found


def _lead(on: NDArray[np.bool_], starts: NDArray[np.int64], onset: float) -> float | None:
    """Hours from the first alarm that warns of the onset to the onset; None: none did.

    Negative when it came later, up to three hours. An alarm that had been on for longer than a day
    counts for a day.
    """
    first = max(0, int(onset) - _LOOK_BACK_H)
    last = int(onset) + 3
    if first < len(on) and on[first]:
        return onset - first
    warning = [s for s in starts.tolist() if first <= s <= last]
    return onset - warning[0] if warning else None


def write_predictions(scored: Iterable[Scored], baseline: float, file: Path) -> None:
    """predictions.csv; `as_of` is the hour in intensive care; an abstention leaves cells empty."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for one in scored:
            rows = zip(one.hours, one.log_odds.tolist(), one.labels, strict=True)
            for i, (hour, z, label) in enumerate(rows):
                if math.isnan(z):
                    writer.writerow([one.record_id, hour, "", "", one.abstained[i], label, ""])
                    continue
                llr = round(z - baseline, 6)
                writer.writerow([one.record_id, hour, probability_of(z), z, "", label, llr])
