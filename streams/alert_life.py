"""The alert of one risk of one patient during one step: what data, clock and people make of it.

`streams.lifecycle` says in which order. Where each change leads says `streams.transitions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from connectors.contract import ENDED, OPEN, AlertReason, AlertState, Answer, Severity
from connectors.feedback import Action, Feedback
from streams import alerting, grouping
from streams.acting import NOTED, OF_A_PICTURE, to_acted
from streams.alerting import Published, RiskState, Wanted
from streams.grouping import RANK, is_calling
from streams.policy.rules import Hold
from streams.situation import Announcement, Situation, ending, open_alert
from streams.transitions import TRANSITIONS

R = AlertReason
MOST_ACTIONS = 50  # kept with an alert
MOST_ALERTS = 50  # of one risk of one patient, beside those of the present stay
_SHARED = (Action.ACKNOWLEDGE, Action.SNOOZE)  # what may answer for a whole call


class AlertLife:
    """See the module. `others`: the newest alerts of the risks that may share a call with it.

    What is to be told is added to `told`.
    """

    def __init__(
        self,
        state: RiskState,
        now: Situation,
        want: Wanted | None,
        others: Callable[[], Sequence[Published]],
        told: list[Announcement],
    ) -> None:
        self._state, self._now, self._want, self._others = state, now, want, others
        self._told = told

    @property
    def newest(self) -> Published | None:
        """The newest alert, open or not."""
        return self._state.published[-1] if self._state.published else None

    # ── the data ────────────────────────────────────────────────────────────────────────────

    def follow(self) -> None:
        """The open alert becomes the one that is wanted."""
        last, want = open_alert(self._state), self._want
        if last is not None:
            if want is not None and want.episode == last.episode:
                self._change(last, want)
                return
            self._tell(last, ending(self._state, last, self._now))
        if want is not None:
            self._open(want)

    def keep_watch(self) -> None:
        """An open alert says when its model stops answering for this patient, and when it does
        again."""
        last, lost = open_alert(self._state), self._now.abstained in alerting.UNWATCHED
        if last is not None and last.unwatched is not lost:
            reason = R.UNWATCHED if lost else R.WATCHED_AGAIN
            self._tell(replace(last, unwatched=lost), reason)

    def _change(self, last: Published, want: Wanted) -> None:
        worse = RANK[want.severity] > RANK[last.severity]
        if want.severity is last.severity and want.since == last.since:
            return
        new = replace(last, severity=want.severity, since=want.since)
        if worse:
            new = replace(new, worse=last.revision + 1, escalation=0, escalated_to="")
        if worse and last.state in (AlertState.ACKNOWLEDGED, AlertState.SNOOZED):
            self._call(_unanswered(new), R.WORSENED)
            return
        reason = R.SCORE_CHANGED if want.severity is not last.severity else R.AMENDED
        calls = is_calling(last) and (worse or reason is R.AMENDED)
        if calls and new.joined:
            calls = not grouping.belongs(new, self._others())
        self._tell(new, reason, calls=calls)

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
        worse = RANK[want.severity] > RANK[before.severity]
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
        if not is_calling(last) or last.joined:  # who is called next says the call it belongs to
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

    def find(self, alert_id: str) -> Published | None:
        """An alert as it is now."""
        return next((p for p in self._state.published if p.alert_id == alert_id), None)

    def answers_for_call(self, action: Feedback) -> str:
        """The call that an action may answer; "" where it is about this alert alone."""
        last = open_alert(self._state)
        shared = last is not None and last.alert_id == action.alert_id and is_calling(last)
        covers = action.action in _SHARED and self._now.book.covers(self._now.risk) > 0
        return grouping.call_of(last) if last is not None and shared and covers else ""

    def share(self, action: Feedback, call: str) -> None:
        """Somebody has answered a call that this alert may belong to."""
        last = open_alert(self._state)
        if last is not None and is_calling(last) and grouping.call_of(last) == call:
            self._take(last, action)

    def act(self, action: Feedback) -> Answer:
        """What somebody did with an alert of this risk; says what became of it."""
        last = self.find(action.alert_id)
        if last is None:
            return Answer.UNKNOWN
        if any(done.id == action.id for done in last.actions):
            return Answer.REPEATED
        if action.revision > last.revision:  # nobody can have seen it
            return Answer.UNKNOWN
        if last.state in ENDED:
            if action.action not in NOTED:
                return Answer.ENDED
            self._tell(_with(last, action), NOTED[action.action])
            return Answer.NOTED
        if action.action in OF_A_PICTURE and action.revision < last.worse:
            return Answer.OUTDATED
        return self._take(last, action)

    def _take(self, last: Published, action: Feedback) -> Answer:
        new = _with(last, action)
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
            return Answer.PAST
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
        elif is_calling(last) and held is not None and held.reason is not R.QUIET_HOURS:
            self._pend(last, held)

    def share_calls(self) -> None:
        """A more severe call takes this one in; a call that it had joined is over."""
        last, others = open_alert(self._state), self._others()
        if last is None or not is_calling(last):
            return
        if not last.joined:
            lead = grouping.to_follow(last, others)
            if lead is not None:
                self._join(last, lead)
        elif not grouping.belongs(last, others):
            self._part(last, others)

    def _part(self, last: Published, others: Sequence[Published]) -> None:
        """Into another call; else on by itself, with a call unless a person has answered."""
        lead = grouping.to_join(last, others, self._now.at, 0.0)
        if lead is not None:
            self._join(last, lead)
            return
        answered = grouping.was_answered(last, others)
        held = None if answered else self._held(last.severity)
        if held is not None:
            self._pend(last, held)
            return
        new = replace(_unanswered(last), called=last.revision + 1, called_at=self._now.at)
        self._tell(new, R.PARTED, calls=not answered)

    def _held(self, severity: Severity) -> Hold | None:
        if self._want is not None and not self._want.confirmed:
            return Hold(R.AWAITING_CONFIRMATION, "")
        return self._now.book.hold(self._now.case(severity), self._now.at)

    def _call(self, new: Published, reason: AlertReason) -> None:
        """Somebody has to know, unless something holds it back."""
        held = self._held(new.severity)
        by_a_person = reason is R.HANDED_OVER  # who knows what hour it is
        if held is not None and not (by_a_person and held.reason is R.QUIET_HOURS):
            self._pend(new, held)
            return
        lead = None if by_a_person else self._lead(new)
        if lead is None:
            self._tell(new, reason, calls=True)
        else:
            self._join(new, lead)

    def _lead(self, new: Published) -> Published | None:
        """The alert whose call a new one joins."""
        others = self._others()
        if not others:
            return None
        covers = self._now.book.covers(self._now.risk)
        return grouping.to_join(new, others, self._now.at, covers)

    def _join(self, new: Published, lead: Published) -> None:
        """Into the call of another risk: whoever was told of that is told of this."""
        told = new.revision + 1
        new = replace(_unanswered(new), joined=lead.alert_id, called=told, called_at=self._now.at)
        if is_calling(lead):
            self._tell(new, R.JOINED)
        else:
            self._tell(replace(new, acknowledged_by=lead.acknowledged_by), R.COVERED)

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
        if into in ENDED:
            new = replace(new, unwatched=False)
        calls = calls or (into in ENDED and before in OPEN and new.called > 0)
        if calls:
            new = replace(new, called=revision, called_at=self._now.at)
        if calls and into in OPEN:  # a call of its own
            new = replace(new, joined="")
        published = self._state.published
        place = next(i for i, p in enumerate(published) if p.alert_id == new.alert_id)
        published[place] = new
        self._told.append(Announcement(self._now.risk, new, reason, calls))


def _with(alert: Published, action: Feedback) -> Published:
    """With what somebody did."""
    kept = [*alert.actions, to_acted(action)][-MOST_ACTIONS:]
    return replace(alert, actions=kept, comments=alert.comments + bool(action.comment))


def _unanswered(alert: Published) -> Published:
    """As before anybody took care of it."""
    return replace(
        alert, acknowledged_by="", snoozed_until=None, escalation=0, escalated_to="", joined=""
    )
