"""Merged patients and silent feeds through a worker: stored, loaded, told."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from connectors import contract, facts, topics
from connectors.contract import AlertState, Score
from connectors.facts import FactRecord, Link, LinkKind, MessageFacts, Part, Tick
from streams import codec
from streams.engine import Engine
from streams.partition import PartitionOwner
from streams.store import MemoryStore
from streams.together import Together
from tests.unit.streams.test_partition import ListLog, Told
from tests.unit.streams.timeline import (
    MINUTE,
    START,
    HeartRateRisk,
    admitted,
    discharged,
    heart_rate,
)


def link(minute: float, *, removed: bool = False) -> list[MessageFacts]:
    """p-2 is merged into p-1, or is not any more: told to both."""
    said = START + minute * MINUTE
    ends = (("p-2", "p-1", LinkKind.INTO), ("p-1", "p-2", LinkKind.FROM))
    return [
        MessageFacts(
            patient=here,
            sent=said,
            heard=said + 1.0,
            wire="tocsin.wire.hl7/0/1",
            facts=[
                Link(
                    id=f"link:{there}",
                    rank=(1, said, 0, "c"),
                    kind=kind,
                    other=there,
                    removed=removed,
                )
            ],
            source="TEST",
        )
        for here, there, kind in ends
    ]


async def deliver(
    records: Sequence[FactRecord], cached: int = 1
) -> tuple[MemoryStore, Told, ListLog]:
    """Apply the records, and those that the worker itself adds to the log, each exactly once."""
    store, told, log = MemoryStore(), Told(), ListLog(records)
    lease, engine = await store.acquire(0), Together(Engine([HeartRateRisk()]))
    worker = PartitionOwner(lease, store, engine, log, told, cached)
    offset = taken = 0
    while offset < len(log.raw):
        await worker.handle(offset, facts.decode(log.raw[offset]))
        offset += 1
        log.raw[offset:offset] = [o.value for o in told.outputs[taken:] if o.topic == topics.FACTS]
        taken = len(told.outputs)
        assert offset < 100, "facts go round for ever"
    return store, told, log


def scores(told: Told, patient: str) -> list[Score]:
    return [
        contract.decode_score(o.value)
        for o in told.outputs
        if o.topic == topics.SCORES and o.key == patient
    ]


def digests(store: MemoryStore) -> dict[str, str]:
    return {
        name: codec.to_state(name, fields).patient.digest()
        for (_, name), fields in store.patients.items()
    }


LOSER_FIRST = [
    FactRecord(messages=[heart_rate(1, 130.0, patient="p-2")]),
    FactRecord(messages=[admitted(0), heart_rate(3, 90.0)]),
    FactRecord(messages=link(4)),
    FactRecord(messages=[heart_rate(5, 131.0, patient="p-2")]),
]


@pytest.mark.parametrize("cached", [1, 100])
async def test_a_merge_moves_the_alert(cached: int) -> None:
    """The loser's alert is withdrawn; what it sends later counts for the survivor."""
    store, told, _ = await deliver(LOSER_FIRST, cached)
    story = [(a.patient, a.state, a.reason) for a in told.alerts()]
    assert ("p-2", AlertState.FIRING, "above_threshold") in story
    assert ("p-2", AlertState.WITHDRAWN, "merged") in story
    assert story[-1][:2] == ("p-1", AlertState.FIRING)
    assert scores(told, "p-2")[-1].abstained == "merged"
    assert scores(told, "p-1")[-1].log_odds == 3.1
    whole, _, _ = await deliver(LOSER_FIRST, 100)
    assert digests(store) == digests(whole)


async def test_an_unmerge_takes_it_back() -> None:
    _, told, _ = await deliver([*LOSER_FIRST, FactRecord(messages=link(6, removed=True))])
    assert scores(told, "p-1")[-1].log_odds == -1.0
    assert scores(told, "p-2")[-1].log_odds == 3.1


@pytest.mark.parametrize("cached", [1, 100])
async def test_what_others_hand_on_may_come_before_a_patients_own_first_message(
    cached: int,
) -> None:
    """The survivor was never heard of: it is scored from what it is given, and can be reloaded."""
    records = [
        FactRecord(messages=[heart_rate(1, 130.0, patient="p-2")]),
        FactRecord(messages=link(2)[:1]),
        FactRecord(messages=[heart_rate(3, 120.0, patient="p-2")]),
        FactRecord(messages=[heart_rate(4, 110.0)]),
    ]
    store, told, _ = await deliver(records, cached)
    survivor = scores(told, "p-1")
    assert (survivor[0].log_odds, survivor[-1].log_odds) == (3.0, 1.0)
    assert codec.to_state("p-1", store.patients[0, "p-1"]).patient.clock == START + 4 * MINUTE


async def test_a_withdrawn_part_alone_is_no_reason_to_score() -> None:
    """Nothing is known of the patient but that something does not count: no time, no score."""
    part = Part(path=("p-9",), version=3, withdrawn=True)
    message = MessageFacts(patient="p-1", sent=START, heard=START, wire="", part=part)
    store, told, _ = await deliver([FactRecord(messages=[message])])
    assert scores(told, "p-1") == []
    assert codec.to_state("p-1", store.patients[0, "p-1"]).patient.clock is None


async def test_an_alert_does_not_outlive_what_was_handed_on() -> None:
    """The survivor only had the loser's facts, and they have gone back."""
    records = [
        FactRecord(messages=[admitted(0), heart_rate(1, 130.0)]),
        FactRecord(messages=_to_unheard(2)),
        FactRecord(messages=_to_unheard(6, removed=True)),
    ]
    _, told, _ = await deliver(records)
    last = {a.patient: a for a in told.alerts()}
    assert last["p-3"].state is AlertState.WITHDRAWN
    assert scores(told, "p-3")[-1].probability is None
    assert scores(told, "p-1")[-1].log_odds == 3.0


def _to_unheard(minute: float, *, removed: bool = False) -> list[MessageFacts]:
    said = START + minute * MINUTE
    into = Link(
        id="link:p-3", rank=(1, said, 0, "c"), kind=LinkKind.INTO, other="p-3", removed=removed
    )
    return [MessageFacts(patient="p-1", sent=said, heard=said, wire="", facts=[into])]


async def test_a_silent_feed_explains_missing_data_and_nothing_else() -> None:
    """Whoever has left is not said to lack a feed, and a score that stands names what is silent."""
    silent = Tick(at=START + 30 * MINUTE, silent=["OTHER", "TE*"])
    records = [
        FactRecord(tick=silent),
        FactRecord(messages=[admitted(0)]),
        FactRecord(messages=[heart_rate(1, 110.0)]),
        FactRecord(messages=[discharged(90)]),
        FactRecord(tick=Tick(at=START + 91 * MINUTE)),
        FactRecord(messages=[discharged(90, cancelled=True, sent=92)]),
    ]
    _, told, _ = await deliver(records)
    found = [(s.abstained, s.missing.feeds_down) for s in scores(told, "p-1")]
    assert found[:3] == [("feed_down", ["TEST"]), (None, ["TEST"]), ("not_present", ["TEST"])]
    assert found[-1] == ("stale_data", [])
