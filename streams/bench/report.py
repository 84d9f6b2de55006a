"""The figures of a benchmark as one HTML page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

_WIDTH, _HEIGHT, _LEFT, _BELOW = 520, 260, 60, 34
_CONTRACT = (
    "floor_msg_s",
    "naive_msg_s",
    "throughput_msg_s",
    "throughput_by_naive",
    "capacity_msg_s",
)
_COLOURS = ("#0b6e8f", "#b5472f", "#4a7c2c", "#7a4fa3", "#8a6d1d", "#555555")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c2529; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { border-bottom: 1px solid #cfd8dc; padding: .2rem .8rem .2rem 0; text-align: left; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
figure { display: inline-block; margin: 1rem 1rem 1rem 0; }
svg text { font: 12px system-ui, sans-serif; fill: #37474f; }
"""


class Line(NamedTuple):
    """One line of a plot."""

    name: str
    points: Sequence[tuple[float, float]]


def write(path: Path, figures: dict[str, Any]) -> None:
    """Write the page."""
    path.write_text(page(figures))


def page(figures: dict[str, Any]) -> str:
    """The page's text."""
    curve, cores = figures.get("curve", []), figures.get("cores_had", {})
    body = [
        "<h1>What this machine does with Tocsin on it</h1>",
        _table("Contract", _contract(figures)),
        _table("Who had the cores while messages came at once", cores.get("flood", {})),
        _table("Who had the cores at the steady rate", cores.get("steady", {})),
        _plot("Scored, by messages sent a second", "sent/s", "scored/s", _throughput(curve)),
        _plot("Event → score, by messages sent a second", "sent/s", "ms", _latency(curve)),
        _plot("Latency by percentile", "percentile", "ms", _percentiles(figures)),
        _plot("Processor time by workers", "workers", "ms a message", _scaling(figures)),
        _table("Processor time, ms a message, flood", figures.get("cpu_ms_per_message", {})),
        _table(
            "Processor time, ms a message, steady", figures.get("latency_cpu_ms_per_message", {})
        ),
        _table("Resident memory, MB", figures.get("resident_mb", {})),
        f"<details><summary>All figures</summary><pre>{escape(json.dumps(figures, indent=2))}</pre>"
        "</details>",
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Tocsin: benchmark</title>'
        f"<style>{_STYLE}</style><body>{''.join(body)}</body></html>\n"
    )


def _contract(figures: dict[str, Any]) -> dict[str, Any]:
    names = (
        "floor_msg_s",
        "naive_msg_s",
        "throughput_msg_s",
        "throughput_by_naive",
        "capacity_msg_s",
    )
    rows = {name: figures[name] for name in names if name in figures}
    for name in ("event_to_alert_ms", "event_to_score_ms", "ack_ms"):
        for part, value in (figures.get(name) or {}).items():
            rows[f"{name} {part}"] = value
    return rows


def _table(title: str, rows: dict[str, Any]) -> str:
    if not rows:
        return ""
    cells = "".join(
        f'<tr><th>{escape(str(k))}</th><td class="n">{escape(str(v))}</td></tr>'
        for k, v in rows.items()
    )
    return f"<h2>{escape(title)}</h2><table>{cells}</table>"


def _throughput(curve: Sequence[dict[str, Any]]) -> list[Line]:
    return [
        Line("scored", [(s["sent_msg_s"], s["scored_msg_s"]) for s in curve]),
        Line("sent", [(s["sent_msg_s"], s["sent_msg_s"]) for s in curve]),
    ]


def _latency(curve: Sequence[dict[str, Any]]) -> list[Line]:
    return [
        Line(part, [(s["sent_msg_s"], s[which][part]) for s in curve if s[which]])
        for which in ("event_to_score_ms",)
        for part in ("p50", "p99")
    ]


def _percentiles(figures: dict[str, Any]) -> list[Line]:
    return [
        Line(name, [(float(p), ms) for p, ms in points])
        for name, points in figures.get("latency_by_percentile_ms", {}).items()
    ]


def _scaling(figures: dict[str, Any]) -> list[Line]:
    runs = figures.get("scaling", [])
    names = sorted({name for run in runs for name in run["cpu_ms_per_message"]})
    return [
        Line(name, [(run["workers"], run["cpu_ms_per_message"].get(name, 0.0)) for run in runs])
        for name in names
        if any(run["cpu_ms_per_message"].get(name, 0.0) > 0.01 for run in runs)
    ]


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.4g}"


def _plot(title: str, x_name: str, y_name: str, lines: Sequence[Line]) -> str:
    """Lines in SVG, both axes from zero."""
    points = [p for line in lines for p in line.points]
    if len({x for x, _ in points}) < 2:
        return ""
    most_x, most_y = max(x for x, _ in points), max(y for _, y in points) or 1.0
    low_x = min(x for x, _ in points) if x_name == "percentile" else 0.0
    inner_w, inner_h = _WIDTH - _LEFT - 110, _HEIGHT - _BELOW - 16

    def at(x: float, y: float) -> str:
        place = _LEFT + inner_w * (x - low_x) / (most_x - low_x)
        return f"{place:.1f},{16 + inner_h * (1 - y / most_y):.1f}"

    drawn = [
        f'<line x1="{_LEFT}" y1="{16 + inner_h}" x2="{_LEFT + inner_w}" y2="{16 + inner_h}" '
        'stroke="#90a4ae"/>',
        f'<line x1="{_LEFT}" y1="16" x2="{_LEFT}" y2="{16 + inner_h}" stroke="#90a4ae"/>',
        f'<text x="{_LEFT - 6}" y="22" text-anchor="end">{_number(most_y)}</text>',
        f'<text x="{_LEFT - 6}" y="{16 + inner_h}" text-anchor="end">0</text>',
        f'<text x="{_LEFT + inner_w}" y="{_HEIGHT - 12}" text-anchor="end">{_number(most_x)} '
        f"{escape(x_name)}</text>",
        f'<text x="{_LEFT}" y="11">{escape(y_name)}</text>',
    ]
    for n, line in enumerate(lines):
        colour = _COLOURS[n % len(_COLOURS)]
        path = " ".join(at(x, y) for x, y in sorted(line.points))
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn.append(
            f'<text x="{_LEFT + inner_w + 8}" y="{26 + 16 * n}" style="fill:{colour}">'
            f"{escape(line.name)}</text>"
        )
    svg = f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img">{"".join(drawn)}</svg>'
    return f"<figure><figcaption>{escape(title)}</figcaption>{svg}</figure>"
