"""A decision as the world reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connectors.clock import iso
from connectors.contract import (
    Alert,
    AlertState,
    Evidence,
    LogPosition,
    Missing,
    Moved,
    Score,
    Threshold,
)
from streams.policy.rules import Rule, Rulebook
from streams.silence import Silence
from streams.situation import Announcement
from streams.state import PatientState

MOST_MOVED: Final = 3
RETIRED: Final = Silence.RETIRED.value
NEVER: Final = Rule(fire=1.0, clear=1.0, critical=1.0, version=RETIRED)  # of such a risk


def moved(before: dict[str, float], evidence: Sequence[Evidence]) -> list[Moved]:
    """The features whose contributions moved most since the score before, strongest first."""
    now = {c.feature: c for e in evidence for c in e.top}
    names = sorted(
        before.keys() | now.keys(),
        key=lambda n: (-abs((now[n].contribution if n in now else 0.0) - before.get(n, 0.0)), n),
    )
    found = []
    for name in names[:MOST_MOVED]:
        one = now.get(name)
        after = one.contribution if one else None
        if after != before.get(name):
            found.append(
                Moved(
                    feature=name,
                    value=one.value if one else None,
                    unit=one.unit if one else "",
                    before=before.get(name),
                    after=after,
                )
            )
    return found


def to_alert(
    state: PatientState,
    told: Announcement,
    score: Score,
    rule: Rule,
    book: Rulebook,
    why_now: list[Moved],
) -> Alert:
    """An announcement as the world reads it."""
    published = told.published
    stay = state.record.stay(state.now())
    until = published.snoozed_until
    snoozed = published.state is AlertState.SNOOZED and until is not None
    return Alert(
        alert_id=published.alert_id,
        revision=published.revision,
        patient=score.patient,
        risk=told.risk,
        episode=published.episode,
        state=published.state,
        reason=told.reason,
        since=iso(published.since),
        at=score.as_of,
        severity=published.severity,
        threshold=Threshold(value=rule.fire, version=rule.version),
        score=score,
        ward=stay.ward if stay else "",
        bed=stay.bed if stay else "",
        group=book.group(told.risk),
        joined=published.joined,
        calls=told.calls,
        called=published.called,
        held_by=published.held_by,
        escalation=published.escalation,
        escalated_to=published.escalated_to,
        acknowledged_by=published.acknowledged_by,
        snoozed_until=iso(until) if snoozed and until is not None else "",
        handed_to=published.handed_to,
        comment_count=published.comments,
        actions=published.actions,
        why_now=why_now,
    )


def retired(
    patient: str, risk: str, state: PatientState, log: LogPosition, caused_by: list[str]
) -> Score:
    """In place of a score: nobody asks this question here any more."""
    stay = state.record.stay(state.now())
    return Score(
        patient=patient,
        risk=risk,
        as_of=iso(state.now()),
        probability=None,
        log_odds=None,
        interval=None,
        abstained=RETIRED,
        baseline=0.0,
        evidence=[],
        missing=Missing(modalities=[], next_datum=None),
        model="",
        config=RETIRED,
        log=log,
        caused_by=caused_by,
        trace=state.trace,
        ward=stay.ward if stay else "",
    )
