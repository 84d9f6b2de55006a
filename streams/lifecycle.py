"""What becomes of an alert: data, the clock in the log, and people move it along the table.

The *clinical* part is the alert that the trajectory calls for (`alerting.wanted`): it does not
depend on the order in which data arrived. The *care* part is what people and timers did since:
it goes by the order of the log, on ticks and feedback. One step takes both a record further.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from connectors.contract import (
    ENDED,
    OPEN,
    AlertReason,
    AlertState,
    Answer,
    FeedbackAnswer,
    Severity,
)
from connectors.feedback import Action, Feedback
from models.record import Presence
from streams import alerting
from streams.acting import NOTED, OF_A_PICTURE, answered, to_acted
from streams.alerting import Published, RiskState, Wanted
from streams.policy.rules import Case, Hold, Rulebook
from streams.transitions import TRANSITIONS

R = AlertReason
MOST_ACTIONS = 50  # kept with an alert
MOST_ALERTS = 50  # of one risk of one patient, beside those of the present stay
_RANK = {Severity.WARNING: 1, Severity.CRITICAL: 2}


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

    published: Published
    reason: AlertReason
    calls: bool  # people have to be told


class Decided(NamedTuple):
    """What one step decided."""

    told: list[Announcement]
    answers: list[FeedbackAnswer]


def step(
    state: RiskState, want: Wanted | None, now: Situation, actions: Sequence[Feedback] = ()
) -> Decided:
    """One record further: the data, then the clock, then what people did, then what holds back."""
    alerts = _Alerts(state, now, want)
    alerts.follow()
    alerts.keep_time()
    answers = [alerts.act(action) for action in actions]
    alerts.hold_or_release()
    return Decided(alerts.told, answers)


def due(
    state: RiskState, case: Callable[[Severity], Case], book: Rulebook, at: float
) -> float | None:
    """When the clock alone may change the open alert; `at` and the answer on Tocsin's clock."""
    last = open_alert(state)
    if last is None or last.state is AlertState.ACKNOWLEDGED:
        return None
    if last.state is AlertState.SNOOZED:
        return last.snoozed_until
    one = case(last.severity)
    moments = [book.changes_at(one, at)]
    steps = book.escalation(one)
    if _calling(last) and last.escalation < len(steps) and book.hold(one, at) is None:
        moments.append(last.called_at + steps[last.escalation].after)
    return min((m for m in moments if m is not None), default=None)


def open_alert(state: RiskState) -> Published | None:
    """The alert of this risk that has not ended."""
    last = state.published[-1] if state.published else None
    return last if last is not None and last.state in OPEN else None


class _Alerts:
    """One risk of one patient during one step."""

    def __init__(self, state: RiskState, now: Situation, want: Wanted | None) -> None:
        self._state, self._now, self._want = state, now, want
        self.told: list[Announcement] = []

    # ── the data ────────────────────────────────────────────────────────────────────────────

    def follow(self) -> None:
        """The open alert becomes the one that is wanted."""
        last, want = open_alert(self._state), self._want
        if last is not None:
            if want is not None and want.episode == last.episode:
                self._change(last, want)
                return
            self._tell(last, self._ending(last))
        if want is not None:
            self._open(want)

    def _change(self, last: Published, want: Wanted) -> None:
        worse = _RANK[want.severity] > _RANK[last.severity]
        if want.severity is last.severity and want.since == last.since:
            return
        new = replace(last, severity=want.severity, since=want.since)
        if worse:
            new = replace(new, worse=last.revision + 1, escalation=0, escalated_to="")
        if worse and last.state in (AlertState.ACKNOWLEDGED, AlertState.SNOOZED):
            self._call(_unanswered(new), R.WORSENED)
            return
        reason = R.SCORE_CHANGED if want.severity is not last.severity else R.AMENDED
        self._tell(new, reason, calls=_calling(last) and (worse or reason is R.AMENDED))

    def _ending(self, last: Published) -> AlertReason:
        by_presence = _ENDED_BY_PRESENCE.get(self._now.presence)
        if by_presence is not None:
            return by_presence
        if self._now.abstained == "stale_data":
            return R.DATA_EXPIRED
        if self._now.model_changed:
            return R.MODEL_CHANGED
        if self._now.rule_changed:
            return R.THRESHOLD_CHANGED
        true = self._now.abstained is None and alerting.still_true(self._state, last.episode)
        return R.BELOW_THRESHOLD if true else R.DATA_CHANGED

    def _open(self, want: Wanted) -> None:
        name = alerting.alert_id(self._now.patient, self._now.risk, want.episode)
        before = next((p for p in self._state.published if p.alert_id == name), None)
        if before is None:
            new = Published(
                alert_id=name,
                episode=want.episode,
                revision=0,
                state=AlertState.PENDING,  # until it is told
                severity=want.severity,
                since=want.since,
                stay=self._state.stay,
            )
            self._state.published.append(new)
            self._forget()
            self._call(new, R.ABOVE_THRESHOLD)
            return
        worse = _RANK[want.severity] > _RANK[before.severity]
        if before.by_hand and not worse:
            return  # somebody has ended it, and nothing has got worse
        self._state.published.remove(before)
        self._state.published.append(before)
        new = replace(
            _unanswered(before), severity=want.severity, since=want.since, stay=self._state.stay
        )
        reason = R.WORSENED if before.by_hand else R.ABOVE_THRESHOLD
        self._call(replace(new, by_hand=False, handed_to=""), reason)

    def _forget(self) -> None:
        """Alerts of stays long past: their place is the topic, not every write of the state."""
        published = self._state.published
        old = [p for p in published[:-1] if p.stay != self._state.stay and p.state in ENDED]
        for gone in old[: max(0, len(published) - MOST_ALERTS)]:
            published.remove(gone)

    # ── the clock ───────────────────────────────────────────────────────────────────────────

    def keep_time(self) -> None:
        """A snooze is over; nobody has acknowledged in time."""
        last = open_alert(self._state)
        if last is None:
            return
        if last.state is AlertState.SNOOZED:
            if last.snoozed_until is not None and last.snoozed_until <= self._now.at:
                self._call(_unanswered(last), R.SNOOZE_ENDED)
            return
        if last.state not in (AlertState.FIRING, AlertState.ESCALATED):
            return
        case = self._now.case(last.severity)
        steps = self._now.book.escalation(case)
        if last.escalation >= len(steps) or self._now.book.hold(case, self._now.at):
            return
        who = steps[last.escalation]
        if self._now.at >= last.called_at + who.after:
            new = replace(last, escalation=last.escalation + 1, escalated_to=who.to)
            self._tell(new, R.UNACKNOWLEDGED, calls=True)

    # ── people ──────────────────────────────────────────────────────────────────────────────

    def act(self, action: Feedback) -> FeedbackAnswer:
        """What somebody did; says what became of it."""
        name = action.alert_id
        last = next((p for p in self._state.published if p.alert_id == name), None)
        answer = Answer.UNKNOWN if last is None else self._act(last, action)
        last = next((p for p in self._state.published if p.alert_id == name), None)
        return answered(action, answer, last)

    def _act(self, last: Published, action: Feedback) -> Answer:
        if any(done.id == action.id for done in last.actions):
            return Answer.REPEATED
        kept = [*last.actions, to_acted(action)][-MOST_ACTIONS:]
        commented = last.comments + bool(action.comment)
        new = replace(last, actions=kept, comments=commented)
        if last.state in ENDED:
            if action.action not in NOTED:
                return Answer.ENDED
            self._tell(new, NOTED[action.action])
            return Answer.NOTED
        if action.action in OF_A_PICTURE and action.revision < last.worse:
            return Answer.OUTDATED
        if action.action is Action.SNOOZE:
            return self._snooze(new, action)
        if action.action is Action.HAND_OVER:
            self._call(replace(_unanswered(new), handed_to=action.to), R.HANDED_OVER)
        elif action.action is Action.ACKNOWLEDGE:
            first = last.acknowledged_by or action.who
            self._tell(replace(new, acknowledged_by=first, snoozed_until=None), R.ACKNOWLEDGED)
        elif action.action is Action.COMMENT:
            self._tell(new, R.COMMENTED)
        else:
            reason = R.DISMISSED if action.action is Action.DISMISS else R.OUTCOME
            self._tell(replace(new, by_hand=True), reason)
        return Answer.DONE

    def _snooze(self, new: Published, action: Feedback) -> Answer:
        longest = self._now.at + self._now.book.policy.longest_snooze
        until = min(action.until or 0.0, longest)
        if until <= self._now.at:
            return Answer.OUTDATED
        self._tell(replace(_unanswered(new), snoozed_until=until), R.SNOOZED)
        return Answer.DONE

    # ── what holds back ─────────────────────────────────────────────────────────────────────

    def hold_or_release(self) -> None:
        """Nobody is called while something holds the alert back; when it ends, somebody is."""
        last = open_alert(self._state)
        if last is None:
            return
        held = self._held(last.severity)
        if last.state is AlertState.PENDING:
            if held is None:
                was_unconfirmed = last.held is R.AWAITING_CONFIRMATION
                self._call(last, R.CONFIRMED if was_unconfirmed else R.RELEASED)
            elif (held.reason, held.name) != (last.held, last.held_by):
                self._pend(last, held)
        elif _calling(last) and held is not None and held.reason is not R.QUIET_HOURS:
            self._pend(last, held)

    def _held(self, severity: Severity) -> Hold | None:
        if self._want is not None and not self._want.confirmed:
            return Hold(R.AWAITING_CONFIRMATION, "")
        return self._now.book.hold(self._now.case(severity), self._now.at)

    def _call(self, new: Published, reason: AlertReason) -> None:
        """Somebody has to know, unless something holds it back."""
        held = self._held(new.severity)
        by_a_person = reason is R.HANDED_OVER  # who knows what hour it is
        if held is None or (by_a_person and held.reason is R.QUIET_HOURS):
            self._tell(new, reason, calls=True)
        else:
            self._pend(new, held)

    def _pend(self, new: Published, held: Hold) -> None:
        new = replace(_unanswered(new), held=held.reason, held_by=held.name)
        self._tell(new, held.reason)

    def _tell(self, new: Published, reason: AlertReason, *, calls: bool = False) -> None:
        """The next revision. Its state is what the table says."""
        before = new.state if new.revision else None
        into = TRANSITIONS[before, reason]
        revision = new.revision + 1
        new = replace(new, revision=revision, state=into)
        if into is not AlertState.PENDING:
            new = replace(new, held=None, held_by="")
        calls = calls or (into in ENDED and before in OPEN and new.called > 0)
        if calls:
            new = replace(new, called=revision, called_at=self._now.at)
        published = self._state.published
        place = next(i for i, p in enumerate(published) if p.alert_id == new.alert_id)
        published[place] = new
        self.told.append(Announcement(new, reason, calls))


def _calling(alert: Published) -> bool:
    """Is somebody called, and has not answered?"""
    return alert.state in (AlertState.FIRING, AlertState.ESCALATED)


def _unanswered(alert: Published) -> Published:
    """As before anybody took care of it."""
    return replace(alert, acknowledged_by="", snoozed_until=None, escalation=0, escalated_to="")


_ENDED_BY_PRESENCE = {
    Presence.DISCHARGED: R.DISCHARGED,
    Presence.DIED: R.DIED,
    Presence.CANCELLED: R.STAY_CANCELLED,
    Presence.NOT_YET: R.STAY_CANCELLED,
    Presence.MERGED: R.MERGED,
}
