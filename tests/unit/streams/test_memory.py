"""Patients of whom nothing is heard lie packed in the store; what is told of them is the same."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors import facts
from connectors.facts import FactRecord, MessageFacts, Tick
from streams import codec, keys
from streams.engine import Engine
from streams.memory import MOST_AT_ONCE
from streams.partition import PartitionOwner
from streams.store import Fields, MemoryStore
from streams.together import Together
from tests.unit.streams.partitions import ListLog, Told
from tests.unit.streams.timeline import ANY_MESSAGE, START, HeartRateRisk, heart_rate

REST_S = 600.0


async def owner(
    store: MemoryStore, told: Told, log: ListLog, cached: int, rest_s: float
) -> PartitionOwner:
    lease = await store.acquire(0)
    together = Together(Engine([HeartRateRisk()]))
    one = PartitionOwner(lease, store, together, log, told, cached, rest_s=rest_s)
    await one.publish_outbox()
    return one


def unpacked(store: MemoryStore) -> dict[tuple[int, str], Fields]:
    return {name: codec.unpacked(fields) for name, fields in store.patients.items()}


def packed(store: MemoryStore) -> set[str]:
    return {name for (_, name), f in store.patients.items() if keys.PACKED_FIELD in f}


async def play(
    records: list[FactRecord], rest_s: float, cached: int = 100
) -> tuple[MemoryStore, Told]:
    store, told, log = MemoryStore(), Told(), ListLog(records)
    one = await owner(store, told, log, cached, rest_s)
    for offset, record in enumerate(records):
        await one.handle(offset, record)
        await asyncio.sleep(0)
    return store, told


def test_packing_and_unpacking_give_the_same_fields() -> None:
    fields = {b"m": b"{}", b"f:\xff": b"x" * 1_000, b"s:a": b""}
    assert codec.unpacked(codec.packed(fields)) == fields
    assert codec.unpacked(fields) == fields
    assert codec.packed(fields) == codec.packed(dict(reversed(fields.items())))
    assert len(codec.packed(fields)[keys.PACKED_FIELD]) < 100


async def test_who_is_not_heard_of_is_packed_and_comes_back_whole() -> None:
    records = [
        FactRecord(messages=[heart_rate(1, 120.0, patient="a"), heart_rate(1, 90.0, patient="b")]),
        FactRecord(messages=[heart_rate(20, 91.0, patient="b")]),
        FactRecord(tick=Tick(at=START + 60.0 + REST_S + 30.0)),
        FactRecord(messages=[heart_rate(30, 90.0, patient="a")]),
    ]
    store, told = await play(records[:3], REST_S)
    assert packed(store) == {"a"}
    assert store.patients[0, "a"].keys() == {keys.PACKED_FIELD}
    store, told = await play(records, REST_S)
    plain, plainly = await play(records, 1e12)
    assert packed(store) == set()
    assert store.patients == plain.patients
    assert told.outputs == plainly.outputs


async def test_a_tick_packs_some_and_the_next_one_goes_on() -> None:
    names = [f"p-{n}" for n in range(2 * MOST_AT_ONCE + 5)]
    records = [FactRecord(messages=[heart_rate(1, 90.0, patient=n) for n in names])]
    records += [FactRecord(tick=Tick(at=START + 1_000.0 + n)) for n in range(3)]
    counts = [len(packed((await play(records[: n + 1], REST_S))[0])) for n in range(4)]
    assert counts == [0, MOST_AT_ONCE, 2 * MOST_AT_ONCE, len(names)]


async def test_who_had_no_room_in_memory_is_packed_too() -> None:
    messages = [heart_rate(1, 90.0, patient=f"p-{n}") for n in range(6)]
    records = [FactRecord(messages=[m]) for m in messages]
    records.append(FactRecord(tick=Tick(at=START + 1_000.0)))
    store, _ = await play(records, REST_S, cached=2)
    assert packed(store) == {f"p-{n}" for n in range(6)}


@settings(max_examples=150, deadline=None)
@given(st.lists(ANY_MESSAGE, min_size=1, max_size=12), st.integers(0, 2**31))
async def test_packing_restarts_and_losses_change_no_byte(
    messages: list[MessageFacts], seed: int
) -> None:
    chance = random.Random(seed)
    patients = ["p-1", "p-2", "p-3"]
    records = [FactRecord(messages=[replace(m, patient=chance.choice(patients))]) for m in messages]
    for at in sorted(chance.sample(range(20_000), 5)):
        records.insert(chance.randrange(len(records) + 1), FactRecord(tick=Tick(at=START + at)))
    plain, plainly = await play(records, 1e12)
    store, told, log = MemoryStore(), Told(), ListLog(records)
    one = await owner(store, told, log, 2, REST_S)
    at = 0
    while at < len(records):
        if chance.random() < 0.1:
            store.empty()
        if chance.random() < 0.2:
            one = await owner(store, told, log, chance.choice([1, 100]), REST_S)
        size = chance.randint(1, 3)
        some = range(at, min(at + size, len(records)))
        await one.handle_all([(n, facts.decode(log.raw[n])) for n in some])
        await asyncio.sleep(0)
        at += size
    assert unpacked(store) == plain.patients
    assert (store.alerts, store.summaries, store.dues) == (
        plain.alerts,
        plain.summaries,
        plain.dues,
    )
    assert told.alerts() == plainly.alerts()
