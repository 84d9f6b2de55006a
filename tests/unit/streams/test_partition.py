"""What a worker promises for a partition: once, in order, told, rebuilt to the byte."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import facts
from connectors.contract import AlertState
from connectors.facts import FactRecord, MessageFacts, Tick
from streams.engine import Engine
from streams.partition import LogLostError, Output, PartitionOwner, check_log
from streams.store import FencedError, MemoryStore
from streams.together import Together
from tests.unit.streams.partitions import ListLog, Told
from tests.unit.streams.timeline import (
    ANY_MESSAGE,
    START,
    HeartRateRisk,
    admitted,
    discharged,
    heart_rate,
)

RECORDS = [
    FactRecord(messages=[admitted(0), heart_rate(1, 90.0)]),
    FactRecord(messages=[heart_rate(5, 112.0)]),
    FactRecord(messages=[heart_rate(6, 120.0, patient="p-2"), heart_rate(6, 125.0)]),
    FactRecord(tick=Tick(at=START + 500.0)),
    FactRecord(messages=[heart_rate(9, 85.0)]),
    FactRecord(messages=[heart_rate(12, 105.0)]),
]


async def owner(store: MemoryStore, told: Told, log: ListLog, cached: int = 100) -> PartitionOwner:
    lease = await store.acquire(0)
    owner = PartitionOwner(lease, store, Together(Engine([HeartRateRisk()])), log, told, cached)
    await owner.publish_outbox()
    return owner


async def play(
    store: MemoryStore, told: Told, log: ListLog, offsets: Sequence[int], cached: int = 100
) -> None:
    one = await owner(store, told, log, cached)
    for offset in offsets:
        await one.handle(offset, facts.decode(log.raw[offset]))
        await asyncio.sleep(0)


def stored(store: MemoryStore) -> tuple[object, ...]:
    return store.patients, store.alerts, store.summaries, store.offsets, store.dues


async def undisturbed() -> tuple[MemoryStore, Told]:
    store, told = MemoryStore(), Told()
    await play(store, told, ListLog(RECORDS), range(len(RECORDS)))
    return store, told


async def test_the_story_it_tells() -> None:
    """Fires, becomes critical, resolves; a new episode fires."""
    _, told = await undisturbed()
    story = [(a.patient, a.revision, a.state, a.reason, a.severity) for a in told.alerts()]
    assert [s for s in story if s[0] == "p-1"] == [
        ("p-1", 1, AlertState.FIRING, "above_threshold", "warning"),
        ("p-1", 2, AlertState.FIRING, "score_changed", "critical"),
        ("p-1", 3, AlertState.RESOLVED, "below_threshold", "critical"),
        ("p-1", 1, AlertState.FIRING, "above_threshold", "warning"),
    ]
    first, *_, second = [a for a in told.alerts() if a.patient == "p-1"]
    assert first.alert_id != second.alert_id


@pytest.mark.parametrize("cut", range(1, len(RECORDS)))
@pytest.mark.parametrize("cached", [1, 100])
async def test_a_restart_changes_nothing(cut: int, cached: int) -> None:
    """The second worker sees the last two records again and goes on."""
    expected, told_once = await undisturbed()
    store, told, log = MemoryStore(), Told(), ListLog(RECORDS)
    await play(store, told, log, range(cut), cached)
    await play(store, told, log, range(max(0, cut - 2), len(RECORDS)), cached)
    assert stored(store) == stored(expected)
    assert told.alerts() == told_once.alerts()


@pytest.mark.parametrize("cut", range(1, len(RECORDS)))
async def test_a_crash_between_store_and_broker_loses_no_alert(cut: int) -> None:
    """What was stored and not confirmed is told by the successor, with the same bytes."""
    _, told_once = await undisturbed()
    store, told, log = MemoryStore(), Told(), ListLog(RECORDS)
    one = await owner(store, told, log)
    for offset in range(cut):
        told.away = offset == cut - 1  # the last is applied and stored, never published
        await one.handle(offset, facts.decode(log.raw[offset]))
        await asyncio.sleep(0)
    told.away = False
    await play(store, told, log, range(cut, len(RECORDS)))
    assert told.alerts() == told_once.alerts()


async def test_what_an_earlier_owner_did_not_tell_is_told_in_one_go_and_in_order() -> None:
    """Not one by one, each waiting for the broker: the patients wait for it meanwhile."""
    _, told_once = await undisturbed()
    store, told, log = MemoryStore(), Told(), ListLog(RECORDS)
    told.away = True
    await play(store, told, log, range(3))

    class Slow(Told):
        """Confirms when the outbox has come as a whole."""

        def __init__(self) -> None:
            super().__init__()
            self.waiting: list[asyncio.Future[None]] = []

        def publish(self, partition: int, outputs: Sequence[Output]) -> asyncio.Future[None]:
            super().publish(partition, outputs)
            self.waiting.append(asyncio.get_running_loop().create_future())
            if len(self.waiting) == 3:
                for future in self.waiting:
                    future.set_result(None)
            return self.waiting[-1]

    slow = Slow()
    await asyncio.wait_for(owner(store, slow, log), 30.0)
    assert slow.outputs == told_once.outputs[: len(slow.outputs)]
    assert len(slow.waiting) == 3


@pytest.mark.parametrize("cut", range(1, len(RECORDS)))
async def test_an_emptied_store_is_rebuilt_to_the_same_bytes(cut: int) -> None:
    """While the worker runs; and nothing is told twice."""
    expected, told_once = await undisturbed()
    store, told, log = MemoryStore(), Told(), ListLog(RECORDS)
    one = await owner(store, told, log)
    for offset, raw in enumerate(log.raw):
        if offset == cut:
            store.empty()
        await one.handle(offset, facts.decode(raw))
        await asyncio.sleep(0)
    assert stored(store) == stored(expected)
    assert told.outputs == told_once.outputs


async def test_an_emptied_store_is_rebuilt_after_a_restart() -> None:
    expected, told_once = await undisturbed()
    store, told, log = MemoryStore(), Told(), ListLog(RECORDS)
    await play(store, told, log, range(4))
    store.empty()
    await play(store, told, log, range(4, len(RECORDS)))
    assert stored(store) == stored(expected)
    assert told.outputs == told_once.outputs


async def test_what_is_being_told_while_the_store_is_lost_stays_in_the_outbox() -> None:
    store, told, log = MemoryStore(), Told(), ListLog(RECORDS)
    one = await owner(store, told, log)
    await one.handle(0, RECORDS[0])
    told.away = True
    await one.handle(1, RECORDS[1])  # on its way, not confirmed
    store.empty()
    await one.handle(2, RECORDS[2])
    told.away = False
    await owner(store, told, log)  # the process died; its successor publishes the outbox
    assert told.alerts()[0].reason == "above_threshold"


async def test_a_zombie_cannot_write() -> None:
    store, told, log = MemoryStore(), Told(), ListLog(RECORDS)
    zombie = await owner(store, told, log)
    await zombie.handle(0, RECORDS[0])
    successor = await owner(store, told, log)
    await successor.handle(1, RECORDS[1])
    before = stored(store)
    with pytest.raises(FencedError):
        await zombie.handle(1, RECORDS[1])
    assert stored(store) == before


@pytest.mark.parametrize(
    ("ends", "is_gone_on_with"),
    [
        ([4], True),
        ([6], True),
        ([None], True),  # one that does not answer is trusted
        ([2, 3, 4], True),  # a broker that has just started does not know its end yet
        ([3] * 5, False),
        ([0] * 5, False),
    ],
)
async def test_a_log_that_ends_before_the_state_is_not_gone_on_with(
    ends: list[int | None], is_gone_on_with: bool
) -> None:
    """New records would get numbers that pass for applied."""
    store, left, waited = MemoryStore(), list(ends), list[float]()
    await play(store, Told(), ListLog(RECORDS), range(4))
    lease = await store.acquire(0)

    async def end(partition: int) -> int | None:
        assert partition == 0
        return left.pop(0)

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    if is_gone_on_with:
        await check_log(lease, end, sleep)
    else:
        with pytest.raises(LogLostError):
            await check_log(lease, end, sleep)
        assert sum(waited) == 4.0
    assert not left


async def test_expired_evidence_ends_an_alert_on_a_tick() -> None:
    store, told = MemoryStore(), Told()
    hours = [FactRecord(tick=Tick(at=START + 60.0 + 1.0 + m * 60.0)) for m in (30, 59, 61, 90)]
    log = ListLog([FactRecord(messages=[heart_rate(1, 120.0)]), *hours])
    await play(store, told, log, range(len(log.raw)))
    assert [(a.state, a.reason) for a in told.alerts()] == [
        (AlertState.FIRING, "above_threshold"),
        (AlertState.RESOLVED, "data_expired"),
    ]
    assert store.dues[0] == {}


async def story(records: list[FactRecord], cached: int = 1) -> list[tuple[str, str]]:
    """What is told, with a worker that restarts after every record."""
    store, told, log = MemoryStore(), Told(), ListLog(records)
    for offset in range(len(log.raw)):
        await play(store, told, log, [offset], cached)
    return [(str(a.state), str(a.reason)) for a in told.alerts()]


async def test_a_patient_without_a_score_yet_survives_a_restart() -> None:
    """An admission alone, then a restart, then the first observation."""
    records = [FactRecord(messages=[admitted(0)]), FactRecord(messages=[heart_rate(5, 120.0)])]
    assert await story(records) == [("firing", "above_threshold")]


async def test_a_repeated_message_does_not_wake_an_expired_alert() -> None:
    """The patient's time does not go back behind what a tick has brought."""
    first = heart_rate(1, 120.0)
    again = msgspec.structs.replace(first, heard=START + 36_000.0)
    records = [
        FactRecord(messages=[first]),
        FactRecord(tick=Tick(at=START + 7_200.0)),
        FactRecord(messages=[again]),
        FactRecord(tick=Tick(at=START + 40_000.0)),
    ]
    assert await story(records) == [("firing", "above_threshold"), ("resolved", "data_expired")]


async def test_a_repetition_does_not_keep_old_evidence_fresh() -> None:
    first = heart_rate(1, 120.0)
    again = msgspec.structs.replace(first, heard=START + 3_000.0)
    records = [
        FactRecord(messages=[first]),
        FactRecord(messages=[again]),
        FactRecord(tick=Tick(at=START + 3_800.0)),
    ]
    assert (await story(records))[-1] == ("resolved", "data_expired")


async def test_a_discharge_dated_a_little_later_than_its_message_comes_true_on_a_tick() -> None:
    records = [
        FactRecord(messages=[admitted(0), heart_rate(1, 120.0)]),
        FactRecord(messages=[discharged(3, sent=2)]),
        FactRecord(tick=Tick(at=START + 150.0)),
        FactRecord(tick=Tick(at=START + 200.0)),
    ]
    assert await story(records) == [("firing", "above_threshold"), ("resolved", "discharged")]


async def test_a_value_dated_a_little_later_than_its_message_is_scored_on_a_tick() -> None:
    records = [
        FactRecord(messages=[heart_rate(1, 80.0), heart_rate(3, 120.0, sent=2)]),
        FactRecord(tick=Tick(at=START + 200.0)),
    ]
    assert await story(records) == [("firing", "above_threshold")]


@settings(max_examples=100, deadline=None)
@given(st.lists(ANY_MESSAGE, min_size=1, max_size=10), st.integers(0, 2**31))
async def test_restarts_evictions_and_losses_change_no_byte(
    messages: list[MessageFacts], seed: int
) -> None:
    chance = random.Random(seed)
    records = [FactRecord(messages=[m]) for m in messages]
    for at in sorted(chance.sample(range(20_000), 3)):
        records.insert(chance.randrange(len(records) + 1), FactRecord(tick=Tick(at=START + at)))
    log = ListLog(records)
    calm, calmly = MemoryStore(), Told()
    await play(calm, calmly, log, range(len(log.raw)))
    store, told = MemoryStore(), Told()
    for offset in range(len(log.raw)):
        if chance.random() < 0.2:
            store.empty()
        await play(store, told, log, [offset], cached=1)
    assert stored(store) == stored(calm)
    assert told.alerts() == calmly.alerts()
