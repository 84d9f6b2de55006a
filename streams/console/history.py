"""The alerts of one patient, revision by revision, with what people did."""

from __future__ import annotations

from connectors.clock import from_iso
from connectors.contract import Acted, Alert
from streams.console.care import acted_words
from streams.console.diff import Row
from streams.console.rows import badge
from streams.console.times import HospitalTime
from streams.console.units import percent
from streams.console.words import REASONS, risk_words

HISTORY_COLUMNS = (
    {"id": "badge", "label": "Alert", "kind": "badge"},
    {"id": "risk", "label": "Risk", "kind": "text"},
    {"id": "why", "label": "Why it changed", "kind": "text"},
    {"id": "chance", "label": "Estimate", "kind": "text"},
    {"id": "at", "label": "Time", "kind": "text"},
)


def history_rows(alerts: list[Alert], times: HospitalTime, now: float) -> list[Row]:
    """Every revision of every alert that is kept, and every action on it, newest first."""
    found = [((from_iso(a.at), a.revision), _revision(a, times, now)) for a in alerts]
    latest = {a.alert_id: a for a in sorted(alerts, key=lambda a: a.revision)}
    for alert in latest.values():
        for n, acted in enumerate(alert.actions):
            found.append(((from_iso(acted.at), n), _action(alert, acted, times, now)))
    found.sort(key=lambda pair: pair[0], reverse=True)
    return [row for _, row in found]


def _action(alert: Alert, acted: Acted, times: HospitalTime, now: float) -> Row:
    return Row(
        key=f"{alert.alert_id}/{acted.id}",
        tone="",
        cells=[
            {"v": "By hand", "tone": "", "icon": ""},
            {"v": risk_words(alert.risk).name},
            {"v": acted_words(acted, times)},
            {"v": ""},
            {"v": times.moment(from_iso(acted.at), now)},
        ],
    )


def _revision(alert: Alert, times: HospitalTime, now: float) -> Row:
    p = alert.score.probability
    return Row(
        key=f"{alert.alert_id}/{alert.revision}",
        tone="",
        cells=[
            badge(alert, times),
            {"v": risk_words(alert.risk).name},
            {"v": REASONS[alert.reason].capitalize(), "sub": _which(alert)},
            {"v": "No score" if p is None else percent(p)},
            {"v": times.moment(from_iso(alert.at), now)},
        ],
    )


def _which(alert: Alert) -> str:
    trace = f", trace {alert.score.trace}" if alert.score.trace else ""
    threshold = f"threshold {percent(alert.threshold.value)} ({alert.threshold.version})"
    return f"revision {alert.revision}, {threshold}{trace}"
