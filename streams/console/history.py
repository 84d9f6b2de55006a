"""The alerts of one patient, revision by revision."""

from __future__ import annotations

from connectors.clock import from_iso
from connectors.contract import Alert
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
    """Every revision of every alert, newest first."""
    ordered = sorted(alerts, key=lambda a: (from_iso(a.at), a.revision), reverse=True)
    return [_revision(alert, times, now) for alert in ordered]


def _revision(alert: Alert, times: HospitalTime, now: float) -> Row:
    p = alert.score.probability
    return Row(
        key=f"{alert.alert_id}/{alert.revision}",
        tone="",
        cells=[
            badge(alert),
            {"v": risk_words(alert.risk).name},
            {"v": REASONS[alert.reason].capitalize(), "sub": f"revision {alert.revision}"},
            {"v": "No score" if p is None else percent(p)},
            {"v": times.moment(from_iso(alert.at), now)},
        ],
    )
