"""What people, clocks and policies do to alerts, as timelines. Minute 0 is 22:13:20 UTC."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from msgspec.structs import replace

from connectors import contract, topics
from connectors.clock import iso
from connectors.contract import AlertReason, AlertState, Answer, Contribution, Evidence
from connectors.feedback import Action, Outcome
from models.record import PatientRecord
from models.risk import Assessment
from streams import codec
from tests.unit.streams.timeline import (
    MINUTE,
    START,
    HeartRateRisk,
    admitted,
    discharged,
    heart_rate,
)
from tests.unit.streams.ward import Ward, stated

P, F, A = AlertState.PENDING, AlertState.FIRING, AlertState.ACKNOWLEDGED
S, E, END = AlertState.SNOOZED, AlertState.ESCALATED, AlertState.RESOLVED
R = AlertReason
ROUTE = (
    "escalation:\n"
    "- {severities: [critical], steps: [{after: 5m, to: rapid response}]}\n"
    "- {steps: [{after: 10m, to: charge nurse}, {after: 20m, to: registrar}]}\n"
)


async def firing(policy: str = "", value: float = 110.0, *models: HeartRateRisk) -> Ward:
    ward = Ward(*models)
    await ward.say(admitted(0), heart_rate(0, 90.0))
    if policy:
        await ward.policy(policy)
    await ward.say(heart_rate(1, value))
    return ward


# ── time ────────────────────────────────────────────────────────────────────────────────────────


async def test_nobody_answers() -> None:
    """At 1 it fires; at 11 the charge nurse is called, at 31 the registrar, and then nobody."""
    ward = await firing(ROUTE)
    await ward.until(10.9)
    assert ward.story == [(F, R.ABOVE_THRESHOLD)]
    await ward.until(60)
    assert [(a.state, a.escalation, a.escalated_to, a.calls) for a in ward.told[1:]] == [
        (E, 1, "charge nurse", True),
        (E, 2, "registrar", True),
    ]


async def test_who_acknowledges_in_time_stops_the_escalation() -> None:
    ward = await firing(ROUTE)
    await ward.until(9)
    await ward.act(ward.last, Action.ACKNOWLEDGE, who="ann")
    await ward.until(59)
    assert ward.story == [(F, R.ABOVE_THRESHOLD), (A, R.ACKNOWLEDGED)]
    assert (ward.last.acknowledged_by, ward.last.calls) == ("ann", False)


async def test_what_gets_worse_goes_along_the_route_of_its_severity_from_then_on() -> None:
    ward = await firing(ROUTE)
    await ward.until(9)
    await ward.say(heart_rate(9, 130.0))
    await ward.until(13)
    assert ward.last.reason is R.SCORE_CHANGED
    assert ward.last.calls
    await ward.until(15)
    assert ward.last.escalated_to == "rapid response"


async def test_a_snooze_ends_by_itself_and_calls_again() -> None:
    ward = await firing()
    await ward.act(ward.last, Action.SNOOZE, minutes=30)
    assert ward.last.snoozed_until == iso(START + 31 * MINUTE)
    await ward.until(30)
    assert ward.last.state is S
    await ward.until(32)
    assert (ward.last.state, ward.last.reason, ward.last.calls) == (F, R.SNOOZE_ENDED, True)
    assert ward.last.snoozed_until == ""


async def test_a_snooze_wakes_when_it_gets_worse() -> None:
    ward = await firing()
    await ward.act(ward.last, Action.SNOOZE, minutes=30)
    await ward.say(heart_rate(5, 112.0))
    assert ward.last.state is S
    await ward.say(heart_rate(6, 130.0))
    assert (ward.last.state, ward.last.reason) == (F, R.WORSENED)


async def test_a_snooze_is_no_longer_than_the_policy_allows() -> None:
    ward = await firing("longest_snooze: 20m")
    await ward.act(ward.last, Action.SNOOZE, minutes=10_000)
    assert ward.last.snoozed_until == iso(START + 21 * MINUTE + 1.0)  # heard a second later


async def test_a_snooze_until_a_time_that_is_past_is_refused_as_such() -> None:
    ward = await firing()
    for minutes in (0.0, -5.0):
        await ward.act(ward.last, Action.SNOOZE, minutes=minutes)
        assert ward.answers[-1].answer is Answer.PAST
    assert ward.story == [(F, R.ABOVE_THRESHOLD)]


async def test_a_warning_waits_for_the_end_of_the_quiet_hours_and_a_critical_one_does_not() -> None:
    quiet = "quiet_hours: [{name: night, from: 22:00, until: 22:30, time_zone: UTC}]"
    ward = await firing(quiet)
    assert (ward.last.state, ward.last.held_by, ward.last.called) == (P, "night", 0)
    await ward.until(16)
    assert len(ward.told) == 1
    await ward.until(17)  # 22:30:20
    assert (ward.last.state, ward.last.reason, ward.last.calls) == (F, R.RELEASED, True)
    ward = await firing(quiet, 130.0)
    assert ward.last.state is F


async def test_escalation_waits_for_the_end_of_the_quiet_hours_too() -> None:
    quiet = "quiet_hours: [{name: night, from: 22:16, until: 22:45, time_zone: UTC}]\n"
    ward = await firing(ROUTE + quiet)
    await ward.until(31)
    assert ward.story == [(F, R.ABOVE_THRESHOLD)]
    await ward.until(32)
    assert ward.last.state is E


async def test_a_silence_ends() -> None:
    silence = "silences: [{name: s, match: {ward: 'W*'}, until: 2023-11-14T22:43:20Z}]"
    ward = await firing(silence)
    assert (ward.last.state, ward.last.reason, ward.last.held_by) == (P, R.SILENCED, "s")
    await ward.until(29.9)
    assert len(ward.told) == 1
    await ward.until(30)
    assert (ward.last.state, ward.last.reason) == (F, R.RELEASED)


async def test_what_ends_while_it_is_held_back_was_told_to_nobody() -> None:
    ward = await firing("stage: shadow")
    await ward.say(heart_rate(2, 80.0))
    assert [(a.state, a.calls, a.called) for a in ward.told] == [(P, False, 0), (END, False, 0)]


# ── what is known of the patient ────────────────────────────────────────────────────────────────


async def test_palliative_care_takes_the_call_back_and_its_removal_brings_it_again() -> None:
    ward = await firing("inhibitions: [{name: palliative, codes: [{code: Z51.5}]}]")
    await ward.say(stated(5))
    assert (ward.last.state, ward.last.reason, ward.last.held_by) == (P, R.INHIBITED, "palliative")
    await ward.say(stated(9, removed=True))
    assert (ward.last.state, ward.last.reason, ward.last.calls) == (F, R.RELEASED, True)


async def test_who_has_acknowledged_is_left_in_peace() -> None:
    ward = await firing("inhibitions: [{name: palliative, codes: [{code: Z51.5}]}]")
    await ward.act(ward.last, Action.ACKNOWLEDGE)
    await ward.say(stated(5))
    assert ward.last.state is A


async def test_two_of_three() -> None:
    ward = await firing("risks: {test: {confirm: {scores: 2, of: 3}}}")
    assert ward.story == [(P, R.AWAITING_CONFIRMATION)]
    await ward.say(heart_rate(2, 98.0))
    await ward.say(heart_rate(3, 111.0))
    assert ward.story[1:] == [(F, R.CONFIRMED)]
    assert ward.told[1].since == ward.told[0].since == iso(START + MINUTE)


async def test_ten_minutes_are_over_whether_something_is_measured_or_not() -> None:
    """The newest score stands until another one comes, or until it has expired."""
    ward = await firing("risks: {test: {confirm: {lasting: 10m}}}")
    assert not await ward.until(10.9)
    (told,) = await ward.until(12)
    assert (told.state, told.reason, told.calls) == (F, R.CONFIRMED, True)
    await ward.say(heart_rate(13, 98.0))  # between clear and fire: it goes on
    assert ward.last.reason is R.CONFIRMED
    await ward.say(heart_rate(14, 80.0))
    assert ward.last.reason is R.BELOW_THRESHOLD


async def test_a_duration_does_not_stand_in_for_the_number_of_scores() -> None:
    ward = await firing("risks: {test: {confirm: {scores: 2, of: 2, lasting: 10m}}}")
    assert not await ward.until(30)
    await ward.say(heart_rate(31, 111.0))
    assert ward.last.reason is R.CONFIRMED


async def test_a_late_value_that_ends_the_wait_takes_the_call_back() -> None:
    ward = await firing("risks: {test: {confirm: {lasting: 10m}}}")
    await ward.until(12)
    await ward.say(heart_rate(5, 80.0, sent=13), heart_rate(13, 110.0))
    assert [(a.state, a.reason) for a in ward.told[-2:]] == [
        (END, R.BELOW_THRESHOLD),
        (P, R.AWAITING_CONFIRMATION),
    ]


async def test_for_ten_minutes() -> None:
    ward = await firing("risks: {test: {confirm: {lasting: 10m}}}")
    await ward.say(heart_rate(10, 108.0))
    assert ward.last.state is P
    await ward.say(heart_rate(11, 108.0))
    assert ward.last.state is F


async def test_after_an_alert_a_warning_waits_and_a_critical_score_does_not() -> None:
    ward = await firing("risks: {test: {refractory: 30m}}")
    await ward.say(heart_rate(2, 80.0), heart_rate(5, 110.0))
    assert ward.last.state is END
    await ward.say(heart_rate(33, 110.0))
    assert (ward.last.state, ward.last.since) == (F, iso(START + 33 * MINUTE))
    ward = await firing("risks: {test: {refractory: 30m}}")
    await ward.say(heart_rate(2, 80.0))
    await ward.say(heart_rate(5, 130.0))
    assert ward.last.severity == "critical"


class Undying(HeartRateRisk):
    """Answers on evidence that it says has expired."""

    def _one(self, record: PatientRecord, as_of: float) -> Assessment:
        made = super()._one(record, as_of)
        stale = made.abstained == "stale_data"
        return replace(made, abstained=None, log_odds=1.0, probability=0.73) if stale else made


async def test_a_model_that_goes_on_answering_is_not_asked_with_every_tick() -> None:
    ward = await firing("", 110.0, Undying())
    before = len(ward.world.outputs)
    await ward.until(200)
    assert len(ward.world.outputs) - before <= 4


# ── people ──────────────────────────────────────────────────────────────────────────────────────


async def test_two_people_at_once_end_in_one_state() -> None:
    ward = await firing()
    seen = ward.last
    await ward.act(seen, Action.ACKNOWLEDGE, who="ann")
    await ward.act(seen, Action.DISMISS, who="bob")
    await ward.act(seen, Action.SNOOZE, who="eve")
    assert ward.story[1:] == [(A, R.ACKNOWLEDGED), (END, R.DISMISSED)]
    assert [a.answer for a in ward.answers] == [Answer.DONE, Answer.DONE, Answer.ENDED]
    assert [(a.who, a.action) for a in ward.last.actions] == [
        ("ann", "acknowledge"),
        ("bob", "dismiss"),
    ]


async def test_who_acknowledges_first_keeps_it() -> None:
    ward = await firing()
    await ward.act(ward.last, Action.ACKNOWLEDGE, who="ann")
    await ward.act(ward.last, Action.ACKNOWLEDGE, who="bob")
    assert (ward.last.acknowledged_by, ward.last.revision) == ("ann", 3)


async def test_a_click_that_comes_again_changes_nothing_even_after_a_restart() -> None:
    ward = await firing()
    seen = ward.last
    await ward.act(seen, Action.ACKNOWLEDGE, click="c")
    await ward.restart()
    await ward.act(seen, Action.ACKNOWLEDGE, click="c")
    answers = dict.fromkeys(a.answer for a in ward.answers)  # told at least once
    assert list(answers) == [Answer.DONE, Answer.REPEATED]
    assert ward.last.revision == 2


async def test_who_has_not_seen_that_it_got_worse_has_to_look_again() -> None:
    ward = await firing()
    seen = ward.last
    await ward.say(heart_rate(2, 130.0))
    await ward.act(seen, Action.ACKNOWLEDGE)
    assert (ward.last.state, ward.answers[-1].answer) == (F, Answer.OUTDATED)
    assert ward.answers[-1].revision == 2
    await ward.act(ward.last, Action.ACKNOWLEDGE)
    assert ward.last.state is A


async def test_an_older_revision_that_is_no_worse_will_do() -> None:
    ward = await firing(ROUTE)
    seen = ward.last
    await ward.until(12)
    assert ward.last.state is E
    await ward.act(seen, Action.ACKNOWLEDGE)
    assert ward.last.state is A


@pytest.mark.parametrize("action", list(Action))
async def test_a_revision_that_nobody_was_told_of_is_not_known(action: Action) -> None:
    """Before the alert's end and after it."""
    ward = await firing()
    for end in (Action.DISMISS, None):
        before = ward.last
        await ward.act(replace(before, revision=before.revision + 1), action)
        assert (ward.last, ward.answers[-1].answer) == (before, Answer.UNKNOWN)
        if end is not None:
            await ward.act(before, end)


async def test_what_was_handed_over_has_to_be_acknowledged_by_somebody_else() -> None:
    ward = await firing(ROUTE)
    await ward.act(ward.last, Action.ACKNOWLEDGE, who="ann")
    await ward.act(ward.last, Action.HAND_OVER, who="ann", to="night shift")
    assert (ward.last.state, ward.last.handed_to, ward.last.acknowledged_by) == (
        F,
        "night shift",
        "",
    )
    await ward.until(12)
    assert ward.last.state is E


async def test_a_dismissed_alert_comes_back_only_when_it_gets_worse() -> None:
    ward = await firing()
    await ward.act(ward.last, Action.DISMISS)
    await ward.say(heart_rate(3, 115.0))
    assert ward.last.reason is R.DISMISSED
    await ward.say(heart_rate(4, 130.0))
    assert (ward.last.state, ward.last.reason, ward.last.revision) == (F, R.WORSENED, 3)
    assert ward.last.alert_id == ward.told[0].alert_id


async def test_after_a_dismissed_alert_the_next_episode_is_a_new_one() -> None:
    ward = await firing()
    await ward.act(ward.last, Action.DISMISS)
    await ward.say(heart_rate(3, 80.0), heart_rate(4, 112.0))
    assert (ward.last.state, ward.last.revision) == (F, 1)
    assert ward.last.alert_id != ward.told[0].alert_id


async def test_an_outcome_is_noted_after_the_end_and_changes_no_state() -> None:
    ward = await firing()
    await ward.say(heart_rate(2, 80.0))
    await ward.act(ward.told[0], Action.OUTCOME, outcome=Outcome.NO_EVENT)
    assert (ward.last.state, ward.last.reason) == (END, R.OUTCOME)
    assert (ward.last.actions[-1].outcome, ward.answers[-1].answer) == ("no_event", Answer.NOTED)


async def test_comments_are_counted_and_kept() -> None:
    ward = await firing()
    for text in ("cold hands", "lactate sent"):
        await ward.act(ward.last, Action.COMMENT, comment=text)
    assert (ward.last.state, ward.last.comment_count, ward.last.calls) == (F, 2, False)
    assert [a.comment for a in ward.last.actions] == ["cold hands", "lactate sent"]


# ── retraction ──────────────────────────────────────────────────────────────────────────────────


async def test_whoever_was_told_is_told_when_the_ground_is_gone() -> None:
    ward = await firing()
    await ward.act(ward.last, Action.ACKNOWLEDGE)
    await ward.say(heart_rate(1, 80.0, order="hr-1.0", status="C", sent=5))
    assert (ward.last.state, ward.last.reason) == (AlertState.WITHDRAWN, R.DATA_CHANGED)
    assert (ward.last.calls, ward.last.called) == (True, ward.last.revision)


async def test_what_comes_back_has_to_be_acknowledged_again() -> None:
    ward = await firing()
    await ward.act(ward.last, Action.ACKNOWLEDGE)
    await ward.say(heart_rate(1, 80.0, order="hr-1.0", status="C", sent=5))
    await ward.say(heart_rate(1, 112.0, order="hr-1.0", status="C", sent=6))
    assert (ward.last.state, ward.last.acknowledged_by, ward.last.calls) == (F, "", True)
    assert ward.last.alert_id == ward.told[0].alert_id


class Lasting(HeartRateRisk):
    """A question that is not about a stay."""

    of_stay = False

    def _one(self, record: PatientRecord, as_of: float) -> Assessment:
        values = record.between(self.codes_in_order[0], 0.0, as_of)
        made = super()._one(record, as_of)
        if made.abstained != "not_present" or not values:
            return made
        return replace(made, abstained=None, log_odds=1.0, probability=0.73)

    codes_in_order: Sequence[str] = tuple(HeartRateRisk.codes)


async def test_a_discharge_ends_only_what_belongs_to_a_stay() -> None:
    ward = await firing()
    await ward.say(discharged(5))
    assert ward.last.reason is R.DISCHARGED
    ward = await firing("", 110.0, Lasting())
    await ward.say(discharged(5))
    assert ward.story == [(F, R.ABOVE_THRESHOLD)]
    await ward.say(admitted(9, visit="next"), heart_rate(9, 110.0))
    assert ward.story == [(F, R.ABOVE_THRESHOLD)]


async def test_alerts_of_stays_long_past_are_not_carried_along_for_ever() -> None:
    ward = Ward()
    for stay in range(70):
        at = stay * 100.0
        await ward.say(admitted(at, visit=f"v-{stay}"), heart_rate(at + 1, 112.0))
        await ward.say(discharged(at + 2, visit=f"v-{stay}"))
    kept = codec.to_state("p-1", ward.store.patients[0, "p-1"]).risks["test"].published
    assert len({a.alert_id for a in ward.told}) == 70
    assert len(kept) == 50
    await ward.act(ward.told[0], Action.COMMENT)
    assert ward.answers[-1].answer is Answer.UNKNOWN


# ── policies ────────────────────────────────────────────────────────────────────────────────────


async def test_a_policy_that_comes_into_force_finds_everybody_without_a_message() -> None:
    ward = Ward()
    await ward.say(admitted(0), heart_rate(1, 100.0))  # 0.5
    await ward.say(heart_rate(1, 101.0, patient="p-2"))
    assert not ward.told
    told = await ward.policy("risks: {test: {fire: 0.45, clear: 0.3}}", "9-abc")
    assert {(a.patient, a.state, a.threshold.version) for a in told} == {
        ("p-1", F, "9-abc"),
        ("p-2", F, "9-abc"),
    }
    assert told[0].since == iso(START + MINUTE)


async def test_a_policy_written_twice_or_late_changes_nothing() -> None:
    """A sequencer that starts anew writes what is in force again."""
    ward = await firing("risks: {test: {fire: 0.5}}")
    lease = ward.owner.lease if ward.owner else None
    assert lease is not None
    before = lease.policy
    ward.serial = 0
    assert not await ward.policy("risks: {test: {fire: 0.99}}")
    assert lease.policy == before


async def test_a_policy_that_cannot_be_used_is_set_aside_and_the_one_before_goes_on() -> None:
    ward = await firing("risks: {test: {fire: 0.5}}", 107.0)
    told = await ward.policy("risks: {test: {fire: 0.95}}")  # above critical
    assert not told
    kept = [o for o in ward.world.outputs if o.topic == topics.QUARANTINE]
    record = contract.decode_quarantined(kept[0].value)
    assert (record.reason, record.location) == ("bad_policy", "tocsin.facts/0/3")
    await ward.say(heart_rate(3, 108.0))
    assert ward.last.state is F
    scores = [
        contract.decode_score(o.value) for o in ward.world.outputs if o.topic == topics.SCORES
    ]
    assert scores[-1].config == "1-test"


async def test_the_policy_in_force_survives_a_restart() -> None:
    ward = await firing("risks: {test: {fire: 0.5, clear: 0.1}}", 101.0)
    await ward.restart()
    await ward.say(heart_rate(2, 101.0))
    assert ward.last.state is F
    assert len(ward.told) == 1


async def test_a_change_of_thresholds_asks_no_model() -> None:
    """The trajectory is stored: a new policy costs no night shift a stall."""

    class Counting(HeartRateRisk):
        points = 0

        def answer(self, patients, points):  # type: ignore[no-untyped-def]
            Counting.points += len(points)
            return super().answer(patients, points)

    ward = Ward(Counting())
    await ward.say(admitted(0), *(heart_rate(m, 101.0) for m in range(200)))
    await ward.restart()
    Counting.points = 0
    await ward.policy("risks: {test: {fire: 0.5}}")
    assert (ward.last.state, Counting.points) == (F, 0)


async def test_a_ward_with_other_thresholds_judges_by_its_own() -> None:
    ward = await firing("risks: {test: {wards: {W1: {fire: 0.8}}}}")  # 110 is 0.73
    assert not ward.told
    await ward.say(heart_rate(3, 115.0))
    assert ward.last.threshold.value == 0.8


# ── why now ─────────────────────────────────────────────────────────────────────────────────────


class Explained(HeartRateRisk):
    """Two features, of which one moves."""

    def _one(self, record: PatientRecord, as_of: float) -> Assessment:
        made = super()._one(record, as_of)
        if made.log_odds is None:
            return made
        top = [
            Contribution(feature="Heart rate", value=1.0, unit="/min", contribution=made.log_odds),
            Contribution(feature="Age", value=70.0, unit="a", contribution=0.2),
        ]
        evidence = Evidence(
            modality="ehr", llr=made.log_odds, as_of=iso(as_of), staleness_s=0.0, top=top
        )
        return replace(made, evidence=(evidence,))


async def test_an_alert_says_what_changed_since_the_score_before() -> None:
    ward = await firing("", 112.0, Explained())
    (moved,) = ward.last.why_now
    assert (moved.feature, moved.before, moved.after) == ("Heart rate", -1.0, 1.2)


@pytest.mark.parametrize("raw", [b'{"alert_id":"a"}', b"[]"])
def test_an_alert_outside_the_contract_is_refused(raw: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        contract.decode_alert(raw)
