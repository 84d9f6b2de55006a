"""What a policy would do with an alert: what holds it back, who is told, who comes next."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.clock import iso
from connectors.contract import (
    Alert,
    AlertReason,
    AlertState,
    LogPosition,
    Missing,
    Score,
    Threshold,
)
from models.risk import AlertRule
from streams.delivery.routing import Routing, who
from streams.policy.rules import Case, Rulebook


def try_out(
    book: Rulebook, shipped: AlertRule, case: Case, state: AlertState, bed: str, at: float
) -> Iterator[str]:
    """In words, a line for each thing."""
    rule = book.rule(case.risk, case.ward, shipped)
    yield f"{case.risk} fires at {rule.fire:g}, clears below {rule.clear:g}, is critical at " + (
        f"{rule.critical:g}"
    )
    if rule.of > 1 or rule.lasting_s:
        lasting = f", after {rule.lasting_s / 60:g} min" if rule.lasting_s else ""
        yield f"confirmed by {rule.scores} of {rule.of} scores{lasting}"
    others = [risk for risk in book.sharing(case.risk) if risk != case.risk]
    if others:
        covers = book.covers(case.risk)
        answers = f", acknowledged together for {covers / 60:g} min" if covers else ""
        yield f"shares a call with {', '.join(others)} ({book.group(case.risk)}){answers}"
    hold = book.hold(case, at)
    if hold is not None:
        change = book.changes_at(case, at)
        until = f", at least until {iso(change)}" if change is not None else ""
        yield f"held back: {hold.reason} ({hold.name}){until}: nobody is called"
        state = AlertState.PENDING
    yield from _told(book.policy.routing, _alert(book, case, rule.fire, state, bed, at))
    for number, step in enumerate(book.escalation(case), 1):
        yield f"escalation {number}: {step.to}, after {step.after / 60:g} min without an answer"


def _told(routing: Routing | None, alert: Alert) -> Iterator[str]:
    if routing is None:
        yield "the policy has no routing: the sinks tell whom they are set up for"
        return
    told = who(routing, alert)
    yield f"told: {', '.join(one.receiver for one in told) if told else 'nobody'}"


def _alert(
    book: Rulebook, case: Case, fire: float, state: AlertState, bed: str, at: float
) -> Alert:
    """An alert as routes see it."""
    score = Score(
        patient=case.patient,
        risk=case.risk,
        as_of=iso(at),
        probability=None,
        log_odds=None,
        interval=None,
        abstained=None,
        baseline=0.0,
        evidence=[],
        missing=Missing(modalities=[], next_datum=None),
        model="",
        config=book.version,
        log=LogPosition(topic="", partition=0, offset=0),
        caused_by=[],
        trace="",
    )
    return Alert(
        alert_id="test",
        revision=1,
        patient=case.patient,
        risk=case.risk,
        episode="test",
        state=state,
        reason=AlertReason.ABOVE_THRESHOLD,
        since=iso(at),
        at=iso(at),
        severity=case.severity,
        threshold=Threshold(value=fire, version=book.version),
        score=score,
        ward=case.ward,
        bed=bed,
        group=book.group(case.risk),
    )
