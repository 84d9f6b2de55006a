"""An alert that is none: to try out a receiver, and to see who would be told."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import msgspec

from connectors.clock import iso
from connectors.contract import (
    Alert,
    AlertReason,
    AlertState,
    LogPosition,
    Missing,
    Score,
    Severity,
    Threshold,
)
from connectors.sinks.notice import Notice
from streams.delivery.routing import LABELS, Routing, Told, who
from streams.errors import UserError


def example(now: float, labels: Mapping[str, str]) -> Alert:
    """An alert of nobody that carries these labels. Raises `UserError`."""
    at = iso(now)
    score = Score(
        patient="p-nobody",
        risk=labels.get("risk") or "deterioration",
        as_of=at,
        probability=0.5,
        log_odds=0.0,
        interval=(0.4, 0.6),
        abstained=None,
        baseline=0.0,
        evidence=[],
        missing=Missing(modalities=[], next_datum=None),
        model="none",
        config="none",
        log=LogPosition(topic="none", partition=0, offset=0),
        caused_by=[],
        trace="",
    )
    base = Alert(
        alert_id=secrets.token_hex(12),
        revision=1,
        patient=score.patient,
        risk=score.risk,
        episode="none",
        state=AlertState.FIRING,
        reason=AlertReason.ABOVE_THRESHOLD,
        since=at,
        at=at,
        severity=Severity.CRITICAL,
        threshold=Threshold(value=0.5, version="none"),
        score=score,
        group=score.risk,
    )
    found = msgspec.structs.replace(base, **_read(labels))
    quiet = found.state in _CALL_NOBODY or found.reason in (AlertReason.JOINED, AlertReason.COVERED)
    return msgspec.structs.replace(found, calls=not quiet)


_CALL_NOBODY = (AlertState.PENDING, AlertState.ACKNOWLEDGED, AlertState.SNOOZED)


def _read(labels: Mapping[str, str]) -> dict[str, object]:
    kinds = {"state": AlertState, "reason": AlertReason, "severity": Severity}
    found: dict[str, object] = {}
    for label, text in labels.items():
        if label not in LABELS:
            raise UserError(f"There is no label {label}; there are {', '.join(LABELS)}.")
        if not text:
            continue
        kind = kinds.get(label)
        if kind is not None and text not in set(kind):
            raise UserError(f"{text} is no {label}: it is one of {', '.join(kind)}.")
        found[label] = kind(text) if kind is not None else text
    return found


def trial(receiver: str, now: float) -> Notice:
    """What `tocsin sinks test` sends: marked as a test in every format."""
    return Notice(receiver=receiver, alerts=(example(now, {}),), at=now, test=True)


def explain(routing: Routing, alert: Alert) -> list[str]:
    """Who would be told of an alert, a line each."""
    told = who(routing, alert)
    if not told:
        return ["nobody"]
    return [_line(one) for one in told]


def _line(told: Told) -> str:
    parts = [told.receiver, f"by route {'.'.join(str(n + 1) for n in told.path) or 'root'}"]
    if told.group_by:
        parts.append(f"together with others of the same {' and '.join(told.group_by)}")
    if told.repeat_s:
        parts.append(f"again every {told.repeat_s:g} s until somebody takes it")
    return ", ".join(parts)
