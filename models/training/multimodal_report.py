"""The evaluation of a multimodal risk as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.clinical_use import decision_curve
from models.grouped_metrics import binned, calibration, group
from models.hourly_metrics import Hours
from models.resampling import Resamples
from models.risk import Assessment
from models.training import plots as p
from models.training.apart import about_the_cohort, scored_by
from models.training.page import BLUE, GREY, drawn, interval, number, section, table, write
from models.training.tumours import Case

_DECISIONS = np.linspace(0.02, 0.94, 47).tolist()  # thresholds at which net benefit is drawn


def write_report(
    folder: Path, figures: dict[str, Any], rows: Sequence[tuple[Case, Assessment]]
) -> None:
    """report.html."""
    kind = scored_by(figures)
    headline = [[n, interval(figures[n])] for n in ("auroc", "auprc", "calibration_slope")]
    compared = figures["comparison_in_training"]
    rows = [(case, answer) for case, answer in rows if case.at_risk]
    write(
        folder,
        f"{figures['risk']}: {figures['scored']} patients, {kind}",
        f"Model {figures['model']}. {figures['events']} events. Not scored: "
        f"{figures['patients'] - figures['scored']}. Not judged, since their event came "
        f"before all results: {figures['not_at_risk']}. Intervals: 95 %, resampled patients.",
        [*about_the_cohort(figures), table([*headline, *_calibration_error(figures)])],
        _plot(figures, rows),
        "ROC, precision and recall, calibration, decision curve, fusions, withheld modalities",
        [
            section("Subgroups", _subgroups(figures)),
            section("How early the event comes", _by_time(figures)),
            section(
                "Ways of fusing, nested cross-validation on the training cohort, whatever was "
                "evaluated here",
                _variants(compared),
            ),
            section("Differences of AUROC there, paired (95 %)", _differences(compared)),
        ],
    )


def _calibration_error(figures: dict[str, Any]) -> list[list[str]]:
    return [
        ["expected calibration error, ten bins", number(figures["ece"], 4)],
        ["the same if the probabilities were exactly right", number(figures["ece_by_chance"], 4)],
    ]


def _by_time(figures: dict[str, Any]) -> list[list[str]]:
    lines = [["event within, days", "patients with, without", "AUROC (95 %)"]]
    for row in figures["by_time"]:
        counts = f"{row['events']}, {row['patients'] - row['events']}"
        lines.append([f"{row['days']:g}", counts, interval(row["auroc"])])
    return lines


def _differences(compared: dict[str, Any]) -> list[list[str]]:
    best = f"late, minus the best single modality ({compared['best_single']})"
    pairs = (
        (best, "late_minus_best_single"),
        ("late, minus early", "late_minus_early"),
        ("late, minus intermediate", "late_minus_intermediate"),
    )
    return [[words, interval(compared[key])] for words, key in pairs]


def _plot(figures: dict[str, Any], rows: Sequence[tuple[Case, Assessment]]) -> str:
    scored = [(c.label, a.log_odds) for c, a in rows if a.log_odds is not None]
    y, z = np.array(scored, dtype=np.float64).T
    hours, resamples = Hours(np.arange(len(y)), y, z), Resamples(len(y))
    grouped = group(hours, resamples)
    decisions = decision_curve(hours, resamples, _DECISIONS)

    def draw(axes: Any) -> None:
        p.roc(axes[0, 0], grouped, figures)
        p.precision_recall(axes[0, 1], grouped, figures)
        p.calibration(axes[0, 2], calibration(binned(hours, resamples)), figures)
        axes[1, 0].set_title("Decision curve")
        p.everybody(axes[1, 0], decisions, "all")
        p.decisions(axes[1, 0], decisions, {"net_benefit": ("model", BLUE)})
        axes[1, 0].legend()
        _fusions(axes[1, 1], figures["comparison_in_training"])
        _withheld(axes[1, 2], figures["comparison_in_training"])

    return drawn(2, 3, draw)


def _fusions(axes: Any, compared: dict[str, Any]) -> None:
    names = list(compared["variants"])[::-1]
    values = [compared["variants"][n]["auroc"] for n in names]
    middle = [v["value"] for v in values]
    sides = [
        [v["value"] - v["low"] for v in values],
        [v["high"] - v["value"] for v in values],
    ]
    axes.errorbar(middle, range(len(names)), xerr=sides, fmt="o", color=BLUE, capsize=3)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="AUROC", title="Training cohort: modalities and fusions")


def _withheld(axes: Any, compared: dict[str, Any]) -> None:
    share = [0.0, *(float(k) for k in compared["withheld"])]
    late = compared["variants"]["late"]["auroc_mean"]
    axes.plot(share, [late, *compared["withheld"].values()], "o-", color=BLUE)
    axes.axhline(0.5, color=GREY, linestyle=":")
    axes.set(xlabel="share of modalities withheld", ylabel="AUROC")
    axes.set_title("Training cohort: modalities withheld")


def _subgroups(figures: dict[str, Any]) -> list[list[str]]:
    lines = [["", "", "scored", "events", "AUROC (95 %)", "slope"]]
    for kind, groups in figures["subgroups"].items():
        for name, g in groups.items():
            slope = interval(g["calibration_slope"])
            cells = [kind, name, str(g["scored"]), str(g["events"]), interval(g["auroc"]), slope]
            lines.append(cells)
    return lines


def _variants(compared: dict[str, Any]) -> list[list[str]]:
    lines = [["", "scored", "AUROC, mean of repeats", "AUROC (95 %)", "slope", "ECE", "by chance"]]
    for name, v in compared["variants"].items():
        cells = [name, str(v["scored"]), number(v["auroc_mean"]), interval(v["auroc"])]
        cells += [number(v["calibration_slope"], 2), number(v["ece"])]
        lines.append([*cells, number(v["ece_by_chance"])])
    return lines
