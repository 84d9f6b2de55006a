"""Random scores, ticks, feedback and policies: what holds whatever comes in whatever order."""

from __future__ import annotations

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from connectors import contract
from connectors.contract import ENDED, OPEN, Alert, AlertState, Answer
from connectors.facts import MessageFacts
from connectors.feedback import Action
from models.record import Presence
from streams import codec
from streams.grouping import CALLING, RANK
from streams.transitions import TRANSITIONS
from tests.unit.streams.timeline import (
    ANY_MESSAGE,
    BreathingRisk,
    HeartRateRisk,
    admitted,
    breathing,
    heart_rate,
)
from tests.unit.streams.ward import Ward, died, stated

POLICIES = (
    "",
    "risks: {test: {fire: 0.85, clear: 0.5}}",
    "risks: {test: {fire: 0.5, clear: 0.3, critical: 0.7}}",
    "risks: {test: {confirm: {scores: 2, of: 3}, refractory: 20m}}",
    "risks: {test: {confirm: {lasting: 15m}}}",
    "escalation: [{steps: [{after: 5m, to: a}, {after: 10m, to: b}]}]",
    "inhibitions: [{name: palliative, codes: [{code: Z51.5}]}]",
    "silences: [{name: s, match: {ward: W1}, until: 2023-11-14T23:00Z}]",  # minute 46:40
    "quiet_hours: [{name: q, from: 22:30, until: 23:15, time_zone: UTC}]",
    "stage: shadow",
    "groups: {both: [test, breathing]}",
    "groups: {both: {risks: [test, breathing], covers: 20m}}\n"
    "escalation: [{steps: [{after: 5m, to: a}]}]",
    "groups: {both: [test, breathing]}\n"
    "quiet_hours: [{name: q, from: 22:30, until: 23:15, time_zone: UTC}]",
    "stage: [W1]\nescalation: [{steps: [{after: 5m, to: a}]}]",
)


class Life(RuleBasedStateMachine):
    """One patient of one partition."""

    def __init__(self) -> None:
        super().__init__()
        self.ward = Ward(HeartRateRisk(), BreathingRisk())
        self.loop = asyncio.new_event_loop()
        self.minute = 0.0
        self.wild = False

    def teardown(self) -> None:
        self.loop.close()

    def run(self, what) -> list[Alert]:  # type: ignore[no-untyped-def]
        return self.loop.run_until_complete(what)

    @initialize(wild=st.booleans())
    def admission(self, wild: bool) -> None:
        """In some stories, messages of any kind and order; in others, the patient stays a while."""
        self.wild = wild
        self.run(self.ward.say(admitted(0)))

    @rule(value=st.sampled_from([85.0, 98.0, 108.0, 112.0, 116.0, 126.0, 135.0]))
    def a_heart_rate(self, value: float) -> None:
        self.minute = max(self.minute, self.ward.minute) + 1.0
        self.run(self.ward.say(heart_rate(self.minute, value)))

    @rule(value=st.sampled_from([85.0, 112.0, 135.0]), both=st.booleans())
    def of_the_other_risk(self, value: float, both: bool) -> None:
        self.minute = max(self.minute, self.ward.minute) + 1.0
        more = [heart_rate(self.minute, value)] if both else []
        self.run(self.ward.say(breathing(self.minute, value), *more))

    @rule(value=st.sampled_from([85.0, 112.0, 135.0]), back=st.integers(1, 20))
    def a_late_one(self, value: float, back: int) -> None:
        seen = max(0.0, self.minute - back)
        self.run(self.ward.say(heart_rate(seen, value, order=f"late-{seen}", sent=self.minute)))

    @rule(value=st.sampled_from([85.0, 112.0, 135.0]))
    def a_correction_of_the_newest(self, value: float) -> None:
        made = heart_rate(self.minute, value, order=f"hr-{self.minute}", status="C")
        self.run(self.ward.say(made))

    @precondition(lambda self: self.wild)
    @rule(messages=st.lists(ANY_MESSAGE, min_size=1, max_size=3))
    def data(self, messages: list[MessageFacts]) -> None:
        self.run(self.ward.say(*messages))

    @rule(minutes=st.sampled_from([1.0, 4.0, 11.0, 45.0]))
    def time_passes(self, minutes: float) -> None:
        self.minute = max(self.minute, self.ward.minute) + minutes
        self.run(self.ward.tick(self.minute))

    @precondition(lambda self: self.ward.told)
    @rule(
        data=st.data(),
        action=st.sampled_from(Action),
        who=st.sampled_from(["ann", "bob"]),
        repeated=st.booleans(),
    )
    def somebody_acts(self, data: st.DataObject, action: Action, who: str, repeated: bool) -> None:
        """On any revision that was ever shown; some clicks come twice."""
        shown = data.draw(st.just(self.ward.last) | st.sampled_from(self.ward.told))
        before = len(self.ward.told)
        self.run(self.ward.act(shown, action, who=who, click=f"c{before}"))
        if repeated:
            state = self.state()
            self.run(self.ward.act(shown, action, who=who, click=f"c{before}"))
            assert self.ward.answers[-1].answer is not Answer.DONE
            assert self.state() == state

    @rule(policy=st.sampled_from(POLICIES))
    def a_policy_comes_into_force(self, policy: str) -> None:
        self.run(self.ward.policy(policy))

    @rule(removed=st.booleans(), minute=st.integers(0, 150))
    def palliative_care(self, removed: bool, minute: int) -> None:
        self.run(self.ward.say(stated(minute, removed=removed)))

    @rule()
    def the_worker_dies(self) -> None:
        self.run(self.ward.restart())

    @precondition(lambda self: self.wild)
    @rule(minute=st.integers(100, 150))
    def the_patient_dies(self, minute: int) -> None:
        self.run(self.ward.say(died(minute)))

    # ── what holds ──────────────────────────────────────────────────────────────────────────

    def state(self):  # type: ignore[no-untyped-def]
        """As the store has it."""
        fields = self.ward.store.patients.get((0, "p-1"), {})
        return codec.to_state("p-1", fields).risks

    @invariant()
    def revisions_have_no_gaps_and_follow_the_table(self) -> None:
        """Each revision was told once, with one content, and came from its predecessor."""
        newest: dict[str, Alert] = {}
        for alert in self.ward.told:
            before = newest.get(alert.alert_id)
            assert alert.revision == (before.revision + 1 if before else 1)
            came_from = before.state if before else None
            assert TRANSITIONS[came_from, alert.reason] is alert.state
            assert (alert.state is AlertState.PENDING) == bool(
                alert.reason in (*HOLDING,)
                or (before and before.state is AlertState.PENDING and alert.state is before.state)
            )
            assert not alert.calls or alert.called == alert.revision
            assert alert.state is not AlertState.PENDING or not alert.calls
            newest[alert.alert_id] = alert

    @invariant()
    def one_alert_of_a_risk_is_open_at_most(self) -> None:
        newest = {alert.alert_id: alert for alert in self.ward.told}
        still = [a.risk for a in newest.values() if a.state in OPEN]
        assert len(still) == len(set(still))
        stored = [contract.decode_alert(raw) for raw in self.ward.store.alerts.values()]
        assert {a.alert_id: a for a in stored} == newest

    @invariant()
    def what_joined_a_call_belongs_to_one_that_is_made_and_is_as_severe(self) -> None:
        newest = {alert.alert_id: alert for alert in self.ward.told}
        for alert in newest.values():
            if alert.joined and alert.state in CALLING:
                lead = newest[alert.joined]
                assert lead.state in CALLING
                assert not lead.joined
                assert RANK[lead.severity] >= RANK[alert.severity]
                assert not alert.escalation

    @invariant()
    def nothing_is_open_after_the_end_of_a_stay(self) -> None:
        fields = self.ward.store.patients.get((0, "p-1"))
        if not fields:
            return
        state = codec.to_state("p-1", fields)
        over = state.record.presence(state.now()) in (
            Presence.DISCHARGED,
            Presence.DIED,
            Presence.CANCELLED,
            Presence.NOT_YET,
        )
        open_alerts = [p for r in state.risks.values() for p in r.published if p.state not in ENDED]
        assert not (over and open_alerts)

    @invariant()
    def who_has_an_open_alert_is_due(self) -> None:
        """Otherwise neither time nor a policy would ever find it."""
        risks = self.state()
        open_alerts = [p for r in risks.values() for p in r.published if p.state not in ENDED]
        assert not open_alerts or "p-1" in self.ward.store.dues[0]

    @invariant()
    def the_policy_that_was_written_last_is_in_force(self) -> None:
        risk = self.state().get(HeartRateRisk.risk)
        if self.ward.serial and risk and risk.live and self.ward.owner:
            assert self.ward.owner.lease.policy


HOLDING = (
    contract.AlertReason.AWAITING_CONFIRMATION,
    contract.AlertReason.INHIBITED,
    contract.AlertReason.SILENCED,
    contract.AlertReason.QUIET_HOURS,
    contract.AlertReason.SHADOW,
)

TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
