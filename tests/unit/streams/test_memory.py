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
from tests.unit.streams.timeline import (
    ANY_MESSAGE,
    START,
    HeartRateRisk,
    admitted,
    discharged,
    heart_rate,
)

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
    return {
        name: codec.without_alerts(codec.unpacked(fields))[0]
        for name, fields in store.patients.items()
    }


def alerts(store: MemoryStore) -> dict[tuple[int, str], bytes]:
    """Those listed, and those that lie packed with their patients."""
    found = dict(store.alerts)
    for fields in store.patients.values():
        packed_too = codec.without_alerts(codec.unpacked(fields))[1]
        found.update({(0, alert): raw for alert, raw in packed_too.items()})
    return found


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
    assert (alerts(store), store.dues) == (plain.alerts, plain.dues)
    missing = plain.summaries.keys() - store.summaries.keys()
    assert store.summaries == {k: v for k, v in plain.summaries.items() if k not in missing}
    assert all(codec.has_left(plain.summaries[one]) for one in missing)
    assert {name for _, name in missing} <= packed(store)
    assert told.alerts() == plainly.alerts()


def _stay(n: int, begins: float) -> list[FactRecord]:
    """A patient comes, is in danger, is better again, and leaves; then time passes."""
    name = f"p-{n}"
    values = ((1, 130.0), (2, 60.0), (3, 130.0), (4, 60.0))
    messages = [
        replace(admitted(begins), patient=name),
        *(heart_rate(begins + minute, value, patient=name) for minute, value in values),
        replace(discharged(begins + 5), patient=name),
    ]
    records = [FactRecord(messages=[message]) for message in messages]
    return [*records, FactRecord(tick=Tick(at=START + (begins + 5) * 60.0 + REST_S + 1.0))]


async def test_what_the_store_lists_does_not_grow_with_those_who_have_left() -> None:
    records = [record for n in range(30) for record in _stay(n, 100.0 * n)]
    store, told = await play(records, REST_S)
    assert len({alert.alert_id for alert in told.alerts()}) == 60
    assert (store.alerts, store.summaries) == ({}, {})
    assert len(alerts(store)) == 60
    assert packed(store) == {f"p-{n}" for n in range(30)}


async def test_who_comes_back_has_their_alerts_again() -> None:
    back = [FactRecord(messages=[heart_rate(90.0, 60.0, patient="p-0")])]
    store, told = await play([*_stay(0, 0.0), *back], REST_S)
    plain, plainly = await play([*_stay(0, 0.0), *back], 1e12)
    assert len(store.alerts) == 2
    assert (store.alerts, store.summaries) == (plain.alerts, plain.summaries)
    assert (store.patients, told.outputs) == (plain.patients, plainly.outputs)


async def test_who_rests_in_a_bed_stays_in_the_list_with_an_alert_that_has_not_ended() -> None:
    messages = [admitted(0), heart_rate(1, 130.0)]
    records = [FactRecord(messages=[message]) for message in messages]
    records.append(FactRecord(tick=Tick(at=START + 60.0 + REST_S + 1.0)))
    store, _ = await play(records, REST_S)
    assert packed(store) == {"p-1"}
    assert len(store.alerts) == len(store.summaries) == 1
