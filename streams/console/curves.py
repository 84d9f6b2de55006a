"""What other thresholds would have meant, as curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streams.console.palette import COLOURS

_LINES = (
    ("ppv", "Alerts that were right", "y", "series-1", "solid"),
    ("sensitivity", "Events that were found", "y", "series-3", "dash"),
    ("alerts_per_patient_day", "Alerts a patient-day", "y2", "series-2", "dot"),
)


def curves(points: Sequence[dict[str, Any]], fire: float, now: float) -> dict[str, Any]:
    """By threshold: shares on the left axis, load on the right one; both thresholds marked."""
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": words,
            "x": [point["fire"] for point in points],
            "y": [point[name] for point in points],
            "yaxis": axis,
            "line": {"color": COLOURS[colour], "dash": dash, "width": 2},
            "connectgaps": False,
        }
        for name, words, axis, colour, dash in _LINES
        if any(point[name] is not None for point in points)
    ]
    grid = {"gridcolor": COLOURS["line"], "fixedrange": True, "rangemode": "tozero"}
    layout = {
        "height": 340,
        "margin": {"l": 50, "r": 50, "t": 10, "b": 45},
        "paper_bgcolor": COLOURS["paper"],
        "plot_bgcolor": COLOURS["paper"],
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": COLOURS["ink"]},
        "legend": {"orientation": "h", "y": 1.12},
        "xaxis": {**grid, "title": {"text": "Alerts from this risk on"}, "tickformat": ".0%"},
        "yaxis": {**grid, "tickformat": ".0%", "range": [0, 1.02]},
        "yaxis2": {**grid, "overlaying": "y", "side": "right", "showgrid": False},
        "shapes": [_mark(now, "edge", "dot"), _mark(fire, "critical", "solid")],
        "annotations": [_name(now, "in force", 0.06), _name(fire, "on trial", 0.0)],
    }
    config = {"displayModeBar": False, "responsive": True}
    return {"data": data, "layout": layout, "config": config}


def _mark(at: float, colour: str, dash: str) -> dict[str, Any]:
    line = {"color": COLOURS[colour], "width": 2, "dash": dash}
    return {"type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1, "line": line}


def _name(at: float, text: str, height: float) -> dict[str, Any]:
    return {
        "x": at,
        "y": height,
        "yref": "paper",
        "text": text,
        "showarrow": False,
        "xanchor": "left",
        "yanchor": "bottom",
        "font": {"size": 12, "color": COLOURS["ink"]},
        "bgcolor": COLOURS["paper"],
    }
