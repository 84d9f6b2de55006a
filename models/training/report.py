"""Plots and a page for an evaluation of one score a patient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.clinical_use import THRESHOLDS, WARNING_H
from models.evaluation import LEAST
from models.grouped_metrics import binned, calibration, group
from models.hourly_metrics import Hours
from models.resampling import Resamples
from models.training import plots as p
from models.training.apart import about_the_cohort, scored_by
from models.training.page import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    bounded,
    drawn,
    headed,
    interval,
    number,
    reference_lines,
    section,
    table,
    write,
)


def plots(figures: dict[str, Any], standing: Hours, resamples: Resamples) -> str:
    """ROC, precision and recall, calibration, curves over hours, decisions, alarms, as HTML."""
    rows = group(standing, resamples)

    def draw(axes: Any) -> None:
        p.roc(axes[0, 0], rows, figures)
        p.precision_recall(axes[0, 1], rows, figures)
        p.calibration(axes[1, 0], calibration(binned(standing, resamples)), figures)
        _decisions(axes[1, 1], figures)
        _ranking(axes[2, 0], figures)
        _slopes(axes[2, 1], figures)
        _alarm_load(axes[3, 0], figures)
        _warnings(axes[3, 1], figures)

    return drawn(4, 2, draw)


def _ranking(axes: Any, figures: dict[str, Any]) -> None:
    hours = np.array([h["hour"] for h in figures["hours"]])
    axes.set(xlabel="hours since admission", ylim=(0, 1), title="Ranking, at each hour")
    for name, color in (("auroc", BLUE), ("auprc", ORANGE)):
        p.series(axes, hours, figures["hours"], name, color, name.upper())
    axes.legend(loc="lower right")


def _slopes(axes: Any, figures: dict[str, Any]) -> None:
    hours = np.array([h["hour"] for h in figures["hours"]])
    axes.set(xlabel="hours since admission", title="Calibration slope, at each hour")
    p.series(axes, hours, figures["hours"], "calibration_slope", GREEN)
    axes.axhline(1, linestyle=":", color=GREY)
    axes.set_ylim(0, min(3.0, max(2.0, axes.get_ylim()[1])))


def _decisions(axes: Any, figures: dict[str, Any]) -> None:
    """With a reference: both on the patients whom both score."""
    other = figures.get("reference")
    axes.set_title(
        "Decision curve" + (f": {other['scored']} patients scored by both" if other else "")
    )
    p.everybody(axes, figures["decision_curve"], "everybody")
    if other:
        names = {"own": (figures["risk"], BLUE), "net_benefit": (other["risk"], ORANGE)}
        p.decisions(axes, other["decision_curve"], names)
    else:
        p.decisions(axes, figures["decision_curve"], {"net_benefit": (figures["risk"], BLUE)})
    axes.legend(loc="upper right")


def _alarm_load(axes: Any, figures: dict[str, Any]) -> None:
    rows = [r for r in figures["thresholds"] if r["deaths_warned"] is not None]
    p.load(axes, rows, "alarms_per_patient_day", "deaths_warned")
    axes.set(xlabel="alarms a patient-day", ylabel="share of deaths warned of", ylim=(0, 1.02))
    axes.set(xlim=(0, None), title="Deaths warned of and alarms, by threshold")


def _warnings(axes: Any, figures: dict[str, Any]) -> None:
    rows = figures["thresholds"]
    at = np.array([r["threshold"] for r in rows])
    axes.set(xlabel="threshold", ylim=(0, 1.02), title="Alarms within 48 hours")
    for key, name, color in (
        ("sensitivity", "deaths ever alarmed", BLUE),
        ("deaths_warned", "deaths warned of", GREEN),
        ("positive_predictive_value", "of those alarmed, died", ORANGE),
    ):
        p.series(axes, at, rows, key, color, name, "o-")
    axes.legend(loc="upper right")


def write_report(
    folder: Path, figures: dict[str, Any], standing: Hours, resamples: Resamples
) -> None:
    """report.html. `standing`: the rows that have a score, of the patients of `resamples`."""
    kind = scored_by(figures)
    draws = figures["resamples"]
    write(
        folder,
        f"{figures['risk'].capitalize()}: {figures['scored']} patients, {kind}",
        f"Model {figures['model']}. Scores that stand {figures['hour']} hours after admission. "
        f"{figures['deaths_scored']} deaths. Intervals and bands: 95 %, over patients drawn anew "
        f"with all their hours, the same {draws['all']:,} draws for every figure (by hour and of "
        f"subgroups the first {draws['by_hour_and_subgroups']} of them; those of the first "
        "table are drawn among the patients scored).",
        [*about_the_cohort(figures), table(_headline(figures)), headed(reference_lines(figures))],
        plots(figures, standing, resamples),
        "ROC, precision and recall, calibration, decision curve, figures by hour, alarms",
        [
            f"<p>{CALIBRATION_NOTE} {_DECISION_NOTE}</p>",
            section("Calibration", calibration_lines(calibration(binned(standing, resamples)))),
            section("Not scored at 48 hours", unscored_lines(figures), _UNSCORED_NOTE),
            section("Net benefit against the reference", benefit_lines(figures))
            if figures.get("reference")
            else "",
            section("Subgroups at 48 hours", [*bounded_subgroups(figures)], _SUBGROUP_NOTE),
            section("Alarms and lead time by threshold", threshold_lines(figures, True), LEAD_TIME),
            section("Alarms of the shipped rule", _rule_lines(figures)),
        ],
    )


CALIBRATION_NOTE = (
    "Calibration: bins of equal size by the prediction; a bin with no event, or with nothing else, "
    "has Wilson's interval for as many trials as it has patients, the others that of the draws."
)
_DECISION_NOTE = (
    "Net benefit: true positives a patient, less false ones at threshold / (1 - threshold) each."
)
_SUBGROUP_NOTE = (
    f"With fewer than {LEAST} deaths or survivors, no figure is given. The type of unit is not an "
    "input."
)
_UNSCORED_NOTE = "Nobody without a score counts in the figures above."


def _headline(figures: dict[str, Any]) -> list[list[str]]:
    names = {"auroc": "AUROC", "auprc": "AUPRC", "brier": "Brier score",
             "calibration_slope": "calibration slope"}  # fmt: skip
    sides = figures["intervals"]
    return [
        *([words, interval(figures[n])] for n, words in names.items()),
        ["calibration intercept",
         bounded(figures["calibration_intercept"], sides["calibration_intercept"])],
        ["expected calibration error", bounded(figures["ece"], sides["ece"], 4)],
        ["… of a perfect calibration, by chance", number(figures["ece_by_chance"], 4)],
    ]  # fmt: skip


def unscored_lines(figures: dict[str, Any]) -> list[list[str]]:
    """A header and one line for each reason; one that says so when all were scored."""
    lines = [["reason", "patients", "share", "deaths"]]
    total, deaths = figures["patients"], figures["abstained_deaths"]
    for reason, n in figures["abstained"].items():
        words = reason.replace("_", " ")
        lines.append([words, str(n), f"{100 * n / total:.2f} %", str(deaths[reason])])
    return lines if figures["abstained"] else [*lines, ["none", "0", "0 %", "0"]]


def calibration_lines(bins: Sequence[dict[str, float | None]]) -> list[list[str]]:
    """A header and one line for each bin."""
    lines = [["scored", "predicted, mean", "observed (95 %)"]]
    for b in bins:
        observed = bounded(b["observed"], (b["low"], b["high"]), 4)
        lines.append([number(b["rows"], 0), number(b["predicted"], 4), observed])
    return lines


def benefit_lines(figures: dict[str, Any]) -> list[list[str]]:
    """A header and one line for each of some thresholds: paired, on whom both score."""
    other = figures["reference"]
    lines = [["threshold", figures["risk"], other["risk"], "difference (paired, 95 %)"]]
    for row in other["decision_curve"]:
        if row["threshold"] in THRESHOLDS:
            cells = [
                bounded(row[k], row["intervals"][k], 4)
                for k in ("own", "net_benefit", "difference")
            ]
            lines.append([number(row["threshold"], 2), *cells])
    return lines


def _rule_lines(figures: dict[str, Any]) -> list[list[str]]:
    sides = figures["intervals"]["alarms"]
    return [["", "value (95 %)"]] + [
        [name.replace("_", " "), bounded(value, sides.get(name))]
        for name, value in figures["alarms"].items()
    ]


def threshold_lines(figures: dict[str, Any], intervals: bool = False) -> list[list[str]]:
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
    for row in figures["thresholds"]:
        sides = row["intervals"] if intervals else {}
        lines.append([bounded(row[key], sides.get(key), digits) for _, key, digits in columns])
    return lines


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


def bounded_subgroups(figures: dict[str, Any]) -> list[list[str]]:
    """Likewise with the slopes' intervals, and those that are too small, which say so."""
    lines = [["", "", "scored", "deaths", "AUROC (95 %)", "slope (95 %)"]]
    for kind, groups in figures["subgroups"].items():
        for name, g in groups.items():
            slope = bounded(g["calibration_slope"], g["intervals"]["calibration_slope"], 2)
            cells = [str(g["scored"]), str(g["deaths"]), interval(g["auroc"]), slope]
            lines.append([kind.replace("_", " "), name, *cells])
    for g in figures["subgroups_too_few"]:
        kind = g["kind"].replace("_", " ")
        lines.append([kind, g["name"], str(g["scored"]), str(g["deaths"]), "too few", "too few"])
    return [lines[0], *sorted(lines[1:])]
