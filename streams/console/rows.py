"""Alerts and patients as table rows, in the order in which a ward should read them."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.clock import from_iso
from connectors.contract import Alert, AlertState, Score, Severity
from connectors.identity import Identity
from streams.console.care import care_words
from streams.console.diff import Cell, Row
from streams.console.evidence import reasons
from streams.console.ports import PatientSummary
from streams.console.times import HospitalTime, duration
from streams.console.units import percent, percent_range
from streams.console.words import (
    SEVERITIES,
    STATES,
    abstention_words,
    birth_words,
    contribution_words,
    full_name,
    is_open,
    missing_words,
    place,
    risk_words,
)

ALERT_COLUMNS = (
    {"id": "state", "label": "Alert", "kind": "badge"},
    {"id": "patient", "label": "Patient", "kind": "person"},
    {"id": "risk", "label": "Risk", "kind": "chance"},
    {"id": "why", "label": "Main reasons", "kind": "list"},
    {"id": "missing", "label": "Not known", "kind": "list"},
    {"id": "since", "label": "Since", "kind": "text"},
    {"id": "care", "label": "Care", "kind": "care"},
)
PATIENT_COLUMNS = (
    {"id": "patient", "label": "Patient", "kind": "person"},
    {"id": "place", "label": "Place", "kind": "text"},
    {"id": "risks", "label": "Risk now", "kind": "list"},
    {"id": "spark", "label": "Recent scores", "kind": "spark"},
    {"id": "alerts", "label": "Alerts", "kind": "badge"},
    {"id": "as_of", "label": "Newest data", "kind": "text"},
)

_SEVERITY_RANK = {Severity.CRITICAL: 0, Severity.WARNING: 1}
_STATE_ICON = {
    AlertState.PENDING: "clock",
    AlertState.ACKNOWLEDGED: "check",
    AlertState.SNOOZED: "pause",
    AlertState.ESCALATED: "up",
    AlertState.RESOLVED: "check",
    AlertState.WITHDRAWN: "cross",
}


def href(pseudonym: str) -> str:
    """Address of the patient page."""
    return f"/patient/{pseudonym}"


def order(alert: Alert) -> tuple[int, int, float, str]:
    """Open before ended, critical first, newest first."""
    ended = not is_open(alert)
    when = from_iso(alert.at if ended else alert.since)
    return (int(ended), _SEVERITY_RANK[alert.severity], -when, alert.alert_id)


def tone(alert: Alert) -> str:
    """The row's colour; its words say the same."""
    return alert.severity.value if is_open(alert) else "ended"


def badge(alert: Alert, times: HospitalTime) -> Cell:
    """Severity, state and who has it, by shape, word and colour."""
    if not is_open(alert):
        return {"icon": _STATE_ICON[alert.state], "tone": "ended", "v": STATES[alert.state]}
    return {
        "icon": alert.severity.value,
        "tone": alert.severity.value,
        "v": SEVERITIES[alert.severity],
        "sub": STATES[alert.state],
        "subicon": _STATE_ICON.get(alert.state, ""),
        "sub2": care_words(alert, times),
    }


def chance(score: Score, threshold: float | None) -> Cell:
    """Probability, interval and the bar that shows both against the threshold."""
    name = risk_words(score.risk).name
    if score.fall_back is not None:
        name = f"{name}, by {risk_words(score.fall_back.risk).name}"
    if score.probability is None:
        why = abstention_words(score.abstained or "", score.risk)
        return {"label": name, "v": "No score", "sub": why}
    cell: Cell = {"label": name, "v": percent(score.probability), "at": score.probability}
    if score.interval is not None:
        cell |= {"sub": percent_range(score.interval), "span": list(score.interval)}
    if threshold is not None and score.fall_back is None:  # a rule alarms by its own triggers
        cell["mark"] = threshold
    return cell


def person(pseudonym: str, identity: Identity | None, sub: str) -> Cell:
    """The patient's name as a link; date of birth, so that two of one name are told apart."""
    born = birth_words(identity.birth_date) if identity and identity.birth_date else ""
    return {
        "v": full_name(identity, pseudonym),
        "href": href(pseudonym),
        "sub": sub,
        "sub2": f"born {born}" if born else "",
        "plain": identity is None,
    }


def alert_row(
    alert: Alert, score: Score, identity: Identity | None, times: HospitalTime, care: Cell
) -> Row:
    """One line of the list of alerts; `care` are the buttons, and what became of them."""
    since, now = from_iso(alert.since), from_iso(score.as_of)
    unknown = [missing_words(score.missing, most=3)]
    if score.missing.next_datum:
        unknown.insert(0, f"Most telling next: {score.missing.next_datum}")
    ended = not is_open(alert)
    end = f"ended {times.moment(from_iso(alert.at), now)}"
    return Row(
        key=alert.alert_id,
        tone=tone(alert),
        revision=alert.revision,
        cells=[
            badge(alert, times),
            person(alert.patient, identity, place(alert.ward, alert.bed)),
            chance(score, alert.threshold.value),
            {"v": [contribution_words(c) for c in reasons(score)]},
            {"v": [text for text in unknown if text]},
            {
                "v": times.moment(since, now),
                "sub": end if ended else f"for {duration(now - since)}",
            },
            care,
        ],
    )


def announcement(alert: Alert, score: Score, identity: Identity | None) -> str:
    """What a screen reader says of a new alert."""
    parts = [
        f"{SEVERITIES[alert.severity]} alert",
        full_name(identity, "patient without a name"),
        place(alert.ward, alert.bed),
        risk_words(alert.risk).name,
    ]
    if score.probability is not None:
        parts.append(percent(score.probability))
    return ", ".join(parts)


def counts(alerts: Iterable[Alert]) -> str:
    """`3 alerting, 1 escalated`; `no open alerts`."""
    found: dict[AlertState, int] = {}
    for alert in alerts:
        if is_open(alert):
            found[alert.state] = found.get(alert.state, 0) + 1
    ranked = (
        AlertState.ESCALATED,
        AlertState.FIRING,
        AlertState.PENDING,
        AlertState.ACKNOWLEDGED,
        AlertState.SNOOZED,
    )
    parts = [f"{found[s]} {STATES[s].lower()}" for s in ranked if s in found]
    return ", ".join(parts) or "no open alerts"


def patient_row(
    summary: PatientSummary,
    alerts: list[Alert],
    trend: list[tuple[float, float]],
    identity: Identity | None,
    times: HospitalTime,
) -> Row:
    """One line of the list of patients. `trend`: (as_of, probability), oldest first."""
    risks = [
        f"{risk_words(risk).name} {percent(p) if p is not None else '– no score'}"
        for risk, p in sorted(summary.probability.items())
    ]
    worst = min((a for a in alerts if is_open(a)), key=order, default=None)
    as_of = "" if summary.as_of is None else times.stamp(summary.as_of)
    return Row(
        key=summary.pseudonym,
        tone=tone(worst) if worst else "",
        cells=[
            person(summary.pseudonym, identity, ""),
            {"v": place(summary.ward, summary.bed)},
            {"v": risks or ["No score yet"]},
            {"points": [[round(t), round(p, 3)] for t, p in trend]},
            badge(worst, times) if worst else {"v": "None", "tone": "", "icon": ""},
            {"v": as_of or "–"},
        ],
    )
