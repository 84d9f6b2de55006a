"""The evaluation of a multimodal risk as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import metrics
from models.metrics import Array
from models.risk import Assessment
from models.training.apart import about_the_cohort, scored_by
from models.training.page import BLUE, GREY, ORANGE, drawn, interval, number, section, table, write
from models.training.tumours import Case


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
    p = 1 / (1 + np.exp(-z))

    def draw(axes: Any) -> None:
        _roc(axes[0, 0], y, z, figures)
        _precision_recall(axes[0, 1], y, z, figures)
        _calibration(axes[0, 2], y, p, figures)
        _decision(axes[1, 0], y, p)
        _fusions(axes[1, 1], figures["comparison_in_training"])
        _withheld(axes[1, 2], figures["comparison_in_training"])

    return drawn(2, 3, draw)


def _precision_recall(axes: Any, y: Array, z: Array, figures: dict[str, Any]) -> None:
    grid = np.linspace(0.02, 1, 99)
    curves = [_precision_at(grid, y[rows], z[rows]) for rows in _resampled(y)]
    low, high = np.quantile(curves, [0.025, 0.975], axis=0)
    axes.fill_between(grid, low, high, color=BLUE, alpha=0.15)
    precision, recall = metrics.precision_recall(y, z)
    axes.plot(recall, precision, color=BLUE)
    axes.axhline(y.mean(), linestyle=":", color=GREY)
    axes.set(xlabel="sensitivity", ylabel="positive predictive value", ylim=(0, 1.02))
    axes.set_title(f"AUPRC {interval(figures['auprc'])}")


def _resampled(y: Array) -> list[NDArray[np.int64]]:
    """Rows of 200 bootstrap samples that have both outcomes."""
    rng = np.random.default_rng(0)
    samples = [rng.integers(0, len(y), len(y)) for _ in range(200)]
    return [rows for rows in samples if 0 < y[rows].sum() < len(rows)]


def _precision_at(grid: Array, y: Array, z: Array) -> Array:
    """The precision at each recall."""
    precision, recall = (np.asarray(a, dtype=np.float64) for a in metrics.precision_recall(y, z))
    order = np.argsort(recall, kind="stable")
    return np.asarray(np.interp(grid, recall[order], precision[order]))


def _roc(axes: Any, y: Array, z: Array, figures: dict[str, Any]) -> None:
    """The curve with a band over resampled patients."""
    grid = np.linspace(0, 1, 101)
    curves = [np.interp(grid, *metrics.roc(y[rows], z[rows])) for rows in _resampled(y)]
    low, high = np.quantile(curves, [0.025, 0.975], axis=0)
    axes.fill_between(grid, low, high, color=BLUE, alpha=0.15)
    axes.plot(*metrics.roc(y, z), color=BLUE)
    axes.plot([0, 1], [0, 1], ":", color=GREY)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity")
    axes.set_title(f"AUROC {interval(figures['auroc'])}")


def _calibration(axes: Any, y: Array, p: Array, figures: dict[str, Any]) -> None:
    points = np.array(metrics.calibration_bins(y, p))
    share, count = points[:, 1], points[:, 2]
    # Wilson's interval: it says something also where all or none of a bin had the event.
    middle = (share + 1.96**2 / (2 * count)) / (1 + 1.96**2 / count)
    half = 1.96 * np.sqrt(share * (1 - share) / count + 1.96**2 / (4 * count**2))
    half /= 1 + 1.96**2 / count
    error = np.stack([share - middle + half, middle + half - share]).clip(min=0.0)
    axes.errorbar(points[:, 0], share, error, fmt="o", color=BLUE, capsize=3)
    axes.plot([0, 1], [0, 1], ":", color=GREY)
    axes.set(xlabel="predicted", ylabel="observed", xlim=(0, 1), ylim=(0, 1))
    axes.set_title(f"Calibration slope {interval(figures['calibration_slope'])}")


def _decision(axes: Any, y: Array, p: Array) -> None:
    """Net benefit (Vickers and Elkin 2006) against treating all or none."""
    at = np.linspace(0.02, 0.95, 94)
    odds = at / (1 - at)
    net = [np.mean((p >= t) * y) - np.mean((p >= t) * (1 - y)) * o for t, o in zip(at, odds)]  # noqa: B905
    axes.plot(at, net, color=BLUE, label="model")
    axes.plot(at, y.mean() - (1 - y.mean()) * odds, color=ORANGE, label="all")
    axes.axhline(0, color=GREY, linestyle=":", label="none")
    axes.set(xlabel="threshold", ylabel="net benefit", ylim=(-0.1, max(0.05, y.mean()) * 1.1))
    axes.set_title("Decision curve")
    axes.legend()


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
