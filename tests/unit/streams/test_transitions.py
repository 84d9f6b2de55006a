"""Every row of the table of transitions, brought about as it comes about in a hospital."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from connectors.contract import ENDED, OPEN, Alert, AlertReason, AlertState
from connectors.feedback import Action
from streams.transitions import TRANSITIONS, From
from tests.unit.streams.timeline import (
    POISON,
    BreathingRisk,
    EndingRisk,
    FailingRisk,
    HeartRateRisk,
    admitted,
    breathing,
    discharged,
    heart_rate,
)
from tests.unit.streams.ward import Ward, died, merged, stated

R = AlertReason
P, F, A = AlertState.PENDING, AlertState.FIRING, AlertState.ACKNOWLEDGED
S, E = AlertState.SNOOZED, AlertState.ESCALATED
RESOLVED, WITHDRAWN = AlertState.RESOLVED, AlertState.WITHDRAWN

ROUTE = "escalation: [{steps: [{after: 10m, to: charge nurse}, {after: 10m, to: registrar}]}]\n"
THREE = "risks: {test: {confirm: {scores: 3, of: 3}}}\n"
HIGH = "risks: {test: {fire: 0.85, clear: 0.85}}\n"
INHIBITS = "inhibitions: [{name: palliative care, codes: [{code: Z51.5, system: I10}]}]\n"
SILENT = "silences: [{name: exchange of monitors, match: {ward: W1}, until: 2033-01-01T00:00Z}]\n"
# Minute 0 is 22:13:20 UTC.
QUIET = "quiet_hours: [{name: night, from: 22:00, until: 23:00, time_zone: UTC}]\n"
SHADOW = "stage: shadow\n"
HELD_BY = {
    R.AWAITING_CONFIRMATION: THREE,
    R.INHIBITED: INHIBITS,
    R.SILENCED: SILENT,
    R.QUIET_HOURS: QUIET,
    R.SHADOW: SHADOW,
}


class Softer(HeartRateRisk):
    """Another model, by which 110 is nothing."""

    digest = "softer"

    def _one(self, record, as_of):  # type: ignore[no-untyped-def]
        answer = super()._one(record, as_of)
        return (
            answer
            if answer.log_odds is None
            else replace(answer, log_odds=answer.log_odds - 3.0, probability=0.1)
        )


# ── into each state ─────────────────────────────────────────────────────────────────────────────


async def begin(ward: Ward, policy: str = "") -> None:
    await ward.say(admitted(0), heart_rate(0, 90.0, order="a"))
    if policy:
        await ward.policy(policy)


async def firing(ward: Ward, value: float = 110.0) -> Alert:
    await ward.say(heart_rate(1, value, order="b"))
    return ward.last


async def into(ward: Ward, state: From, value: float = 110.0) -> None:
    if state is None:
        return
    alert = await firing(ward, value)
    if state is E:
        await ward.policy(ROUTE)
        await ward.tick(12)
    elif state is A:
        await ward.act(alert, Action.ACKNOWLEDGE)
    elif state is S:
        await ward.act(alert, Action.SNOOZE)
    elif state is RESOLVED:
        await ward.say(heart_rate(2, 80.0, order="c"))
    elif state is WITHDRAWN:
        await ward.say(heart_rate(1, 80.0, order="b", status="C", sent=2))
    assert ward.last.state is state, ward.story


# ── for each reason ─────────────────────────────────────────────────────────────────────────────


async def again(ward: Ward, state: From) -> None:
    """What makes the alert begin, or begin again."""
    if state is None:
        await firing(ward)
    elif state is RESOLVED:  # the value that ended it is corrected
        await ward.say(heart_rate(2, 105.0, order="c", status="C", sent=14))
    else:
        await ward.say(heart_rate(1, 112.0, order="b", status="C", sent=14))


async def hold(ward: Ward, state: From, reason: AlertReason) -> None:
    """The policy holds back what would call now."""
    await ward.policy(HELD_BY[reason])
    if reason is R.INHIBITED:
        await ward.say(stated(13))
    if state in (None, *ENDED):
        await again(ward, state)
    elif state is S and reason is R.QUIET_HOURS:
        await ward.tick(32)  # the snooze is over, the quiet hours are not
    elif state in (A, S):
        await ward.act(ward.last, Action.HAND_OVER)


Trigger = Callable[[Ward, From], Awaitable[object]]
TRIGGERS: dict[AlertReason, Trigger] = {
    R.ABOVE_THRESHOLD: again,
    R.UNACKNOWLEDGED: lambda w, s: escalates(w),
    R.SNOOZE_ENDED: lambda w, s: w.tick(40),
    R.HANDED_OVER: lambda w, s: w.act(w.last, Action.HAND_OVER),
    R.ACKNOWLEDGED: lambda w, s: w.act(w.last, Action.ACKNOWLEDGE, who="doctor"),
    R.SNOOZED: lambda w, s: w.act(w.last, Action.SNOOZE, minutes=60),
    R.COMMENTED: lambda w, s: w.act(w.last, Action.COMMENT),
    R.OUTCOME: lambda w, s: w.act(w.last, Action.OUTCOME),
    R.DISMISSED: lambda w, s: w.act(w.last, Action.DISMISS),
    R.AMENDED: lambda w, s: w.say(heart_rate(0.5, 111.0, order="early", sent=14)),
    R.BELOW_THRESHOLD: lambda w, s: w.say(heart_rate(14, 80.0, order="d")),
    R.DATA_EXPIRED: lambda w, s: w.tick(90),
    R.DISCHARGED: lambda w, s: w.say(discharged(14)),
    R.DIED: lambda w, s: w.say(died(14)),
    R.STAY_CANCELLED: lambda w, s: w.say(admitted(0, cancelled=True, sent=14)),
    R.MERGED: lambda w, s: w.say(merged(14)),
    R.DATA_CHANGED: lambda w, s: w.say(heart_rate(1, 80.0, order="b", status="C", sent=14)),
    R.THRESHOLD_CHANGED: lambda w, s: w.policy(HIGH),
    R.UNWATCHED: lambda w, s: w.say(heart_rate(14, POISON, order="d")),
    R.WATCHED_AGAIN: lambda w, s: w.say(heart_rate(14, 110.0, order="d", status="C", sent=15)),
}


async def escalates(ward: Ward) -> None:
    await ward.policy(ROUTE)
    await ward.tick(30)


async def other_model(ward: Ward, state: From) -> None:
    await ward.restart(Softer())
    await ward.say(heart_rate(14, 109.0, order="d"))


async def severity(ward: Ward, state: From) -> None:
    """Up; of what somebody takes care of it would call anew, so down, by a correction."""
    if state in (A, S):
        await ward.say(heart_rate(1, 111.0, order="b", status="C", sent=14))
    else:
        await ward.say(heart_rate(14, 130.0, order="d"))


# ── of two risks that share a call ──────────────────────────────────────────────────────────────

SHARED = "groups: {both: {risks: [test, breathing], covers: 1h}}\n"
OF_A_CALL = (R.JOINED, R.COVERED, R.PARTED)


async def called_for_the_other(ward: Ward, reason: AlertReason, value: float = 130.0) -> None:
    """The other risk's call is made; for `covered`, it is acknowledged."""
    await ward.say(breathing(13, value))
    if reason is R.COVERED:
        lead = next(a for a in reversed(ward.told) if a.risk == "breathing")
        await ward.act(lead, Action.ACKNOWLEDGE)


async def shares_a_call(ward: Ward, state: From, reason: AlertReason) -> None:
    if state is P:
        await begin(ward, SHARED + THREE)
        await firing(ward)
        await ward.say(heart_rate(2, 110.0, order="c"))
        await called_for_the_other(ward, reason)
        await ward.say(heart_rate(14, 110.0, order="d"))
        return
    await begin(ward)
    await into(ward, state)
    await ward.policy(SHARED)
    await called_for_the_other(ward, reason)
    if reason is R.PARTED:
        await ward.say(breathing(14, 80.0))
    elif state is A:
        await ward.say(heart_rate(14, 130.0, order="d"))
    elif state is S:
        await ward.tick(40)
    elif state not in (F, E):
        await again(ward, state)


async def called_no_more_at_night(ward: Ward) -> None:
    """It had joined a call that is over; by itself, a warning waits."""
    await begin(ward, SHARED)
    await called_for_the_other(ward, R.JOINED)
    await ward.say(heart_rate(14, 110.0))
    await ward.policy(SHARED + QUIET)
    await ward.say(breathing(15, 80.0))


async def over(ward: Ward, _: From) -> None:
    """Nothing is measured: the time that the question is about passes."""
    await ward.restart(EndingRisk())
    await ward.say(heart_rate(14, 110.0, order="d"))
    await ward.tick(21)


TRIGGERS[R.MODEL_CHANGED] = other_model
TRIGGERS[R.QUESTION_OVER] = over
TRIGGERS[R.SCORE_CHANGED] = severity


async def pending(ward: Ward, reason: AlertReason) -> None:
    """Held back by something that suits what comes next."""
    by = {
        R.CONFIRMED: R.AWAITING_CONFIRMATION,
        R.INHIBITED: R.SILENCED,
        R.SILENCED: R.QUIET_HOURS,
        R.QUIET_HOURS: R.SILENCED,
        R.SHADOW: R.SILENCED,
    }.get(reason, R.QUIET_HOURS)
    await begin(ward, HELD_BY[by] + (INHIBITS if reason is R.INHIBITED else ""))
    await firing(ward)
    assert (ward.last.state, ward.last.reason) == (P, by)


async def leave_pending(ward: Ward, reason: AlertReason) -> None:
    if reason is R.CONFIRMED:
        await ward.say(heart_rate(2, 110.0, order="c"))
        assert ward.last.state is P
        await ward.say(heart_rate(3, 110.0, order="d"))
    elif reason is R.RELEASED:
        await ward.tick(47)  # 23:00:20
    elif reason is R.INHIBITED:
        await ward.say(stated(5))
    elif reason in HELD_BY:
        await ward.policy(HELD_BY[reason])
    else:
        if reason is R.WATCHED_AGAIN:
            await TRIGGERS[R.UNWATCHED](ward, P)
        await TRIGGERS[reason](ward, P)


@pytest.mark.parametrize(("state", "reason"), TRANSITIONS, ids=str)
async def test_every_transition(state: From, reason: AlertReason) -> None:
    two = reason in OF_A_CALL or (state, reason) == (F, R.QUIET_HOURS)
    ward = Ward(HeartRateRisk(), BreathingRisk()) if two else Ward(FailingRisk())
    before = 0
    if reason in OF_A_CALL:
        await shares_a_call(ward, state, reason)
    elif (state, reason) == (F, R.QUIET_HOURS):
        await called_no_more_at_night(ward)
    elif state is P:
        await pending(ward, reason)
        before = len(ward.told)
        await leave_pending(ward, reason)
    elif reason is R.WORSENED:
        await begin(ward)
        await into(ward, F if state is RESOLVED else state)
        if state is RESOLVED:
            await ward.act(ward.last, Action.DISMISS)
        before = len(ward.told)
        await ward.say(heart_rate(14, 130.0, order="d"))
    else:
        await begin(ward)
        severe = reason is R.SCORE_CHANGED and state in (A, S)
        await into(ward, state, 130.0 if severe else 110.0)
        before = len(ward.told)
        if reason in HELD_BY:
            await hold(ward, state, reason)
        else:
            if reason is R.WATCHED_AGAIN:
                await TRIGGERS[R.UNWATCHED](ward, state)
            await TRIGGERS[reason](ward, state)
    expected = (TRANSITIONS[state, reason], reason)
    told = [alert for alert in ward.told if alert.risk == HeartRateRisk.risk]
    story = [(alert.state, alert.reason) for alert in told]
    assert expected in story[before:], ward.story
    first = story.index(expected, before)
    assert (told[first - 1].state if first else None) == state


def test_every_reason_and_every_state_is_in_the_table() -> None:
    assert {reason for _, reason in TRANSITIONS} == set(AlertReason)
    assert set(TRANSITIONS.values()) == set(AlertState)
    for state in OPEN:
        assert (state, R.DISCHARGED) in TRANSITIONS
