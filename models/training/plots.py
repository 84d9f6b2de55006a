"""Plots that evaluation reports share. Whatever is estimated is drawn with its 95 % interval.

Bands and bars carry an identifier (`band-…`, `bars-…`) in the SVG, so that a test can see them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from models import grouped_metrics
from models.grouped_metrics import Band, Grouped
from models.metrics import Array
from models.training.page import BLUE, GREY, interval

_Rows = Sequence[dict[str, Any]]


def band(axes: Any, drawn: Band, name: str, color: str = BLUE, label: str | None = None) -> None:
    """A curve and its band."""
    axes.fill_between(
        drawn.x, drawn.low, drawn.high, color=color, alpha=0.2, linewidth=0, gid=f"band-{name}"
    )
    axes.plot(drawn.x, drawn.y, color=color, label=label)


def roc(axes: Any, rows: Grouped, figures: dict[str, Any]) -> None:
    """Sensitivity over 1 - specificity."""
    band(axes, grouped_metrics.roc(rows), "roc")
    axes.plot([0, 1], [0, 1], ":", color=GREY)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title(f"ROC: AUROC {interval(figures['auroc'])}")


def precision_recall(axes: Any, rows: Grouped, figures: dict[str, Any]) -> None:
    """Positive predictive value over sensitivity; dotted: of a score that knows nothing."""
    band(axes, grouped_metrics.precision_recall(rows), "precision-recall")
    ill, well = rows.positive[0].sum(), rows.negative[0].sum()
    axes.axhline(ill / max(ill + well, 1), linestyle=":", color=GREY)
    axes.set(xlabel="sensitivity", ylabel="positive predictive value", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title(f"Precision and recall: AUPRC {interval(figures['auprc'])}")


def calibration(axes: Any, bins: _Rows, figures: dict[str, Any], log: bool = False) -> None:
    """Observed over predicted, in bins of equal size. On logarithmic axes none is a triangle."""
    x, y, low, high = (
        np.array([b[k] for b in bins], dtype=np.float64)
        for k in ("predicted", "observed", "low", "high")
    )
    top = float(np.nanmax(np.r_[x, high, 0.01]))
    least = np.r_[x[x > 0], y[y > 0], 0.5]
    bottom = float(least.min()) / 3 if log else 0.0
    shown, from_ = np.maximum(y, bottom), np.maximum(low, bottom)
    bars = axes.errorbar(x, shown, [shown - from_, high - shown], fmt="none", color=BLUE, capsize=3)
    bars[2][0].set_gid("bars-calibration")
    none = (y == 0) & log
    axes.plot(x[~none], y[~none], "o", color=BLUE)
    if none.any():
        axes.plot(x[none], shown[none], "v", color=BLUE, label="no event")
        axes.legend(loc="lower right")
    axes.plot([bottom, top], [bottom, top], ":", color=GREY)
    scale = {"xscale": "log", "yscale": "log"} if log else {}
    side = (bottom * 0.8, top * 1.3) if log else (0, min(1.02, top * 1.05))
    axes.set(xlabel="predicted", ylabel="observed", xlim=side, ylim=side, **scale)
    axes.set_title(f"Calibration: slope {interval(figures['calibration_slope'])}")


def series(
    axes: Any, x: Array, rows: _Rows, key: str, color: str = BLUE, label: str | None = None,
    mark: str = "-",
) -> None:  # fmt: skip
    """A figure of each row, and the band of its `intervals`."""
    sides = [r["intervals"][key] for r in rows]
    y, low, high = (
        np.array(values, dtype=np.float64)
        for values in ([r[key] for r in rows], [s[0] for s in sides], [s[1] for s in sides])
    )
    words = f"{axes.get_title()} {key} {label or ''}".lower()
    gid = "band-" + "-".join(re.findall(r"[a-z0-9.]+", words))
    axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0, gid=gid)
    axes.plot(x, y, mark, color=color, label=label, markersize=4)


def decisions(
    axes: Any, rows: _Rows, curves: dict[str, tuple[str, str]], log: bool = False
) -> None:
    """Net benefit by threshold. `curves`: key → name and colour; `treat_all` without a band."""
    at = np.array([r["threshold"] for r in rows])
    for key, (name, color) in curves.items():
        series(axes, at, rows, key, color, name)
    first = next(iter(curves))
    highs = [r["intervals"][first][1] or 0.0 for r in rows]
    top = max(0.01 if not log else 1e-4, *highs)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set(xlabel="threshold", ylabel="net benefit", ylim=(-0.15 * top, 1.1 * top))
    if log:
        axes.set_xscale("log")


def everybody(axes: Any, rows: _Rows, name: str) -> None:
    """Net benefit of treating everybody: what a threshold costs, nothing that a model adds."""
    at = [r["threshold"] for r in rows]
    axes.plot(at, [r["treat_all"] for r in rows], ":", color=GREY, label=name)


def load(axes: Any, rows: _Rows, x: str, y: str) -> None:
    """One figure over another, a point for each threshold, with bars both ways."""
    points = np.array([[r[x], r[y]] for r in rows], dtype=np.float64)  # (thresholds, 2)
    sides = np.array([[r["intervals"][k] for k in (x, y)] for r in rows], dtype=np.float64)
    reach = np.stack([points - sides[..., 0], sides[..., 1] - points]).clip(min=0)
    bars = axes.errorbar(
        points[:, 0], points[:, 1], reach[..., 1], reach[..., 0], fmt="o-", color=BLUE,
        elinewidth=0.8, markersize=4,
    )  # fmt: skip
    for line, name in zip(bars[2], ("x", "y"), strict=True):
        line.set_gid(f"bars-load-{name}")
    for row, point in zip(rows, points, strict=True):
        axes.annotate(
            f"{row['threshold']:g}", point, (5, -11), textcoords="offset points", fontsize=8
        )
