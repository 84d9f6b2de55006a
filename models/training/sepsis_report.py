"""Plots and a page for an evaluation of hourly scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.grouped_metrics import binned, calibration, group
from models.resampling import Resamples
from models.sepsis_evaluation import LEAST, Scored, to_hours
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
    reference_lines,
    section,
    table,
    write,
)
from models.training.report import CALIBRATION_NOTE, calibration_lines
from models.training.sepsis_card import WORDS

_BINS = 20
_RULES = ("shipped rule", "its critical level", "best utility")


def plots(figures: dict[str, Any], scored: Sequence[Scored], resamples: Resamples) -> str:
    """ROC and PR, calibration, decisions, time, utility and alarms, as HTML."""
    hours = to_hours(scored)
    rows = group(hours, resamples)

    def draw(axes: Any) -> None:
        p.roc(axes[0, 0], rows, figures)
        p.precision_recall(axes[0, 1], rows, figures)
        bins = calibration(binned(hours, resamples, _BINS))
        p.calibration(axes[1, 0], bins, figures, log=True)
        _decisions(axes[1, 1], figures)
        _ranking(axes[2, 0], figures)
        _slopes(axes[2, 1], figures)
        _utility(axes[3, 0], figures)
        _lead_times(axes[3, 1], figures)

    return drawn(4, 2, draw)


def _decisions(axes: Any, figures: dict[str, Any]) -> None:
    """Net benefit for each hour, against alarming at every hour and never."""
    axes.set_title("Decision curve, of an alarm in each hour")
    p.everybody(axes, figures["decision_curve"], "alarm always")
    p.decisions(axes, figures["decision_curve"], {"net_benefit": ("sepsis", BLUE)}, log=True)
    axes.legend(loc="upper right")


def _spans(axes: Any, figures: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Ticks that say how many patients with a positive hour a span rests on."""
    spans = figures["over_time"]
    names = [f"{s['hours'].replace(' and later', '+')}\n({s['patients_positive']})" for s in spans]
    axes.set_xticks(range(len(spans)), names)
    axes.set_xlabel("hours in intensive care (patients with a positive hour)")
    return np.arange(len(spans))


def _ranking(axes: Any, figures: dict[str, Any]) -> None:
    axes.set(ylim=(0, 1), title="Ranking, over time")
    at = _spans(axes, figures)
    for name, color in (("auroc", BLUE), ("auprc", ORANGE)):
        p.series(axes, at, figures["over_time"], name, color, name.upper(), "o-")
    axes.legend(loc="center left")


def _slopes(axes: Any, figures: dict[str, Any]) -> None:
    axes.set_title("Calibration slope, over time")
    p.series(
        axes, _spans(axes, figures), figures["over_time"], "calibration_slope", GREEN, None, "o-"
    )
    axes.axhline(1, linestyle=":", color=GREY)
    axes.set_ylim(min(0.0, max(-1.0, axes.get_ylim()[0])), min(3.0, max(2.0, axes.get_ylim()[1])))


def _utility(axes: Any, figures: dict[str, Any]) -> None:
    rows = figures["utility_by_threshold"]
    axes.set(xscale="log", xlabel="threshold", title="Utility (PhysioNet 2019), alarm every hour")
    p.series(axes, np.array([r["threshold"] for r in rows]), rows, "utility")
    axes.axhline(0, linestyle=":", color=GREY)
    axes.set_ylim(max(-1.0, axes.get_ylim()[0]), None)


def _lead_times(axes: Any, figures: dict[str, Any]) -> None:
    """Onsets warned of so many hours before, for each rule."""
    axes.set(xlabel="hours before the onset, at least", ylabel="share of onsets", ylim=(0, 1.02))
    axes.set_title("Onsets warned of in time, by rule")
    key = "sensitivity_0_3_6_12_h_before"
    for rule, name, color in zip(figures["alarms"], _RULES, (BLUE, ORANGE, GREEN), strict=True):
        rows = [
            {key: value, "intervals": {key: sides}}
            for value, sides in zip(rule[key], rule["intervals"][key], strict=True)
        ]
        label = f"{name}, from {rule['fire']:.3g}"
        p.series(axes, np.array([0, 3, 6, 12]), rows, key, color, label, "o-")
    axes.set_xticks([0, 3, 6, 12])
    axes.legend(loc="upper right")


def write_sepsis_report(folder: Path, figures: dict[str, Any], scored: Sequence[Scored]) -> None:
    """report.html."""
    kind = scored_by(figures)
    draws = figures["resamples"]
    resamples = Resamples(len(scored), draws["all"])
    write(
        folder,
        f"Sepsis: {figures['patients']} patients, {figures['scored']} hours, {kind}",
        f"Model {figures['model']}. {figures['patients_with_sepsis']} patients with sepsis, "
        f"{figures['positive_scored']} positive hours. Intervals and bands: 95 %, over patients "
        f"drawn anew with all their hours, the same {draws['all']} draws for every figure "
        f"({draws['reference']} of them for slope and reference, 1,000 for the utility above).",
        [
            *about_the_cohort(figures),
            table(_headline(figures)),
            headed(reference_lines(figures, "hours")),
        ],
        plots(figures, scored, resamples),
        "ROC, precision and recall, calibration, decision curve, over time, utility, alarms",
        [
            f"<p>{CALIBRATION_NOTE} Net benefit: true positives an hour, less false ones at "
            "threshold / (1 - threshold) each.</p>",
            section(
                "Calibration",
                calibration_lines(calibration(binned(to_hours(scored), resamples, _BINS))),
            ),
            section(
                "Hours not scored",
                unscored_lines(figures),
                "In the utility they count as no alarm, in the figures of alarms as a rule that "
                "stays as it was, elsewhere not.",
            ),
            section("Over time", over_time_lines(figures)),
            section(
                "Subgroups",
                subgroup_lines(figures),
                f"With fewer than {LEAST} patients with sepsis, no figure is given. The unit is "
                "not an input.",
            ),
            section("Alarms", alarm_lines(figures), _ALARM_NOTE),
        ],
    )


_ALARM_NOTE = (
    "An onset was warned of if an alarm was on 24 hours before it, or began from then to 3 hours "
    "after it. Lead time is from the first such alarm to the onset, at most 24 hours; negative "
    "when it came later."
)


def _headline(figures: dict[str, Any]) -> list[list[str]]:
    names = {"auroc": "AUROC", "auprc": "AUPRC", "utility": "utility",
             "calibration_slope": "calibration slope"}  # fmt: skip
    sides = figures["intervals"]
    return [
        *([words, interval(figures[n])] for n, words in names.items()),
        [
            "calibration intercept",
            bounded(figures["calibration_intercept"], sides["calibration_intercept"]),
        ],
        ["expected calibration error", bounded(figures["ece"], sides["ece"], 4)],
    ]


def unscored_lines(figures: dict[str, Any]) -> list[list[str]]:
    """A header and one line for each reason; one that says so when all were scored."""
    lines = [["reason", "hours", "share", "positive"]]
    for reason, n in figures["abstained"].items():
        share = f"{100 * n / figures['hours']:.2f} %"
        lines.append(
            [reason.replace("_", " "), str(n), share, str(figures["abstained_positive"][reason])]
        )
    return lines if figures["abstained"] else [*lines, ["none", "0", "0 %", "0"]]


def over_time_lines(figures: dict[str, Any]) -> list[list[str]]:
    """A header and one line for each span of hours in intensive care."""
    found = [
        [
            "hours",
            "scored",
            "patients",
            "of them positive",
            "positive hours",
            "AUROC",
            "AUPRC",
            "slope",
            "ECE",
        ]
    ]
    for span in figures["over_time"]:
        cells = [str(span[k]) for k in ("hours", "scored", "patients", "patients_positive")]
        cells.append(f"{100 * span['positive']:.2f} %")
        for key, digits in (("auroc", 3), ("auprc", 3), ("calibration_slope", 2), ("ece", 4)):
            cells.append(bounded(span[key], span["intervals"][key], digits))
        found.append(cells)
    return found


def subgroup_lines(figures: dict[str, Any]) -> list[list[str]]:
    """A header and one line for each subgroup; one that is too small says so."""
    found = [["", "", "patients", "with sepsis", "AUROC (95 %)", "slope (95 %)", "utility (95 %)"]]
    lines = []
    for kind, groups in figures["subgroups"].items():
        for name, g in groups.items():
            slope = bounded(g["calibration_slope"], g["intervals"]["calibration_slope"], 2)
            cells = [kind, name, str(g["patients"]), str(g["with_sepsis"])]
            lines.append([*cells, interval(g["auroc"]), slope, interval(g["utility"])])
    for g in figures["subgroups_too_few"]:
        cells = [g["kind"], g["name"], str(g["patients"]), str(g["with_sepsis"])]
        lines.append([*cells, *["too few"] * 3])
    return found + sorted(lines)


def alarm_lines(figures: dict[str, Any]) -> list[list[str]]:
    """A column for each rule."""
    rules = figures["alarms"]
    found = [["", *_RULES]]
    for key, words in WORDS.items():
        if isinstance(rules[0][key], list):
            for i, h in enumerate((0, 3, 6, 12)):
                found.append(
                    [
                        f"… at least {h} h before",
                        *(bounded(r[key][i], r["intervals"][key][i], 4) for r in rules),
                    ]
                )
            continue
        digits = 1 if key.endswith("_h") else 4
        found.append([words, *(bounded(r[key], r["intervals"].get(key), digits) for r in rules)])
    return found
