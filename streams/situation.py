"""What surrounds a decision about an alert, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from connectors.contract import OPEN, AlertReason, Severity
from models.record import Presence
from streams import alerting
from streams.alerting import Published, RiskState
from streams.policy.rules import Case, Rulebook

R = AlertReason


class Situation(NamedTuple):
    """What surrounds a decision on one risk of one patient."""

    patient: str
    risk: str
    at: float  # Tocsin's clock, as the log has it
    presence: Presence  # in the stay that the open alert belongs to
    abstained: str | None
    case: Callable[[Severity], Case]
    book: Rulebook
    rule_changed: bool = False  # the thresholds are others than at the step before
    model_changed: bool = False


class Announcement(NamedTuple):
    """A change to be told."""

    risk: str
    published: Published
    reason: AlertReason
    calls: bool  # people have to be told


def open_alert(state: RiskState) -> Published | None:
    """The alert of this risk that has not ended."""
    last = state.published[-1] if state.published else None
    return last if last is not None and last.state in OPEN else None


def ending(state: RiskState, last: Published, now: Situation) -> AlertReason:
    """Why an alert that is not wanted any more ends."""
    by_presence = _ENDED_BY_PRESENCE.get(now.presence)
    if by_presence is not None:
        return by_presence
    if now.abstained == "stale_data":
        return R.DATA_EXPIRED
    if now.abstained == "question_over":
        return R.QUESTION_OVER
    if now.model_changed:
        return R.MODEL_CHANGED
    if now.rule_changed:
        return R.THRESHOLD_CHANGED
    true = now.abstained is None and alerting.still_true(state, last.episode)
    return R.BELOW_THRESHOLD if true else R.DATA_CHANGED


_ENDED_BY_PRESENCE: Final = {
    Presence.DISCHARGED: R.DISCHARGED,
    Presence.DIED: R.DIED,
    Presence.CANCELLED: R.STAY_CANCELLED,
    Presence.NOT_YET: R.STAY_CANCELLED,
    Presence.MERGED: R.MERGED,
}
ENDS: Final = frozenset(_ENDED_BY_PRESENCE)  # of alerts, whatever the data say
