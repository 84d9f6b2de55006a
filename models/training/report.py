"""Plots and a page for an evaluation: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any

import numpy as np

from models import metrics
from models.evaluation import Prediction, arrays
from models.metrics import Array


def plot(figures: dict[str, Any], rows: list[Prediction]) -> bytes:
    """ROC, precision and recall, calibration, curves over hours, decisions, lead time, as a PNG."""
    # Imported here: only those who evaluate need it, and it takes a second.
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    labels, log_odds, probabilities = arrays(rows)
    figure, axes = plt.subplots(3, 2, figsize=(10, 13), layout="constrained")
    _roc(axes[0, 0], labels, log_odds, figures)
    _precision_recall(axes[0, 1], labels, log_odds, figures)
    _calibration(axes[1, 0], labels, probabilities, figures)
    _hours(axes[1, 1], figures)
    _decisions(axes[2, 0], figures)
    _alarm_load(axes[2, 1], figures)
    out = io.BytesIO()
    # No date or version inside: the same figures give the same bytes.
    figure.savefig(out, format="png", dpi=110, metadata={"Software": None})
    plt.close(figure)
    return out.getvalue()


def number(value: float | None, digits: int = 3) -> str:
    """A figure as text; a dash for one that is not defined."""
    return "–" if value is None else f"{value:.{digits}f}"


def interval(estimate: dict[str, float | None]) -> str:
    """`.852 (.835–.867)`, with the 95 % interval."""
    value, low, high = (number(estimate[k]) for k in ("value", "low", "high"))
    return f"{value} ({low}–{high})"


def _label(name: str, estimate: dict[str, float | None]) -> str:
    return f"{name} {interval(estimate)}"


def _roc(axes: Any, labels: Array, scores: Array, figures: dict[str, Any]) -> None:
    axes.plot(*metrics.roc(labels, scores), color="#1f5fa8")
    axes.plot([0, 1], [0, 1], ":", color="#888888")
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
    axes.plot(recall, precision, color="#1f5fa8")
    axes.axhline(labels.mean(), linestyle=":", color="#888888")
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
    axes.errorbar(points[:, 0], points[:, 1], error, fmt="o", color="#1f5fa8", capsize=3)
    axes.plot([0, 1], [0, 1], ":", color="#888888")
    top = float(points[:, :2].max()) * 1.15
    axes.set(xlabel="predicted", ylabel="observed", xlim=(0, top), ylim=(0, top))
    axes.set_title(_label("Calibration slope", figures["calibration_slope"]))


def _hours(axes: Any, figures: dict[str, Any]) -> None:
    hours = [h["hour"] for h in figures["hours"]]
    for name, color in (
        ("auroc", "#1f5fa8"),
        ("auprc", "#c2571a"),
        ("calibration_slope", "#3b7d3b"),
    ):
        axes.plot(
            hours, [h[name] for h in figures["hours"]], label=name.replace("_", " "), color=color
        )
    axes.set(xlabel="hours since admission", ylim=(0, 1.4), title="Scores standing at each hour")
    axes.legend(loc="lower right")


def _decisions(axes: Any, figures: dict[str, Any]) -> None:
    curve = figures["decision_curve"]
    at = [p["threshold"] for p in curve]
    axes.plot(at, [p["net_benefit"] for p in curve], label=figures["risk"], color="#1f5fa8")
    axes.plot(at, [p["treat_all"] for p in curve], ":", label="everybody", color="#888888")
    axes.axhline(0, color="#888888", linewidth=0.8)
    reference = figures.get("reference")
    if reference:
        other = [p["net_benefit"] for p in reference["decision_curve"]]
        axes.plot(at, other, label=reference["risk"], color="#c2571a")
    top = max(p["net_benefit"] for p in curve)
    axes.set(xlabel="threshold", ylabel="net benefit", ylim=(-0.02, 1.2 * max(top, 0.01)))
    axes.set_title("Decision curve")
    axes.legend(loc="upper right")


def _alarm_load(axes: Any, figures: dict[str, Any]) -> None:
    rows = [r for r in figures["thresholds"] if r["sensitivity"] is not None]
    load = [r["alarms_per_patient_day"] for r in rows]
    axes.plot(load, [r["sensitivity"] for r in rows], "o-", color="#1f5fa8")
    for row, x in zip(rows, load, strict=True):
        axes.annotate(f"{row['threshold']:g}", (x, row["sensitivity"]), fontsize=8)
    axes.set(xlabel="alarms a patient-day", ylabel="share of deaths alarmed", ylim=(0, 1))
    axes.set_title("Alarms within 48 hours, by threshold")


def write_report(folder: Path, figures: dict[str, Any], rows: list[Prediction]) -> None:
    """report.html and report.png."""
    image = plot(figures, rows)
    (folder / "report.png").write_bytes(image)
    kind = "cross-fitted" if figures["cross_fitted"] else "scored with the shipped ensemble"
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<title>Evaluation: {html.escape(figures["risk"])}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse;margin:1rem 0}}td,th{{padding:.2rem .8rem;text-align:left;
border-bottom:1px solid #ddd}}img{{max-width:100%}}</style></head><body>
<h1>{html.escape(figures["risk"].capitalize())}: {figures["scored"]} patients, {kind}</h1>
<p>Model {html.escape(figures["model"])}. {figures["deaths_scored"]} deaths. Not scored:
{figures["patients"] - figures["scored"]}. Intervals: 95 %, resampled patients.</p>
{_table(_headline(figures))}
{_table(reference_lines(figures))}
<img alt="ROC, precision and recall, calibration, figures by hour, decision curve, alarms"
 src="data:image/png;base64,{base64.b64encode(image).decode()}">
<h2>Subgroups at 48 hours</h2>{_table(subgroup_lines(figures))}
<h2>Alarms and lead time by threshold</h2>{_table(threshold_lines(figures))}
<h2>Alarms of the shipped rule</h2>{_table([[k, f"{v}"] for k, v in figures["alarms"].items()])}
</body></html>
"""
    (folder / "report.html").write_text(page, encoding="utf-8")


def _headline(figures: dict[str, Any]) -> list[list[str]]:
    names = ("auroc", "auprc", "brier", "calibration_slope")
    lines = [[n, interval(figures[n])] for n in names]
    return [*lines, *([n, number(figures[n], 4)] for n in ("calibration_intercept", "ece"))]


def reference_lines(figures: dict[str, Any]) -> list[list[str]]:
    """A header and two lines: the reference beside the model, on patients that both score."""
    other = figures.get("reference")
    if not other:
        return []
    lines = [[f"{other['scored']} patients", other["risk"], "difference (paired, 95 %)"]]
    return lines + [
        [n.upper(), interval(other[n]), interval(other[f"{n}_difference"])]
        for n in ("auroc", "auprc")
    ]


def threshold_lines(figures: dict[str, Any]) -> list[list[str]]:
    """A header and one line for each threshold."""
    columns = (
        ("threshold", "threshold", 2),
        ("patients alarmed", "patients_alarmed", 3),
        ("sensitivity", "sensitivity", 3),
        ("PPV", "positive_predictive_value", 3),
        ("alarms a patient-day", "alarms_per_patient_day", 3),
        ("first alarm, median h", "first_alarm_h", 0),
        ("to the day of death, median h", "lead_time_h", 0),
    )
    lines = [[title for title, _, _ in columns]]
    return lines + [
        [number(row[key], digits) for _, key, digits in columns] for row in figures["thresholds"]
    ]


def subgroup_lines(figures: dict[str, Any]) -> list[list[str]]:
    """A header and one line for each subgroup."""
    lines = [["", "", "scored", "deaths", "AUROC (95 %)", "slope"]]
    for kind, groups in figures["subgroups"].items():
        for name, g in groups.items():
            auroc, slope = interval(g["auroc"]), number(g["calibration_slope"], 2)
            lines.append([kind, name, str(g["scored"]), str(g["deaths"]), auroc, slope])
    return lines


def _table(lines: list[list[str]]) -> str:
    cells = ("".join(f"<td>{html.escape(c)}</td>" for c in line) for line in lines)
    return "<table>" + "".join(f"<tr>{c}</tr>" for c in cells) + "</table>"
