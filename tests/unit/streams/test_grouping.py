"""Two risks of one patient that share a call, as timelines."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.contract import Alert, AlertReason, AlertState, Answer, Severity
from connectors.feedback import Action
from tests.unit.streams.timeline import (
    BreathingRisk,
    HeartRateRisk,
    admitted,
    breathing,
    discharged,
    heart_rate,
)
from tests.unit.streams.ward import Ward

F, A, S, E = (
    AlertState.FIRING,
    AlertState.ACKNOWLEDGED,
    AlertState.SNOOZED,
    AlertState.ESCALATED,
)
R = AlertReason
WARNING, CRITICAL = 110.0, 130.0
EACH = "groups: {both: [test, breathing]}\n"
TOGETHER = "groups: {both: {risks: [test, breathing], covers: 30m}}\n"
ROUTE = "escalation: [{steps: [{after: 10m, to: charge nurse}]}]\n"
TEST, OTHER = HeartRateRisk.risk, BreathingRisk.risk


async def ward_with(policy: str) -> Ward:
    ward = Ward(HeartRateRisk(), BreathingRisk())
    await ward.say(admitted(0), heart_rate(0, 90.0), breathing(0, 90.0))
    await ward.policy(policy)
    return ward


async def both(policy: str, first: float = WARNING, second: float = WARNING) -> Ward:
    """The first risk fires at 1, the second at 2."""
    ward = await ward_with(policy)
    await ward.say(heart_rate(1, first))
    await ward.say(breathing(2, second))
    return ward


def of(ward: Ward, risk: str) -> Alert:
    return next(alert for alert in reversed(ward.told) if alert.risk == risk)


def brief(alerts: list[Alert]) -> list[tuple[str, AlertReason, bool]]:
    return [(alert.risk, alert.reason, alert.calls) for alert in alerts]


async def test_without_a_group_each_risk_calls() -> None:
    ward = await both("")
    assert [alert.calls for alert in ward.told] == [True, True]


async def test_a_second_risk_joins_the_call_and_calls_nobody() -> None:
    ward = await both(EACH)
    first, second = ward.told
    assert brief(ward.told) == [(TEST, R.ABOVE_THRESHOLD, True), (OTHER, R.JOINED, False)]
    assert (first.joined, second.joined) == ("", first.alert_id)
    assert first.group == second.group == "both"
    assert (second.state, second.called) == (F, 1)


async def test_both_at_the_same_moment_are_one_call_for_the_more_severe() -> None:
    ward = await ward_with(EACH)
    told = await ward.say(heart_rate(1, WARNING), breathing(1, CRITICAL))
    assert brief(told) == [(OTHER, R.ABOVE_THRESHOLD, True), (TEST, R.JOINED, False)]


async def test_one_that_is_more_severe_calls_and_takes_the_other_in() -> None:
    ward = await both(EACH, WARNING, CRITICAL)
    assert brief(ward.told[1:]) == [(OTHER, R.ABOVE_THRESHOLD, True), (TEST, R.JOINED, False)]
    assert of(ward, TEST).joined == of(ward, OTHER).alert_id


async def test_what_joined_and_gets_worse_than_the_call_calls() -> None:
    ward = await both(EACH)
    told = await ward.say(breathing(3, CRITICAL))
    assert brief(told) == [(OTHER, R.SCORE_CHANGED, True), (TEST, R.JOINED, False)]
    assert of(ward, OTHER).joined == ""
    told = await ward.say(heart_rate(4, CRITICAL))
    assert brief(told) == [(TEST, R.SCORE_CHANGED, False)]  # as severe as the call


async def test_a_call_that_nobody_answers_escalates_once() -> None:
    ward = await both(EACH + ROUTE)
    told = await ward.until(30)
    assert brief(told) == [(TEST, R.UNACKNOWLEDGED, True)]


async def test_each_is_acknowledged_by_itself_unless_the_policy_says_otherwise() -> None:
    """What nobody has acknowledged goes on along the route, from the other's answer on."""
    ward = await both(EACH + ROUTE)
    await ward.tick(5)
    told = await ward.act(of(ward, TEST), Action.ACKNOWLEDGE)
    assert brief(told) == [(TEST, R.ACKNOWLEDGED, False), (OTHER, R.PARTED, False)]
    assert not await ward.until(14)
    assert brief(await ward.until(15)) == [(OTHER, R.UNACKNOWLEDGED, True)]


@pytest.mark.parametrize("clicked", [TEST, OTHER])
async def test_one_acknowledgement_may_answer_for_the_whole_call(clicked: str) -> None:
    ward = await both(TOGETHER + ROUTE)
    told = await ward.act(of(ward, clicked), Action.ACKNOWLEDGE, who="ann")
    assert {(a.risk, a.state, a.acknowledged_by) for a in told} == {
        (TEST, A, "ann"),
        (OTHER, A, "ann"),
    }
    assert [a.who for alert in told for a in alert.actions] == ["ann", "ann"]
    assert [answer.alert_id for answer in ward.answers] == [of(ward, clicked).alert_id]
    assert not await ward.until(40)


async def test_the_same_click_twice_answers_once() -> None:
    ward = await both(TOGETHER)
    first = of(ward, TEST)
    await ward.act(first, Action.ACKNOWLEDGE, click="c")
    assert not await ward.act(first, Action.ACKNOWLEDGE, click="c")
    assert ward.answers[-1].answer is Answer.REPEATED


async def test_who_answers_an_outdated_picture_answers_for_nothing() -> None:
    ward = await both(TOGETHER)
    seen = of(ward, TEST)
    await ward.say(heart_rate(3, CRITICAL))
    assert not await ward.act(seen, Action.ACKNOWLEDGE)
    assert ward.answers[-1].answer is Answer.OUTDATED


async def test_a_snooze_holds_for_the_whole_call_and_its_end_is_one_call() -> None:
    ward = await both(TOGETHER)
    told = await ward.act(of(ward, TEST), Action.SNOOZE, minutes=20)
    assert [alert.state for alert in told] == [S, S]
    told = await ward.until(25)
    assert brief(told) == [(TEST, R.SNOOZE_ENDED, True), (OTHER, R.JOINED, False)]


@pytest.mark.parametrize(
    ("minute", "value", "reason"),
    [
        (30, WARNING, R.COVERED),
        (32, WARNING, R.ABOVE_THRESHOLD),  # the call was made at 1
        (30, CRITICAL, R.ABOVE_THRESHOLD),  # more than what was acknowledged
    ],
)
async def test_an_acknowledgement_covers_what_joins_for_so_long(
    minute: float, value: float, reason: AlertReason
) -> None:
    ward = await ward_with(TOGETHER)
    await ward.say(heart_rate(1, WARNING))
    await ward.act(ward.last, Action.ACKNOWLEDGE, who="ann")
    told = await ward.say(breathing(minute, value))
    assert brief(told) == [(OTHER, reason, reason is not R.COVERED)]
    assert told[0].acknowledged_by == ("ann" if reason is R.COVERED else "")


Step = Any  # what a ward does


async def ends(ward: Ward) -> list[Alert]:
    return await ward.say(heart_rate(3, 80.0))


async def corrected(ward: Ward) -> list[Alert]:
    return await ward.say(heart_rate(1, 80.0, status="C", sent=3, order="hr-1"))


async def silenced(ward: Ward) -> list[Alert]:
    silence = "silences: [{name: s, match: {risk: test}, until: 2033-01-01T00:00Z}]\n"
    return await ward.policy(EACH + silence)


async def apart(ward: Ward) -> list[Alert]:
    return await ward.policy("")


@pytest.mark.parametrize("over", [ends, corrected, silenced, apart])
async def test_when_the_call_is_over_what_had_joined_calls_by_itself(over: Step) -> None:
    ward = await both(EACH)
    told = await over(ward)
    assert (OTHER, R.PARTED, True) in brief(told)
    assert of(ward, OTHER).joined == ""


async def test_when_a_person_ends_it_what_had_joined_goes_on_without_a_call() -> None:
    """They were told of both."""
    ward = await both(EACH + ROUTE)
    told = await ward.act(of(ward, TEST), Action.DISMISS)
    assert brief(told) == [(TEST, R.DISMISSED, True), (OTHER, R.PARTED, False)]
    assert brief(await ward.until(13)) == [(OTHER, R.UNACKNOWLEDGED, True)]


async def test_what_is_handed_over_has_a_call_of_its_own() -> None:
    ward = await both(EACH)
    told = await ward.act(of(ward, OTHER), Action.HAND_OVER, to="registrar")
    assert brief(told) == [(OTHER, R.HANDED_OVER, True)]
    assert told[0].joined == ""
    assert not await ward.say(heart_rate(3, WARNING), breathing(3, WARNING))


async def test_its_end_is_told_as_its_beginning_was() -> None:
    ward = await both(EACH)
    told = await ward.say(breathing(3, 80.0))
    assert brief(told) == [(OTHER, R.BELOW_THRESHOLD, True)]
    told = await ward.say(discharged(4))
    assert brief(told) == [(TEST, R.DISCHARGED, True)]


async def test_a_worker_that_takes_over_knows_who_joined_whom() -> None:
    ward = await both(TOGETHER)
    await ward.restart()
    told = await ward.act(of(ward, OTHER), Action.ACKNOWLEDGE)
    assert [alert.state for alert in told[-2:]] == [A, A]  # after what is told again


async def test_a_risk_that_is_not_asked_about_any_more_ends_and_what_had_joined_it_calls() -> None:
    ward = await both(EACH)
    await ward.restart(BreathingRisk())
    told = await ward.say(breathing(3, WARNING))
    assert brief(told)[-2:] == [(TEST, R.MODEL_CHANGED, True), (OTHER, R.PARTED, True)]
    ended = of(ward, TEST)
    assert (ended.score.abstained, ended.threshold.version) == ("retired", "retired")
    assert not [a for a in await ward.say(discharged(4)) if a.risk == TEST]


async def test_what_is_held_back_joins_when_it_is_released() -> None:
    confirm = "risks: {breathing: {confirm: {scores: 2, of: 2}}}\n"
    ward = await both(EACH + confirm)
    assert ward.last.reason is R.AWAITING_CONFIRMATION
    told = await ward.say(breathing(3, WARNING))
    assert brief(told) == [(OTHER, R.JOINED, False)]
    assert told[0].severity is Severity.WARNING
