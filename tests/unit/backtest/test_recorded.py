"""The recorded log under the policies that it holds, and under another one."""

from __future__ import annotations

from connectors import contract, topics
from connectors.contract import ENDED, AlertReason
from connectors.feedback import Action, Outcome
from streams.backtest import recorded
from streams.backtest.measure import measure
from tests.unit.journal import MemoryJournal
from tests.unit.streams.timeline import (
    BreathingRisk,
    HeartRateRisk,
    admitted,
    breathing,
    discharged,
    heart_rate,
)
from tests.unit.streams.ward import Ward, merged, stated

ROUTE = "escalation: [{steps: [{after: 10m, to: registrar}]}]"


async def recorded_story() -> tuple[Ward, MemoryJournal]:
    """Two patients, corrections, a policy on the way, actions, an outcome."""
    ward = Ward()
    await ward.say(admitted(0), heart_rate(0, 90.0), heart_rate(0, 104.5, patient="p-2"))
    await ward.say(heart_rate(1, 112.0, order="a"), heart_rate(1, 104.6, patient="p-2"))
    await ward.policy(ROUTE)
    await ward.until(13)
    first = next(a for a in ward.told if a.patient == "p-1")
    await ward.act(first, Action.OUTCOME, outcome=Outcome.EVENT)
    await ward.say(heart_rate(1, 99.0, order="a", status="C", sent=14))
    await ward.say(heart_rate(15, 126.0), stated(15))
    await ward.until(40)
    await ward.say(discharged(41))
    journal = MemoryJournal()
    for raw in ward.log.raw:
        journal.append(topics.FACTS, raw, [])
    for output in ward.world.outputs:
        if output.topic == topics.ALERTS:
            journal.append(topics.ALERTS, output.value, [])
    return ward, journal


async def test_what_was_in_force_gives_the_alerts_that_were_told() -> None:
    _, journal = await recorded_story()
    log = recorded.read_log(journal, partitions=2)
    again = await recorded.replayed(log, [HeartRateRisk()])
    live = recorded.told_live(journal)
    assert len(live) == 8
    assert again.alerts == live


GROUPED = (
    "groups: {both: {risks: [test, breathing], covers: 30m}}\n"
    "quiet_hours: [{name: night, from: 23:05, until: 23:30, time_zone: UTC}]\n"
)


async def story_of_two_risks() -> Ward:
    """All that may happen to alerts: joins, actions, holds, corrections, a merge, a new worker."""
    ward = Ward(HeartRateRisk(), BreathingRisk())
    await ward.say(admitted(0), heart_rate(0, 90.0), breathing(0, 90.0))
    await ward.policy(GROUPED + ROUTE)
    await ward.say(heart_rate(1, 110.0, order="a"))
    await ward.say(breathing(2, 110.0))  # joins
    await ward.until(13)  # escalates
    await ward.act(ward.told[0], Action.ACKNOWLEDGE, click="c")  # for both
    await ward.act(ward.told[0], Action.ACKNOWLEDGE, click="c")
    await ward.say(breathing(14, 130.0))  # worse: calls
    await ward.restart()
    await ward.act(ward.last, Action.COMMENT)
    await ward.act(ward.last, Action.SNOOZE, minutes=10)
    await ward.say(heart_rate(1, 80.0, order="a", status="C", sent=16))  # never was
    await ward.policy(GROUPED + "risks: {breathing: {fire: 0.5, critical: 0.96}}")
    await ward.until(30)
    await ward.act(ward.last, Action.HAND_OVER)
    await ward.say(stated(31))
    await ward.policy("inhibitions: [{name: palliative care, codes: [{code: Z51.5}]}]")
    await ward.say(stated(33, removed=True))
    await ward.act(ward.last, Action.DISMISS)
    await ward.say(heart_rate(35, 130.0, patient="p-2"))
    await ward.say(heart_rate(36, 111.0))
    await ward.say(merged(40))
    await ward.until(110)
    return ward


async def test_all_that_can_happen_to_several_risks_comes_out_again_byte_for_byte() -> None:
    """Every revision of every alert, whatever brought it about."""
    ward = await story_of_two_risks()
    reasons = {alert.reason for alert in ward.told}
    assert reasons >= {
        AlertReason.ABOVE_THRESHOLD,
        AlertReason.JOINED,
        AlertReason.UNACKNOWLEDGED,
        AlertReason.ACKNOWLEDGED,
        AlertReason.WORSENED,
        AlertReason.COMMENTED,
        AlertReason.SNOOZED,
        AlertReason.DATA_CHANGED,
        AlertReason.HANDED_OVER,
        AlertReason.INHIBITED,
        AlertReason.RELEASED,
        AlertReason.DISMISSED,
        AlertReason.MERGED,
        AlertReason.DATA_EXPIRED,
    }, reasons
    journal = MemoryJournal()
    for raw in ward.log.raw:
        journal.append(topics.FACTS, raw, [])
    log = recorded.read_log(journal, partitions=1)
    again = await recorded.replayed(log, [HeartRateRisk(), BreathingRisk()])
    live = {
        (alert.alert_id, alert.revision): raw
        for alert, raw in zip(ward.told, ward.raw_alerts, strict=True)
    }
    assert again.alerts == live


async def test_what_joined_a_call_is_judged_and_adds_no_call() -> None:
    ward = Ward(HeartRateRisk(), BreathingRisk())
    await ward.policy(GROUPED)
    await ward.say(admitted(0), heart_rate(0, 90.0), breathing(0, 90.0))
    await ward.say(heart_rate(1, 110.0))
    await ward.say(breathing(2, 110.0))
    journal = MemoryJournal()
    for raw in ward.log.raw:
        journal.append(topics.FACTS, raw, [])
    log = recorded.read_log(journal, partitions=1)
    again = await recorded.replayed(log, [HeartRateRisk(), BreathingRisk()])
    for risk, calls in (("test", 1), ("breathing", 0)):
        (one,) = again.raised(recorded.stays_of(again, risk, log), risk)
        assert one.calls == calls


async def test_another_policy_gives_other_alerts_and_the_log_stays_as_it_is() -> None:
    _, journal = await recorded_story()
    log = recorded.read_log(journal, partitions=2)
    other = await recorded.replayed(log, [HeartRateRisk()], "risks: {test: {fire: 0.65}}")
    alerts = [contract.decode_alert(raw) for raw in other.alerts.values()]
    assert {a.patient for a in alerts} == {"p-1"}  # 104.6 is 0.61
    assert {a.threshold.version for a in alerts} == {"proposed"}
    assert not [a for a in alerts if a.reason == "unacknowledged"]


async def test_alerts_as_records_become_what_is_measured() -> None:
    ward, journal = await recorded_story()
    log = recorded.read_log(journal, partitions=2)
    assert log.outcomes == {"p-1": 1}
    again = await recorded.replayed(log, [HeartRateRisk()])
    stays = recorded.stays_of(again, "test", log)
    raised = again.raised(stays, "test")
    calls = [a for a in ward.told if a.calls and a.state not in ENDED]
    assert sum(one.calls for one in raised) == len(calls)
    assert {stays.patients[one.stay] for one in raised} == {"p-1", "p-2"}
    found = measure(stays, raised, draws=10)
    assert found["ppv"]["value"] == 1.0  # of p-2 nobody has told anything
    assert found["alerts"] == len({a.alert_id for a in calls})


async def test_progress_goes_from_nothing_to_all() -> None:
    _, journal = await recorded_story()
    log = recorded.read_log(journal, partitions=2)
    seen: list[tuple[int, int]] = []
    await recorded.replayed(log, [HeartRateRisk()], progress=lambda *at: seen.append(at))
    assert seen == sorted(seen)
    assert seen[-1][0] <= log.count == seen[-1][1]


async def test_an_empty_log_gives_nothing() -> None:
    log = recorded.read_log(MemoryJournal(), partitions=2)
    assert not (await recorded.replayed(log, [HeartRateRisk()])).alerts
