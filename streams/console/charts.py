"""Plotly figures, as plain dictionaries: trends on one time axis, and the sum as a waterfall."""

from __future__ import annotations

from typing import Any, NamedTuple

from connectors.facts import Observation
from models.record import PatientRecord
from models.units import Rejection, canonical
from models.variables import BY_NAME
from streams.console.evidence import Kind, Line, probability_of
from streams.console.palette import COLOURS
from streams.console.panels import LABS, MOST_LABS, VITALS, Panel
from streams.console.ports import PatientView
from streams.console.times import HospitalTime
from streams.console.units import display_unit, display_value, percent, signed
from streams.console.words import risk_words

Figure = dict[str, Any]

_NO_WIDTH = "\u200b"
_STRIP_PX = 92
_SERIES = (COLOURS["series-1"], COLOURS["series-2"], COLOURS["series-3"])
_DASHES = ("solid", "dot", "dash")
_MARKERS = ("circle", "diamond", "square")
_CONFIG = {"displayModeBar": False, "displaylogo": False, "responsive": True, "scrollZoom": False}
_FONT = {"family": "system-ui, sans-serif", "size": 13, "color": COLOURS["ink"]}


class Strip(NamedTuple):
    """One strip of the trends with its lines."""

    title: str
    traces: list[dict[str, Any]]
    axis: dict[str, Any]
    threshold: float | None = None


def trends(
    view: PatientView, times: HospitalTime, start: float, end: float, thresholds: dict[str, float]
) -> Figure:
    """Scores over their thresholds, vital signs and laboratory from `start` to `end`."""
    strips = [
        _score_strip(risk, view.history[risk], times, (start, end), thresholds.get(risk))
        for risk in sorted(view.history)
    ]
    strips += _strips(view.record, VITALS, times, (start, end))
    strips += _strips(view.record, LABS, times, (start, end))[:MOST_LABS]
    return _stack(strips, times, start, end)


def _score_strip(
    risk: str,
    history: list[tuple[float, float]],
    times: HospitalTime,
    span: tuple[float, float],
    threshold: float | None,
) -> Strip:
    points = [(t, probability_of(x)) for t, x in history if span[0] <= t <= span[1]]
    trace = _line(
        risk_words(risk).name,
        [times.plot(t) for t, _ in points],
        [100 * p for _, p in points],
        [f"{risk_words(risk).name} {percent(p)}" for _, p in points],
        0,
    )
    trace["line"]["shape"] = "hv"  # a score holds until the next one
    top = max([p for _, p in points] + [(threshold or 0) * 1.15, 0.1])
    axis = {"range": [0, min(100.0, 110 * top)], "ticksuffix": " %"}
    title = f"{risk_words(risk).name}, risk"
    if threshold is not None:
        title += f" (dashed: alert at {percent(threshold)})"
    return Strip(title, [trace], axis, None if threshold is None else 100 * threshold)


def _strips(
    record: PatientRecord, panels: tuple[Panel, ...], times: HospitalTime, span: tuple[float, float]
) -> list[Strip]:
    found = (_strip(record, panel, times, span) for panel in panels)
    return [strip for strip in found if strip is not None]


def _strip(
    record: PatientRecord, panel: Panel, times: HospitalTime, span: tuple[float, float]
) -> Strip | None:
    """None when nothing of the panel was measured within `span`."""
    lines = [(label, _readings(record, names, span)) for label, names in panel.lines]
    every = [reading for _, readings in lines for reading in readings]
    if not every:
        return None
    # As the hospital writes it; canonical units only where it writes several.
    sent = {r.observation.unit for r in every}
    unit = display_unit(sent.pop() if len(sent) == 1 else every[0].unit)
    as_sent = not sent
    traces = [
        _measured(label, readings, times, i, as_sent)
        for i, (label, readings) in enumerate(lines)
        if readings
    ]
    names = f": {', '.join(t['name'].lower() for t in traces)}" if len(panel.lines) > 1 else ""
    return Strip(f"{panel.title}{names}" + (f" [{unit}]" if unit else ""), traces, {})


class Reading(NamedTuple):
    """A plausible value, as sent and in its variable's canonical unit."""

    observation: Observation
    value: float
    unit: str  # canonical, UCUM


def _readings(
    record: PatientRecord, names: tuple[str, ...], span: tuple[float, float]
) -> list[Reading]:
    found: list[Reading] = []
    for variable in (BY_NAME[name] for name in names):
        for observation in (o for code in variable.codes for o in record.between(code, *span)):
            value = canonical(variable, observation)
            if not isinstance(value, Rejection):
                found.append(Reading(observation, value, variable.unit))
    return sorted(found, key=lambda r: r.observation.time)


def _measured(
    label: str, readings: list[Reading], times: HospitalTime, i: int, as_sent: bool
) -> dict[str, Any]:
    observations = [r.observation for r in readings]
    words = [f"{label} {display_value(o.value, o.unit, o.comparator)}" for o in observations]
    y = [r.observation.value if as_sent else r.value for r in readings]
    return _line(label, [times.plot(o.time) for o in observations], y, words, i)


def _line(name: str, x: list[str], y: list[Any], words: list[str], i: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": x,
        "y": y,
        "text": words,
        "hovertemplate": "%{text}<extra></extra>",
        "line": {"color": _SERIES[i], "width": 1.6, "dash": _DASHES[i]},
        "marker": {"color": _SERIES[i], "size": 4 if len(x) > 40 else 6, "symbol": _MARKERS[i]},
    }


def _stack(strips: list[Strip], times: HospitalTime, start: float, end: float) -> Figure:
    """One above the other; all share the time axis and the cursor."""
    count = max(1, len(strips))
    gap = 0.26 / count
    height = (1 - gap * count) / count
    data: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    layout = _layout(_STRIP_PX * count + 60)
    annotations = layout["annotations"]
    for i, strip in enumerate(strips):
        bottom = 1 - (i + 1) * (height + gap)
        name = "" if i == 0 else str(i + 1)
        layout[f"yaxis{name}"] = _axis(strip.axis, bottom, bottom + height)
        annotations.append(_title(strip.title, bottom + height))
        data += [{**trace, "yaxis": f"y{name}"} for trace in strip.traces]
        if strip.threshold is not None:
            shapes.append(_threshold(strip.threshold, f"y{name}"))
    layout["shapes"] = shapes
    layout["xaxis"] = {
        "type": "date",
        "range": [times.plot(start), times.plot(end)],
        "anchor": "free",
        "position": 0,
        "showgrid": True,
        "gridcolor": COLOURS["line"],
        "showspikes": True,
        "spikemode": "across",
        "spikethickness": 1,
        "spikecolor": COLOURS["edge"],
        "tickformatstops": [
            {"dtickrange": [None, 86_400_000], "value": "%H:%M\n%-d %b"},
            {"dtickrange": [86_400_000, None], "value": "%-d %b"},
        ],
    }
    return {"data": data, "layout": layout, "config": _CONFIG}


def _layout(height: int) -> dict[str, Any]:
    return {
        "height": height,
        "autosize": True,
        "margin": {"l": 48, "r": 12, "t": 6, "b": 40},
        "font": _FONT,
        "paper_bgcolor": COLOURS["paper"],
        "plot_bgcolor": COLOURS["paper"],
        "showlegend": False,
        "hovermode": "x",
        "hoversubplots": "axis",
        "dragmode": False,
        "annotations": [],
        "uirevision": "keep",
    }


def _axis(extra: dict[str, Any], bottom: float, top: float) -> dict[str, Any]:
    return {
        "domain": [max(0.0, bottom), top],
        "gridcolor": COLOURS["line"],
        "zeroline": False,
        "nticks": 4,
        "fixedrange": True,
        "tickfont": {"color": COLOURS["muted"], "size": 11},
        **extra,
    }


def _title(text: str, y: float) -> dict[str, Any]:
    return {
        "text": text,
        "x": 0,
        "y": y,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 12, "color": COLOURS["muted"]},
    }


def _threshold(at: float, axis: str) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "yref": axis,
        "y0": at,
        "y1": at,
        "line": {"color": COLOURS["critical"], "width": 2, "dash": "dash"},
    }


def waterfall(lines: list[Line]) -> Figure:
    """From the baseline to the sum, one bar for each line that moves it."""
    steps = [line for line in lines if line.kind is not Kind.MODALITY]
    layout = _layout(34 * len(steps) + 60)
    layout["hovermode"] = "closest"
    layout["margin"] = {"l": 8, "r": 44, "t": 6, "b": 34}
    layout["yaxis"] = {"autorange": "reversed", "automargin": True, "fixedrange": True}
    layout["xaxis"] = {
        "title": {"text": "← lower risk · log-odds · higher risk →", "font": {"size": 12}},
        "gridcolor": COLOURS["line"],
        "fixedrange": True,
        "zeroline": True,
        "zerolinecolor": COLOURS["edge"],
        "range": _with_room(steps),
    }
    bar = {
        "type": "waterfall",
        "orientation": "h",
        "measure": [_measure(line) for line in steps],
        # Two lines of the same words must stay two bars.
        "y": [line.label + _NO_WIDTH * i for i, line in enumerate(steps)],
        "x": [line.shown for line in steps],
        "text": [signed(line.shown) for line in steps],
        "textposition": ["auto" if abs(line.shown) > 1 else "outside" for line in steps],
        "insidetextfont": {"color": COLOURS["paper"]},
        "textangle": 0,
        "cliponaxis": False,
        "hovertemplate": "%{y} %{text}<extra></extra>",
        "increasing": {"marker": {"color": COLOURS["raises"]}},
        "decreasing": {"marker": {"color": COLOURS["lowers"]}},
        "totals": {"marker": {"color": COLOURS["bar"]}},
        "connector": {"line": {"color": COLOURS["edge"], "width": 1}},
    }
    return {"data": [bar], "layout": layout, "config": _CONFIG}


def _with_room(steps: list[Line]) -> list[float]:
    """From the lowest end of a bar to the highest, with room for the figure that stands outside."""
    at, ends = 0.0, [0.0]
    for line in steps:
        at = line.shown if _measure(line) != "relative" else at + line.shown
        ends.append(at)
    room = 0.28 * (max(ends) - min(ends) or 1.0)
    return [min(ends) - room, max(ends) + room]


def _measure(line: Line) -> str:
    return {Kind.BASELINE: "absolute", Kind.SUM: "total"}.get(line.kind, "relative")
