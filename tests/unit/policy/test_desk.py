"""Versions of the policy: proposed, approved, in force, rolled back; each step in the log."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import configuration, topics
from connectors.configuration import ConfigEvent, History, RefusedError, Step, VersionState
from connectors.contract import json_schemas
from models.risk import AlertRule
from streams.errors import UserError
from streams.policy.desk import PolicyDesk
from tests.unit.journal import MemoryJournal

SHIPPED = [("deterioration", AlertRule(fire=0.5, clear=0.4, critical=0.8, version="shipped"))]
TEXT = "risks: {deterioration: {fire: 0.45}}\n"
OTHER = "risks: {deterioration: {fire: 0.55}}\n"


def desk(journal: MemoryJournal, *, two_person: bool = False) -> PolicyDesk:
    return PolicyDesk(journal, SHIPPED, lambda: 1_800_000_000.0, two_person=two_person)


def in_force(at: PolicyDesk) -> str:
    return at.in_force()[0]


def test_a_version_is_proposed_approved_activated_and_rolled_back() -> None:
    journal = MemoryJournal()
    at = desk(journal)
    first = at.propose(TEXT, who="ann", reason="fewer false alarms")
    assert (first.state, first.author, first.base) == (VersionState.PROPOSED, "ann", "")
    assert "+risks: {deterioration: {fire: 0.45}}" in first.diff
    assert in_force(at) == ""
    at.approve("1", who="ann")
    assert at.activate("1", who="ann").state is VersionState.ACTIVE
    assert in_force(at) == first.name
    second = at.propose(OTHER, who="bob", reason="still too many")
    assert second.base == first.name
    assert second.diff[2:] == ["@@ -1 +1 @@", f"-{TEXT.strip()}", f"+{OTHER.strip()}"]
    at.approve("2", who="bob")
    at.activate("2", who="bob")
    assert at.history().versions[first.name].state is VersionState.RETIRED
    taken, again = at.roll_back(who="ann", reason="missed one")
    assert (taken.name, taken.state) == (second.name, VersionState.ROLLED_BACK)
    assert again is not None
    assert again.name == first.name == in_force(at)
    at.roll_back(who="ann", reason="back to the beginning")
    assert in_force(at) == ""


SILENCE = "silences: [{name: s, match: {ward: W1}, until: 2027-02-10T08:00Z}]\n"


def test_a_silence_that_hardly_ends_is_no_proposal() -> None:
    at = desk(MemoryJournal())
    text = SILENCE.replace("2027", "2206")
    for propose in (at.check, lambda text: at.propose(text, who="ann", reason="works")):
        with pytest.raises(UserError, match="longer than 31 days"):
            propose(text)
    assert at.check(SILENCE).notes == []


def test_a_silence_that_is_over_may_stay_in_a_file_and_is_said() -> None:
    """It is 08:00:00 on the fifteenth of January; whoever changes a threshold need not tidy up."""
    at = desk(MemoryJournal())
    text = TEXT + SILENCE.replace("02-10", "01-15")
    assert at.check(text).notes == [
        "The silence 's' ended at 2027-01-15T08:00:00.000Z: it does nothing."
    ]
    at.propose(text, who="ann", reason="fewer")
    at.approve("1", who="bob")
    assert at.activate("1", who="ann").state is VersionState.ACTIVE


def test_a_receiver_that_is_not_set_up_is_refused_at_every_step() -> None:
    """Where no receivers are known, the routing is open."""
    journal, known = MemoryJournal(), {"pager": object()}
    lax = desk(journal)
    strict = PolicyDesk(journal, SHIPPED, lambda: 1.8e9, two_person=False, receivers=known)
    slip = "routing: {receivers: [{name: pagr}], route: {receiver: pagr}}\n"
    with pytest.raises(UserError, match="names pagr"):
        strict.check(slip)
    with pytest.raises(UserError, match="names pagr"):
        strict.propose(slip, who="ann", reason="the pager")
    assert not strict.history().versions
    lax.propose(slip, who="ann", reason="the pager")
    lax.approve("1", who="ann")
    with pytest.raises(UserError, match="names pagr"):
        strict.activate("1", who="ann")
    assert strict.check(slip.replace("pagr", "pager")).policy.routing


def bring_into_force(at: PolicyDesk, *texts: str) -> None:
    """One after the other, the first of this desk's journal."""
    for number, text in enumerate(texts, 1):
        at.propose(text, who="ann", reason="x")
        at.approve(str(number), who="ann")
        at.activate(str(number), who="ann")


def test_the_guard_goes_back_to_a_risk_that_is_gone_and_nobody_else_does() -> None:
    journal = MemoryJournal()
    wide = PolicyDesk(
        journal, [*SHIPPED, ("old-risk", SHIPPED[0][1])], lambda: 1.8e9, two_person=False
    )
    old = "risks: {old-risk: {fire: 0.45}}\n"
    bring_into_force(wide, old, TEXT)
    narrow = desk(journal)
    with pytest.raises(UserError, match="old-risk"):
        narrow.roll_back(who="bob", reason="it misses everybody")
    _, again = narrow.roll_back(who="tocsin guard", reason="too many", at_any_rate=True)
    assert again is not None
    assert in_force(narrow) == again.name


def test_nobody_goes_back_to_a_receiver_that_is_gone() -> None:
    """Nothing is rolled back then; who knows no receivers goes back anyway."""
    journal = MemoryJournal()
    lax = desk(journal)
    strict = PolicyDesk(journal, SHIPPED, lambda: 1.8e9, two_person=False, receivers={"pager": 1})
    old = "routing: {receivers: [{name: beeper}], route: {receiver: beeper}}\n"
    bring_into_force(lax, old, TEXT)
    now = in_force(lax)
    with pytest.raises(UserError, match=r"would count again, and it cannot any more.*beeper"):
        strict.roll_back(who="bob", reason="it misses everybody")
    assert in_force(lax) == now
    _, again = lax.roll_back(who="tocsin guard", reason="too many")
    assert again is not None
    assert in_force(lax) == again.name != now
    strict.roll_back(who="bob", reason="as shipped")
    assert in_force(lax) == ""


def test_every_step_is_audited_with_who_and_why() -> None:
    journal = MemoryJournal()
    at = desk(journal)
    at.propose(TEXT, who="ann", reason="fewer")
    at.approve("1", who="bob", reason="looks right")
    records = [json.loads(r.value) for r in journal.records[topics.AUDIT, 0]]
    assert [(r["event"], r["who"], r["reason"]) for r in records] == [
        ("policy_proposed", "ann", "fewer"),
        ("policy_approved", "bob", "looks right"),
    ]


def test_two_people_where_two_are_required() -> None:
    at = desk(MemoryJournal(), two_person=True)
    at.propose(TEXT, who="ann", reason="fewer")
    with pytest.raises(UserError, match="somebody else has to approve it"):
        at.approve("1", who="ann")
    with pytest.raises(UserError, match="is proposed: it cannot be activated"):
        at.activate("1", who="bob")
    at.approve("1", who="bob")
    at.activate("1", who="ann")
    assert in_force(at)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("risks: {deterioration: {fire: 0.9}}", "is above critical"),
        ("risks: {deteriorations: {fire: 0.6}}", "there are no such risks"),
        ("risk: {}", "there is no such key"),
    ],
)
def test_what_cannot_be_used_is_never_written(text: str, why: str) -> None:
    journal = MemoryJournal()
    with pytest.raises(UserError, match=why):
        desk(journal).propose(text, who="ann", reason="x")
    assert not journal.records


def test_a_proposal_needs_a_reason() -> None:
    with pytest.raises(UserError, match="--reason"):
        desk(MemoryJournal()).propose(TEXT, who="ann", reason=" ")


def test_who_comes_second_changes_nothing_and_is_told() -> None:
    """Between the check and the write somebody else was quicker."""
    journal = MemoryJournal()
    at = desk(journal)
    version = at.propose(TEXT, who="ann", reason="x").name

    class Slow(MemoryJournal):
        def append(self, topic, value, headers, partition=-1, *, key=None):  # type: ignore[no-untyped-def]
            if topic == topics.CONFIG:
                desk(journal).reject(version, who="eve", reason="no")
            journal.append(topic, value, headers, partition, key=key)

    slow = Slow()
    slow.records = journal.records
    with pytest.raises(UserError, match="quicker"):
        desk(slow).approve(version, who="bob")
    assert at.history().versions[version].state is VersionState.REJECTED


def test_a_broker_that_is_away_is_said() -> None:
    journal = MemoryJournal()
    journal.away = True
    with pytest.raises(UserError, match="Kafka does not answer"):
        desk(journal).history()


def test_unreadable_records_are_passed_over() -> None:
    journal = MemoryJournal()
    journal.append(topics.CONFIG, b"rubbish", [])
    at = desk(journal)
    at.propose(TEXT, who="ann", reason="x")
    assert len(at.history().versions) == 1


events = st.lists(
    st.builds(
        ConfigEvent,
        id=st.uuids().map(str),
        version=st.sampled_from(["1", "2", "3"]),
        step=st.sampled_from(Step),
        at=st.just(0.0),
        who=st.sampled_from(["a", "b"]),
        policy=st.just("{}"),
    ),
    max_size=30,
)


@given(events, st.booleans())
def test_any_events_leave_at_most_one_version_in_force(
    sequence: list[ConfigEvent], two_person: bool
) -> None:
    history = History(two_person=two_person)
    for offset, event in enumerate(sequence):
        before = history.policy(0.0)
        try:
            history.apply(configuration.decode(configuration.encode(event)), offset)
        except RefusedError:
            assert history.policy(0.0) == before
        active = [v.name for v in history.versions.values() if v.state is VersionState.ACTIVE]
        standing = history.in_force
        assert active == ([standing.name] if standing else [])
        for version in history.versions.values():
            if two_person and version.state is VersionState.ACTIVE:
                assert set(version.approved_by) - {version.author}


def test_the_schemas_are_published() -> None:
    assert {"config", "feedback", "alerts"} <= json_schemas().keys()
