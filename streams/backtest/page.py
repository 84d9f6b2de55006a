"""A back-test's report as one HTML file: nothing is loaded from anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from connectors.clock import iso

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;
color:#1a1a1a;background:#fff}
table{border-collapse:collapse;margin:1rem 0}th,td{padding:.3rem .8rem;text-align:right;
border-bottom:1px solid #ccc}th:first-child,td:first-child{text-align:left}
small{color:#555}svg{max-width:100%;height:auto}
"""
_FIGURES = (
    ("alerts", "Alerts"),
    ("calls", "Calls, escalations included"),
    ("alerts_per_patient_day", "Alerts per patient-day"),
    ("ppv", "Positive predictive value"),
    ("sensitivity", "Sensitivity"),
    ("specificity", "Specificity (stays)"),
    ("lead_time_h", "Lead time, hours"),
    ("calls_per_nurse_and_hour", "Calls per nurse and hour"),
    ("minutes_open", "Minutes open, if nobody ends it"),
)
_LINES = (("ppv", "#0b5fa5", "8 0"), ("sensitivity", "#a5410b", "6 4"))
_MOST_LISTED = 200


def page(report: Mapping[str, Any]) -> str:
    """The document."""
    before, after = report["before"], report["after"]
    title = f"Back-test: {report['risk']}, {after['policy']} against {before['policy']}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{_basis(before['all'], report)}</p>",
        *(f"<p><small>{escape(note)}</small></p>" for note in report["notes"]),
        *_compared("All stays", before["all"], after["all"], before["policy"], after["policy"]),
        "<h2>By firing threshold</h2>",
        _chart(report["curve"]),
        *_curve(report["curve"]),
    ]
    for part, values in after["parts"].items():
        body += _by_part(part, values, before["parts"].get(part, {}))
    body += _listed("No longer alerted", report["differences"]["no_longer"])
    body += _listed("Newly alerted", report["differences"]["newly"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f"<body>{''.join(body)}</body></html>\n"
    )


def _basis(all_stays: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    horizon = report["horizon_h"]
    judged = f"within {horizon:g} hours of the call" if horizon else "at any time after the call"
    return (
        f"{all_stays['stays']:,} stays of {all_stays['patients']:,} patients, "
        f"{all_stays['patient_days']:,} patient-days, {all_stays['scores']:,} scores, "
        f"{all_stays['events']:,} events. An alert is right when the event comes {judged}. "
        f"{all_stays['patients_per_nurse']:g} patients a nurse. Brackets: 95 % intervals of a "
        "bootstrap over patients."
    )


def _compared(
    title: str, before: Mapping[str, Any], after: Mapping[str, Any], first: str, second: str
) -> Iterator[str]:
    yield f"<h2>{escape(title)}</h2><table><tr><th></th><th>{escape(first)}</th>"
    yield f"<th>{escape(second)}</th></tr>"
    for name, words in _FIGURES:
        cells = f"<td>{value(before[name])}</td><td>{value(after[name])}</td>"
        yield f"<tr><td>{words}</td>{cells}</tr>"
    yield "</table>"


def _by_part(
    part: str, after: Mapping[str, Mapping[str, Any]], before: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    names = [n for n in ("alerts_per_patient_day", "ppv", "sensitivity") if _any(after, n)]
    words = dict(_FIGURES)
    yield f"<h2>By {escape(part)}</h2><table><tr><th></th><th>Alerts before</th><th>Alerts</th>"
    yield "".join(f"<th>{words[n]}</th>" for n in names) + "</tr>"
    for key, figures in after.items():
        count = before.get(key, {}).get("alerts", "–")
        cells = "".join(f"<td>{value(figures.get(n))}</td>" for n in names)
        yield f"<tr><td>{escape(key)}</td><td>{count}</td><td>{figures['alerts']}</td>{cells}</tr>"
    yield "</table>"


def _any(parts: Mapping[str, Mapping[str, Any]], name: str) -> bool:
    return any(name in figures for figures in parts.values())


def _listed(title: str, patients: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield f"<h2>{escape(title)} ({len(patients)})</h2>"
    if not patients:
        return
    yield "<table><tr><th>Patient</th><th>Ward</th><th>First call</th><th>Severity</th>"
    yield "<th>Event</th></tr>"
    for one in patients[:_MOST_LISTED]:
        event = {True: "yes", False: "no", None: "not known"}[one["event"]]
        cells = (one["patient"], one["ward"], when(one["at"]), one["severity"], event)
        yield "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>"
    yield "</table>"
    if len(patients) > _MOST_LISTED:
        yield f"<p><small>… and {len(patients) - _MOST_LISTED} more in report.json.</small></p>"


def _curve(points: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    words = dict(_FIGURES)
    names = [n for n in points[0] if n != "fire"] if points else []
    yield "<table><tr><th>Fires at</th>"
    yield "".join(f"<th>{words[n]}</th>" for n in names) + "</tr>"
    for point in points:
        cells = "".join(f"<td>{value(point[n])}</td>" for n in names)
        yield f"<tr><td>{point['fire']:g}</td>{cells}</tr>"
    yield "</table>"


def _chart(points: Sequence[Mapping[str, Any]]) -> str:
    """Precision and sensitivity over the firing threshold; both axes from 0 to 1."""
    drawn = []
    for place, (name, colour, dash) in enumerate(_LINES):
        path = " ".join(
            f"{60 + 500 * p['fire']:.1f},{260 - 240 * p[name]:.1f}"
            for p in points
            if p[name] is not None
        )
        label = dict(_FIGURES)[name]
        drawn.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5" '
            f'stroke-dasharray="{dash}"/><text x="{80 + 240 * place}" y="16" fill="{colour}">'
            f"{escape(label)}</text>"
        )
    ticks = "".join(
        f'<text x="{60 + 500 * t / 10:.0f}" y="280" text-anchor="middle">{t / 10:g}</text>'
        f'<text x="50" y="{264 - 240 * t / 10:.0f}" text-anchor="end">{t / 10:g}</text>'
        for t in range(0, 11, 2)
    )
    return (
        '<svg viewBox="0 0 600 300" width="600" role="img" aria-label="Precision and sensitivity '
        'by firing threshold" font-size="12"><path d="M60 20V260H560" fill="none" stroke="#555"/>'
        f'{ticks}{"".join(drawn)}<text x="310" y="297" text-anchor="middle">fires at</text></svg>'
    )


def value(said: object) -> str:
    """A figure with its interval, or its quartiles."""
    if said is None:
        return "–"
    if isinstance(said, Mapping):
        if "median" in said:
            return f"{said['median']:g} <small>({said['q1']:g} to {said['q3']:g})</small>"
        if "low" in said:
            return f"{said['value']:.3g} <small>[{said['low']:.3g}, {said['high']:.3g}]</small>"
        return f"{said['value']:.3g}"
    return f"{said:,.3g}" if isinstance(said, float) else f"{said:,}"


def when(at: float) -> str:
    """A moment, or hours since admission."""
    return iso(at)[:16].replace("T", " ") if at > 315_360_000 else f"{at / 3_600:.1f} h"
