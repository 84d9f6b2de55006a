"""Feedback and policies on their way into the log: validated, in the right partition, once."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import configuration, contract, feedback, topics
from connectors.configuration import ConfigEvent, Step
from connectors.decisions import Decided, Decisions
from connectors.facts import FactRecord
from connectors.feedback import Action, Feedback

NOW = 1_800_000_000.0
PARTITIONS = 4


def act(action: Action = Action.ACKNOWLEDGE, patient: str = "p-1", **said: object) -> bytes:
    made = {
        "id": "click-1",
        "patient": patient,
        "alert_id": "a",
        "risk": "test",
        "revision": 1,
        "action": action,
        "at": NOW - 1,
        "who": "nurse",
        **said,
    }
    return json.dumps(made).encode()


def take(*raw: bytes) -> Decided:
    return Decisions(PARTITIONS, two_person=False).take(raw, [], NOW)


def event(step: Step, version: str = "1-a", who: str = "ann") -> bytes:
    made = ConfigEvent(
        id=f"{version}/{step}/{who}", version=version, step=step, at=NOW, who=who, policy="{}"
    )
    return configuration.encode(made)


def policies(decided: Decided) -> list[str]:
    return [r.policy.version for r in decided.records.get(0, []) if r.policy is not None]


def test_an_action_goes_to_its_patients_partition_with_the_time_it_was_heard() -> None:
    decided = take(*(act(patient=f"p-{n}", id=f"c{n}") for n in range(20)))
    for partition, records in decided.records.items():
        for record in records:
            for action in record.feedback:
                assert topics.partition_of(action.patient, PARTITIONS) == partition
                assert action.heard == NOW
    assert sum(len(r.feedback) for rs in decided.records.values() for r in rs) == 20
    assert decided.actions == {"acknowledge": 20}


def test_the_order_of_one_patients_actions_is_kept() -> None:
    decided = take(*(act(id=f"c{n}") for n in range(450)))
    (records,) = decided.records.values()
    assert [a.id for r in records for a in r.feedback] == [f"c{n}" for n in range(450)]
    assert max(len(r.feedback) for r in records) <= 200


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"rubbish",
        b"\xff\xfe",
        b"[" * 100_000,
        act()[:-10],
        act(Action.SNOOZE),  # until when?
        act(Action.DISMISS),  # why?
        act(Action.DISMISS, reason="other"),  # and what?
        act(Action.HAND_OVER),
        act(Action.COMMENT),
        act(Action.OUTCOME),
        act(comment="x" * 1_001),
        act(revision=0),
        act(at=-1),
        act(at="yesterday"),
        json.dumps({**json.loads(act()), "action": "Smith, John"}).encode(),
        json.dumps({k: v for k, v in json.loads(act()).items() if k != "who"}).encode(),
    ],
)
def test_what_is_outside_the_contract_goes_to_quarantine_with_its_bytes(raw: bytes) -> None:
    decided = take(raw, act())
    ((_, record),) = decided.quarantine
    kept = contract.decode_quarantined(record)
    assert (kept.reason, kept.source) == ("bad_feedback", topics.FEEDBACK)
    assert kept.raw_base64 or not raw
    assert "Smith" not in kept.detail
    assert sum(len(r.feedback) for rs in decided.records.values() for r in rs) == 1


@given(st.binary(max_size=200))
def test_no_bytes_stop_it(raw: bytes) -> None:
    Decisions(PARTITIONS, two_person=False).take([raw], [(0, raw)], NOW)


def test_a_policy_that_comes_into_force_is_written_into_every_partition() -> None:
    steps = [(0, event(Step.PROPOSED)), (1, event(Step.APPROVED)), (2, event(Step.ACTIVATED))]
    decided = Decisions(PARTITIONS, two_person=False).take([], steps, NOW)
    assert {p: [r.policy.serial for r in rs] for p, rs in decided.records.items()} == {
        p: [2] for p in range(PARTITIONS)
    }


def test_only_the_newest_of_several_is_written_and_nothing_is_written_twice() -> None:
    """A sequencer that starts reads the whole topic."""
    decisions = Decisions(PARTITIONS, two_person=False)
    steps = [Step.PROPOSED, Step.APPROVED, Step.ACTIVATED]
    old = [event(s, "1-a") for s in steps]
    new = [event(s, "2-b") for s in steps]
    assert policies(decisions.take([], enumerate(old + new), NOW)) == ["2-b"]
    assert policies(decisions.take([act()], [], NOW)) == []
    assert policies(decisions.take([], [(6, event(Step.ROLLED_BACK, "2-b"))], NOW)) == ["1-a"]
    assert policies(decisions.take([], [(7, event(Step.ROLLED_BACK, "1-a"))], NOW)) == [""]


def test_the_sequencer_itself_insists_on_two_people() -> None:
    """Whoever writes to the topic past the desk gains nothing."""
    decisions = Decisions(PARTITIONS, two_person=True)
    steps = [Step.PROPOSED, Step.APPROVED, Step.ACTIVATED]
    assert policies(decisions.take([], enumerate(event(s) for s in steps), NOW)) == []
    by_two = [(3, event(Step.APPROVED, who="bob")), (4, event(Step.ACTIVATED))]
    assert policies(decisions.take([], by_two, NOW)) == ["1-a"]


def test_bad_configuration_goes_to_quarantine() -> None:
    decided = Decisions(PARTITIONS, two_person=False).take([], [(0, b"{}")], NOW)
    assert decided.reasons == {"bad_config": 1}


def test_a_record_of_facts_carries_both() -> None:
    decided = take(act(Action.SNOOZE, until=NOW + 60))
    ((record,),) = decided.records.values()
    again = msgspec.json.decode(msgspec.json.encode(record), type=FactRecord)
    assert again == record
    assert isinstance(again.feedback[0], Feedback)
    assert feedback.lacking(again.feedback[0]) == ""
