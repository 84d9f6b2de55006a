"""What people do with alerts: as an alert keeps it, and what they are answered."""

from __future__ import annotations

from connectors.clock import iso
from connectors.contract import Acted, AlertReason, Answer, FeedbackAnswer
from connectors.feedback import Action, Feedback
from streams.alerting import Published

# What is noted with an alert that has ended.
NOTED = {Action.COMMENT: AlertReason.COMMENTED, Action.OUTCOME: AlertReason.OUTCOME}
# What answers the picture that was seen, and not a worse one.
OF_A_PICTURE = frozenset({Action.ACKNOWLEDGE, Action.SNOOZE, Action.DISMISS})


def to_acted(action: Feedback) -> Acted:
    """An action as an alert shows it."""
    return Acted(
        id=action.id,
        who=action.who,
        action=action.action,
        at=iso(action.at),
        until="" if action.until is None else iso(action.until),
        reason=action.reason or "",
        to=action.to,
        comment=action.comment,
        outcome=action.outcome or "",
    )


def answered(action: Feedback, answer: Answer, alert: Published | None) -> FeedbackAnswer:
    """What became of an action, for `tocsin.audit`."""
    return FeedbackAnswer(
        event="feedback",
        id=action.id,
        who=action.who,
        at=iso(action.heard),
        patient=action.patient,
        alert_id=action.alert_id,
        action=action.action,
        answer=answer,
        state=alert.state if alert else "",
        revision=alert.revision if alert else 0,
    )
