"""Plots and a page for an evaluation of one score a patient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from models import metrics
from models.clinical_use import WARNING_H
from models.evaluation import Prediction, arrays
from models.metrics import Array
from models.training.apart import about_the_cohort, scored_by
from models.training.page import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    drawn,
    interval,
    number,
    reference_lines,
    section,
    table,
    write,
)


def plot(figures: dict[str, Any], rows: list[Prediction]) -> bytes:
    """ROC, precision and recall, calibration, curves over hours, decisions, lead time, as a PNG."""
    labels, log_odds, probabilities = arrays(rows)

    def draw(axes: Any) -> None:
        _roc(axes[0, 0], labels, log_odds, figures)
        _precision_recall(axes[0, 1], labels, log_odds, figures)
        _calibration(axes[1, 0], labels, probabilities, figures)
        _hours(axes[1, 1], figures)
        _decisions(axes[2, 0], figures)
        _alarm_load(axes[2, 1], figures)

    return drawn(3, 2, draw)


def _label(name: str, estimate: dict[str, float | None]) -> str:
    return f"{name} {interval(estimate)}"


def _roc(axes: Any, labels: Array, scores: Array, figures: dict[str, Any]) -> None:
    axes.plot(*metrics.roc(labels, scores), color=BLUE)
    axes.plot([0, 1], [0, 1], ":", color=GREY)
    axes.set(
        xlabel="1 - specificity", ylabel="sensitivity", title=_label("AUROC", figures["auroc"])
    )


def _precision_recall(
    axes: Any,
    labels: Array,
    scores: Array,
    figures: dict[str, Any],
) -> None:
    precision, recall = metrics.precision_recall(labels, scores)
    axes.plot(recall, precision, color=BLUE)
    axes.axhline(labels.mean(), linestyle=":", color=GREY)
    axes.set(xlabel="sensitivity", ylabel="positive predictive value", ylim=(0, 1.02))
    axes.set_title(_label("AUPRC", figures["auprc"]))


def _calibration(
    axes: Any,
    labels: Array,
    probabilities: Array,
    figures: dict[str, Any],
) -> None:
    points = np.array([(p, o, n) for p, o, n in metrics.calibration_bins(labels, probabilities)])
    error = 1.96 * np.sqrt(points[:, 1] * (1 - points[:, 1]) / points[:, 2])
    axes.errorbar(points[:, 0], points[:, 1], error, fmt="o", color=BLUE, capsize=3)
    axes.plot([0, 1], [0, 1], ":", color=GREY)
    top = float(points[:, :2].max()) * 1.15
    axes.set(xlabel="predicted", ylabel="observed", xlim=(0, top), ylim=(0, top))
    axes.set_title(_label("Calibration slope", figures["calibration_slope"]))


def _hours(axes: Any, figures: dict[str, Any]) -> None:
    hours = [h["hour"] for h in figures["hours"]]
    for name, color in (
        ("auroc", BLUE),
        ("auprc", ORANGE),
        ("calibration_slope", GREEN),
    ):
        axes.plot(
            hours, [h[name] for h in figures["hours"]], label=name.replace("_", " "), color=color
        )
    axes.set(xlabel="hours since admission", ylim=(0, 1.4), title="Scores standing at each hour")
    axes.legend(loc="lower right")


def _decisions(axes: Any, figures: dict[str, Any]) -> None:
    curve = figures["decision_curve"]
    at = [p["threshold"] for p in curve]
    axes.plot(at, [p["net_benefit"] for p in curve], label=figures["risk"], color=BLUE)
    axes.plot(at, [p["treat_all"] for p in curve], ":", label="everybody", color=GREY)
    axes.axhline(0, color=GREY, linewidth=0.8)
    reference = figures.get("reference")
    if reference:
        other = [p["net_benefit"] for p in reference["decision_curve"]]
        axes.plot(at, other, label=reference["risk"], color=ORANGE)
    top = max(p["net_benefit"] for p in curve)
    axes.set(xlabel="threshold", ylabel="net benefit", ylim=(-0.02, 1.2 * max(top, 0.01)))
    axes.set_title("Decision curve")
    axes.legend(loc="upper right")


def _alarm_load(axes: Any, figures: dict[str, Any]) -> None:
    rows = [r for r in figures["thresholds"] if r["sensitivity"] is not None]
    load = [r["alarms_per_patient_day"] for r in rows]
    axes.plot(load, [r["sensitivity"] for r in rows], "o-", color=BLUE)
    for row, x in zip(rows, load, strict=True):
        axes.annotate(f"{row['threshold']:g}", (x, row["sensitivity"]), fontsize=8)
    axes.set(xlabel="alarms a patient-day", ylabel="share of deaths alarmed", ylim=(0, 1))
    axes.set_title("Alarms within 48 hours, by threshold")


def write_report(folder: Path, figures: dict[str, Any], rows: list[Prediction]) -> None:
    """report.html and report.png."""
    kind = scored_by(figures)
    write(
        folder,
        f"{figures['risk'].capitalize()}: {figures['scored']} patients, {kind}",
        f"Model {figures['model']}. {figures['deaths_scored']} deaths. Not scored: "
        f"{figures['patients'] - figures['scored']}. Intervals: 95 %, resampled patients.",
        [*about_the_cohort(figures), table(_headline(figures)), table(reference_lines(figures))],
        plot(figures, rows),
        "ROC, precision and recall, calibration, figures by hour, decision curve, alarms",
        [
            section("Subgroups at 48 hours", subgroup_lines(figures)),
            section("Alarms and lead time by threshold", threshold_lines(figures)),
            section(
                "Alarms of the shipped rule", [[k, f"{v}"] for k, v in figures["alarms"].items()]
            ),
        ],
    )


def _headline(figures: dict[str, Any]) -> list[list[str]]:
    names = ("auroc", "auprc", "brier", "calibration_slope")
    lines = [[n, interval(figures[n])] for n in names]
    return [*lines, *([n, number(figures[n], 4)] for n in ("calibration_intercept", "ece"))]


def threshold_lines(figures: dict[str, Any]) -> list[list[str]]:
    """A header and one line for each threshold."""
    columns = (
        ("threshold", "threshold", 2),
        ("patients alarmed", "patients_alarmed", 3),
        ("sensitivity", "sensitivity", 3),
        ("PPV", "positive_predictive_value", 3),
        ("alarms a patient-day", "alarms_per_patient_day", 3),
        ("deaths warned of", "deaths_warned", 3),
        ("since hour, median", "warned_since_h", 0),
        ("to the day of death, median h", "lead_time_h", 0),
    )
    lines = [[title for title, _, _ in columns]]
    return lines + [
        [number(row[key], digits) for _, key, digits in columns] for row in figures["thresholds"]
    ]


LEAD_TIME = f"""A death was warned of if an alarm was on within the last {WARNING_H} hours of the
first 48 (or before the end of the day of death, if that is earlier); an alarm that had cleared by
then does not count. Lead time is from the beginning of that alarm to the end of the day of death:
the set gives days, not hours."""


def subgroup_lines(figures: dict[str, Any]) -> list[list[str]]:
    """A header and one line for each subgroup."""
    lines = [["", "", "scored", "deaths", "AUROC (95 %)", "slope"]]
    for kind, groups in figures["subgroups"].items():
        for name, g in groups.items():
            auroc, slope = interval(g["auroc"]), number(g["calibration_slope"], 2)
            lines.append([kind, name, str(g["scored"]), str(g["deaths"]), auroc, slope])
    return lines
