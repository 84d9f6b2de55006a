"""Plots and a page for an evaluation of hourly scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models import metrics, utility
from models.hourly_metrics import Hours, Ranked
from models.metrics import Array
from models.sepsis_evaluation import Scored, to_hours
from models.training.apart import about_the_cohort, scored_by
from models.training.page import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    drawn,
    interval,
    reference_lines,
    section,
    table,
    write,
)
from models.training.sepsis_card import (
    alarm_lines,
    headline,
    over_time_lines,
    subgroup_lines,
)

_BANDS = 60  # resamples behind the bands


def plot(figures: dict[str, Any], scored: Sequence[Scored]) -> bytes:
    """ROC and PR with bands, calibration, decisions, time, utility and lead times, as a PNG."""
    hours = to_hours(scored)

    def draw(axes: Any) -> None:
        _curves(axes[0, 0], axes[0, 1], hours, len(scored), figures)
        _calibration(axes[1, 0], hours, figures)
        _decisions(axes[1, 1], hours)
        _over_time(axes[2, 0], figures)
        _utility(axes[2, 1], scored)

    return drawn(3, 2, draw)


def _curves(roc: Any, pr: Any, hours: Hours, patients: int, figures: dict[str, Any]) -> None:
    """Bands: 95 % of the curves of resampled patients, at fixed abscissae."""
    ranked, rng = Ranked(hours), np.random.default_rng(0)
    false, recall = np.linspace(0, 1, 101), np.linspace(0.01, 1, 100)
    bands: list[tuple[Array, Array]] = []
    for i in range(_BANDS + 1):
        drawn = np.bincount(rng.integers(0, patients, patients), minlength=patients)
        counts = ranked.counts(None if i == 0 else drawn.astype(float))
        hits, misses = (np.cumsum(c) for c in counts)
        sensitivity = hits / max(hits[-1], 1e-9)
        bands.append(
            (
                np.interp(false, misses / max(misses[-1], 1e-9), sensitivity),
                np.interp(recall, sensitivity, hits / np.maximum(hits + misses, 1e-9)),
            )
        )
    for axes, x, at in ((roc, false, 0), (pr, recall, 1)):
        drawn_curves = np.stack([b[at] for b in bands[1:]])
        low, high = np.quantile(drawn_curves, [0.025, 0.975], axis=0)
        axes.fill_between(x, low, high, color=BLUE, alpha=0.2)
        axes.plot(x, bands[0][at], color=BLUE)
    roc.plot([0, 1], [0, 1], ":", color=GREY)
    roc.set(xlabel="1 - specificity", ylabel="sensitivity")
    roc.set_title(f"AUROC {interval(figures['auroc'])}")
    pr.axhline(hours.labels.mean(), linestyle=":", color=GREY)
    pr.set(xlabel="sensitivity", ylabel="positive predictive value")
    pr.set_title(f"AUPRC {interval(figures['auprc'])}")


def _calibration(axes: Any, hours: Hours, figures: dict[str, Any]) -> None:
    p = 1 / (1 + np.exp(-hours.scores))
    points = np.array(metrics.calibration_bins(hours.labels, p, 20))
    axes.plot(points[:, 0], points[:, 1], "o", color=BLUE)
    low = max(1e-4, float(points[:, :2].min()) / 2)
    high = float(points[:, :2].max()) * 2
    axes.plot([low, high], [low, high], ":", color=GREY)
    axes.set(xscale="log", yscale="log", xlabel="predicted", ylabel="observed")
    axes.set_title(f"Calibration slope {interval(figures['calibration_slope'])}")


def _decisions(axes: Any, hours: Hours) -> None:
    """Net benefit for each hour, against alarming at every hour and never."""
    p = 1 / (1 + np.exp(-hours.scores))
    thresholds = np.geomspace(0.002, 0.3, 60)
    share = hours.labels.mean()
    odds = thresholds / (1 - thresholds)
    n = len(p)
    benefit = [
        ((p >= t) @ hours.labels - o * ((p >= t) @ (1 - hours.labels))) / n
        for t, o in zip(thresholds, odds, strict=True)
    ]
    axes.plot(thresholds, benefit, color=BLUE, label="model")
    axes.plot(thresholds, share - odds * (1 - share), color=ORANGE, label="alarm always")
    axes.axhline(0, linestyle=":", color=GREY, label="never")
    axes.set(xscale="log", xlabel="threshold", ylabel="net benefit", title="Decision curve")
    axes.set_ylim(-0.2 * share, 1.05 * share)
    axes.legend()


def _over_time(axes: Any, figures: dict[str, Any]) -> None:
    spans = figures["over_time"]
    for name, color in (("auroc", BLUE), ("auprc", ORANGE), ("calibration_slope", GREEN)):
        values = [np.nan if s[name] is None else s[name] for s in spans]
        axes.plot(range(len(spans)), values, "o-", label=name.replace("_", " "), color=color)
    axes.set_xticks(range(len(spans)), [s["hours"] for s in spans], rotation=30)
    axes.set(xlabel="hours in intensive care", ylim=(0, 1.4), title="Over time")
    axes.legend()


def _utility(axes: Any, scored: Sequence[Scored]) -> None:
    known = utility.gains([one.labels for one in scored])
    z = np.nan_to_num(np.concatenate([one.log_odds for one in scored]), nan=-np.inf)
    thresholds = np.geomspace(0.003, 0.3, 60)
    logits = np.log(thresholds / (1 - thresholds))
    axes.plot(thresholds, [utility.utility(known, z >= t) for t in logits], color=BLUE)
    axes.axhline(0, linestyle=":", color=GREY)
    axes.set(xscale="log", xlabel="threshold", title="Utility (PhysioNet 2019), alarm every hour")


def write_sepsis_report(folder: Path, figures: dict[str, Any], scored: Sequence[Scored]) -> None:
    """report.html and report.png."""
    kind = scored_by(figures)
    write(
        folder,
        f"Sepsis: {figures['patients']} patients, {figures['scored']} hours, {kind}",
        f"Model {figures['model']}. {figures['patients_with_sepsis']} patients with sepsis, "
        f"{figures['positive_scored']} positive hours. Not scored: "
        f"{figures['hours'] - figures['scored']} hours. Intervals and bands: 95 %, resampled "
        "patients.",
        [
            *about_the_cohort(figures),
            table(headline(figures)),
            table(reference_lines(figures, "hours")),
        ],
        plot(figures, scored),
        "ROC, precision and recall, calibration, decision curve, figures over time, utility",
        [
            section("Over time", over_time_lines(figures)),
            section("Subgroups", subgroup_lines(figures)),
            section("Alarms", alarm_lines(figures)),
        ],
    )
