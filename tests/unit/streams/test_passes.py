"""However records come together in a worker's hands, the same bytes are told and stored."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors import facts, topics
from connectors.contract import LogPosition
from connectors.facts import FactRecord, Link, LinkKind, MessageFacts, Tick
from models.bundle import load_bundle
from models.patient import Patient
from models.risk import RiskModel
from streams.engine import Engine
from streams.partition import Output, PartitionOwner
from streams.passes import MOST_MESSAGES, MOST_RECORDS, to_passes
from streams.state import PatientState
from streams.store import MemoryStore
from streams.together import FEW, Together
from tests.unit.streams.test_partition import RECORDS, ListLog, Told, owner, stored
from tests.unit.streams.timeline import ANY_MESSAGE, START, HeartRateRisk, heart_rate


async def worker(
    store: MemoryStore, told: Told, log: ListLog, model: RiskModel, cached: int = 100
) -> PartitionOwner:
    lease = await store.acquire(0)
    one = PartitionOwner(lease, store, Together(Engine([model])), log, told, cached)
    await one.publish_outbox()
    return one


async def in_passes(one: PartitionOwner, log: ListLog, cuts: list[int]) -> None:
    """All records of the log, those between two cuts at once."""
    for start, end in pairwise([0, *cuts, len(log.raw)]):
        await one.handle_all([(at, facts.decode(log.raw[at])) for at in range(start, end)])
        await asyncio.sleep(0)


def linked(message: MessageFacts, minute: int, other: str) -> MessageFacts:
    """The patient of a message goes on as another one."""
    said = START + 60.0 * minute
    link = Link(id=f"to-{other}", rank=(1, said, 0, str(minute)), kind=LinkKind.INTO, other=other)
    return replace(message, sent=said, heard=said, facts=[link])


@st.composite
def logs(draw: st.DrawFn) -> list[FactRecord]:
    """Records of one to three messages of three patients, with merges and ticks among them."""
    patients = st.sampled_from(["p-1", "p-2", "p-3"])
    messages = [
        replace(m, patient=draw(patients))
        for m in draw(st.lists(ANY_MESSAGE, min_size=1, max_size=14))
    ]
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(messages) - 1))
        messages[at] = linked(messages[at], draw(st.integers(0, 150)), draw(patients))
    records: list[FactRecord] = []
    while messages:
        size = draw(st.integers(1, 3))
        records.append(FactRecord(messages=messages[:size]))
        del messages[:size]
    for second in draw(st.lists(st.integers(0, 20_000), max_size=3)):
        at = draw(st.integers(0, len(records)))
        records.insert(at, FactRecord(tick=Tick(at=START + second, silent=["TEST"] * (second % 2))))
    return records


@settings(max_examples=200, deadline=None)
@given(logs(), st.data())
async def test_any_grouping_gives_equal_bytes(
    records: list[FactRecord], data: st.DataObject
) -> None:
    log, model = ListLog(records), HeartRateRisk()
    single, singly = MemoryStore(), Told()
    await in_passes(await worker(single, singly, log, model), log, list(range(1, len(records))))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(records) - 1)))))
    cuts = [cut for cut in cuts if cut < len(records)]
    store, told = MemoryStore(), Told()
    cached = data.draw(st.sampled_from([1, 100]))
    await in_passes(await worker(store, told, log, model, cached), log, cuts)
    assert told.outputs == singly.outputs
    assert stored(store) == stored(single)


@settings(max_examples=100, deadline=None)
@given(logs(), st.integers(0, 2**31))
async def test_restarts_and_losses_between_passes_change_no_byte(
    records: list[FactRecord], seed: int
) -> None:
    chance = random.Random(seed)
    log, model = ListLog(records), HeartRateRisk()
    calm, calmly = MemoryStore(), Told()
    await in_passes(await worker(calm, calmly, log, model), log, list(range(1, len(records))))
    store, told = MemoryStore(), Told()
    one = await worker(store, told, log, model)
    at = 0
    while at < len(records):
        if chance.random() < 0.2:
            store.empty()
        if chance.random() < 0.3:
            one = await worker(store, told, log, model, cached=1)
        size = chance.randint(1, 5)
        some = range(max(0, at - 1), min(at + size, len(records)))  # the last one comes again
        await one.handle_all([(n, facts.decode(log.raw[n])) for n in some])
        await asyncio.sleep(0)
        at += size
    assert stored(store) == stored(calm)
    assert told.alerts() == calmly.alerts()


@pytest.mark.parametrize("risk", ["deterioration"])
async def test_a_learned_model_answers_alike_in_any_batch(risk: str) -> None:
    """To the last bit: the sums in a row do not depend on how many rows there are."""
    model = load_bundle(None, risk)
    chance = random.Random(5)
    codes = sorted(model.codes)
    records = []
    for minute in range(300):
        values = heart_rate(
            minute, chance.uniform(40.0, 180.0), patient=f"p-{chance.randrange(20)}"
        )
        many = [
            replace(values.facts[0], id=f"{code}-{minute}", code=code, unit="")
            for code in chance.sample(codes, 5)
        ]
        records.append(FactRecord(messages=[replace(values, facts=[*values.facts, *many])]))
    log = ListLog(records)
    single, singly = MemoryStore(), Told()
    await in_passes(await worker(single, singly, log, model), log, list(range(1, len(records))))
    assert any(b'"abstained":null' in output.value for output in singly.outputs)
    for size in (2, 7, 64, 300):
        store, told = MemoryStore(), Told()
        await in_passes(
            await worker(store, told, log, model), log, list(range(size, len(records), size))
        )
        assert told.outputs == singly.outputs
        assert stored(store) == stored(single)


class Later(Told):
    """Confirms when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way: list[asyncio.Future[None]] = []

    def publish(self, partition: int, outputs: Sequence[Output]) -> asyncio.Future[None]:
        self.outputs += outputs
        self.under_way.append(asyncio.get_running_loop().create_future())
        return self.under_way[-1]

    async def confirm(self) -> None:
        for future in self.under_way:
            future.set_result(None)
        self.under_way.clear()
        await asyncio.sleep(0)


async def test_what_was_told_in_one_pass_leaves_the_outbox_whatever_happened_to_the_store() -> None:
    store, told, log = MemoryStore(), Later(), ListLog(RECORDS)
    one = await owner(store, told, log)
    await one.handle_all([(at, facts.decode(log.raw[at])) for at in range(3)])
    assert store.outboxes[0].keys() == {2}
    store.empty()
    # Not confirmed when the store is rebuilt: what is on its way is in the outbox again.
    await one.handle(3, RECORDS[3])
    assert store.outboxes[0].keys() >= {1, 2}
    await told.confirm()
    await one.handle(4, RECORDS[4])
    await told.confirm()
    await one.handle(5, RECORDS[5])
    assert store.outboxes[0].keys() == {5}


def test_passes_are_cut_at_ticks_gaps_and_limits() -> None:
    plain, tick = FactRecord(messages=[heart_rate(1, 90.0)]), FactRecord(tick=Tick(at=START))
    full = FactRecord(messages=[heart_rate(1, 90.0)] * MOST_MESSAGES)

    def cut(
        records: list[tuple[int, FactRecord]], alone: set[int] | None = None
    ) -> list[list[int]]:
        return [[at for at, _ in some] for some in to_passes(records, alone or set())]

    assert cut([(0, plain), (1, plain), (2, tick), (3, plain)]) == [[0, 1], [2], [3]]
    assert cut([(0, plain), (2, plain), (3, plain)]) == [[0], [2, 3]]
    assert cut([(0, plain), (1, plain), (2, plain)], {1}) == [[0], [1], [2]]
    assert cut([(0, plain), (1, full), (2, plain)]) == [[0], [1], [2]]
    many = [(n, plain) for n in range(MOST_RECORDS + 1)]
    assert [len(some) for some in cut(many)] == [MOST_RECORDS, 1]
    assert cut([]) == []


async def owner_of(partition: int, together: Together, told: Told) -> PartitionOwner:
    store = MemoryStore()
    return PartitionOwner(await store.acquire(partition), store, together, ListLog([]), told, 10)


async def test_partitions_that_ask_at_once_are_scored_in_one_batch_with_equal_bytes() -> None:
    calls: list[int] = []

    class Counted(HeartRateRisk):
        def answer(self, patients, points):  # type: ignore[no-untyped-def]
            calls.append(len(patients))
            return super().answer(patients, points)

    def record(partition: int) -> FactRecord:
        return FactRecord(messages=[heart_rate(1, 100.0 + partition, patient=f"p-{partition}")])

    async def told(together: Together, *, at_once: bool) -> list[bytes]:
        tells = [Told() for _ in range(5)]
        owners = [await owner_of(n, together, tell) for n, tell in enumerate(tells)]
        if at_once:
            await asyncio.gather(*(o.handle(0, record(n)) for n, o in enumerate(owners)))
        else:
            for n, one in enumerate(owners):
                await one.handle(0, record(n))
        return [output.value for tell in tells for output in tell.outputs]

    together = Together(Engine([Counted()]))
    separate = await told(together, at_once=False)
    assert calls == [1] * 5
    calls.clear()
    assert await told(together, at_once=True) == separate
    assert calls == [5]


async def test_a_batch_of_few_messages_waits_for_those_that_come_soon_and_a_full_one_does_not() -> (
    None
):
    calls: list[int] = []

    class Counted(HeartRateRisk):
        def answer(self, patients, points):  # type: ignore[no-untyped-def]
            calls.append(len(patients))
            return super().answer(patients, points)

    waited: list[float] = []
    over = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await over.wait()

    together = Together(Engine([Counted()]), 0.003, sleep)
    one, other, third = [await owner_of(n, together, Told()) for n in range(3)]
    first = asyncio.create_task(
        one.handle(0, FactRecord(messages=[heart_rate(1, 90.0, patient="p-0")]))
    )
    for _ in range(10):  # turns of the event loop: without waiting, the first would be through
        await asyncio.sleep(0)
    second = asyncio.create_task(
        other.handle(0, FactRecord(messages=[heart_rate(1, 90.0, patient="p-1")]))
    )
    for _ in range(10):
        await asyncio.sleep(0)
    assert (calls, waited) == ([], [0.003])
    over.set()
    await asyncio.gather(first, second)
    assert calls == [2]

    many = [heart_rate(1, 90.0, patient=f"p-{n}") for n in range(FEW)]
    await third.handle(0, FactRecord(messages=many))
    assert (calls, waited) == ([2, FEW], [0.003])


async def test_an_error_of_the_machine_reaches_everybody_who_asked() -> None:
    class Broken(HeartRateRisk):
        def answer(self, patients, points):  # type: ignore[no-untyped-def]
            raise MemoryError

    together = Together(Engine([Broken()]))
    ones = [await owner_of(n, together, Told()) for n in range(2)]
    records = [FactRecord(messages=[heart_rate(1, 90.0, patient=f"p-{n}")]) for n in range(2)]
    found = await asyncio.gather(
        *(one.handle(0, r) for one, r in zip(ones, records, strict=True)), return_exceptions=True
    )
    assert [type(error) for error in found] == [MemoryError] * 2


def test_a_pass_leaves_nothing_that_only_the_collector_of_cycles_would_free() -> None:
    messages = [heart_rate(float(n), 130.0 if n % 3 else 60.0) for n in range(30)]
    engine, states = Engine([HeartRateRisk()]), {"p-1": PatientState(Patient("p-1"))}
    gc.collect()
    gc.disable()
    try:
        for n, message in enumerate(messages):
            engine.apply(
                states,
                FactRecord(messages=[message]),
                LogPosition(topic=topics.FACTS, partition=0, offset=n),
            )
        assert gc.collect() == 0
    finally:
        gc.enable()
