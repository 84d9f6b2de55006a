"""A worker that wakes up late and its successor: in the end, who is to go on goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from connectors import facts
from streams.engine import Engine
from streams.ownership import Ownership
from streams.partition import Applied, PartitionOwner
from streams.store import MemoryStore
from streams.together import Together
from tests.unit.streams.partitions import ListLog, Told
from tests.unit.streams.test_partition import RECORDS, stored, undisturbed
from tests.unit.streams.timeline import HeartRateRisk

Asleep = Callable[[float], Awaitable[None]]


async def never(_: float) -> None:
    raise AssertionError("nothing is waited for")


class Site:
    """Workers on one store and one log."""

    def __init__(self) -> None:
        self.store, self.log, self.told = MemoryStore(), ListLog(RECORDS), Told()

    def worker(self, sleep: Asleep = never) -> Ownership:
        async def take(partition: int) -> PartitionOwner:
            engine = Together(Engine([HeartRateRisk()]))
            lease = await self.store.acquire(partition)
            owner = PartitionOwner(lease, self.store, engine, self.log, self.told, 100)
            await owner.publish_outbox()
            return owner

        worker = Ownership(take, 3.0, sleep)
        worker.assigned({0})
        return worker

    async def apply(self, worker: Ownership, offset: int) -> list[Applied] | None:
        async def records() -> list[tuple[int, facts.FactRecord]]:
            return [(offset, facts.decode(self.log.raw[offset]))]

        return await worker.handle(0, records)


async def test_one_that_wakes_up_cannot_stop_its_successor_for_good() -> None:
    """It has no lease yet for what it had read, takes one, and so fences its successor."""
    site = Site()
    zombie = site.worker()
    waited: list[float] = []

    async def told_meanwhile(seconds: float) -> None:
        waited.append(seconds)
        zombie.revoked({0})

    successor = site.worker(told_meanwhile)
    await site.apply(successor, 0)
    await site.apply(zombie, 1)
    for offset in range(1, len(RECORDS)):
        assert await site.apply(successor, offset) is not None
    assert waited == [3.0]
    expected, told_once = await undisturbed()
    assert stored(site.store) == stored(expected)
    assert site.told.alerts() == told_once.alerts()


async def test_one_that_wakes_up_with_a_lease_is_refused_and_lets_go_when_it_hears() -> None:
    site = Site()

    async def told_meanwhile(_: float) -> None:
        zombie.revoked({0})

    zombie = site.worker(told_meanwhile)
    await site.apply(zombie, 0)
    successor = site.worker()
    await site.apply(successor, 1)
    before = stored(site.store)
    assert await site.apply(zombie, 1) is None
    assert stored(site.store) == before
    assert await site.apply(successor, 2) is not None


async def test_what_is_not_ours_is_not_taken() -> None:
    site = Site()
    worker = site.worker()
    worker.revoked({0})
    assert await site.apply(worker, 0) is None
    assert site.store.fences == {}
