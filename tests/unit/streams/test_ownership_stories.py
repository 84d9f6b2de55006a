"""Workers that crash, sleep and wake, a store that loses data, a broker that is away: any story of
them ends like an undisturbed run, and no alert is left untold."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Sequence

import pytest

from connectors import facts
from connectors.facts import FactRecord, Tick
from streams.engine import Engine
from streams.ownership import Ownership
from streams.partition import Applied, Output, PartitionOwner
from streams.store import MemoryStore
from streams.together import Together
from tests.unit.streams.partitions import ListLog, Told
from tests.unit.streams.test_partition import RECORDS, stored, undisturbed
from tests.unit.streams.timeline import START, HeartRateRisk

# What comes twice changes little, and is a record all the same. Ticks come for ever: one is left
# for the end of each story.
LOG = [*RECORDS, *RECORDS, FactRecord(tick=Tick(at=START + 900.0))]


class Broker(Told):
    """Confirms later while it is away; what a dead process had on its way never arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way: list[tuple[Sequence[Output], asyncio.Future[None]]] = []

    def publish(self, partition: int, outputs: Sequence[Output]) -> asyncio.Future[None]:
        future = super().publish(partition, outputs)
        if self.away:
            self.under_way.append((outputs, future))
        return future

    def come_back(self) -> None:
        self.away = False
        for outputs, future in self.under_way:
            self.outputs += outputs
            future.set_result(None)
        self.under_way.clear()


class BrokerAwayError(Exception):
    """The lease is taken, and what it brought cannot be told now."""


class Process:
    """One worker: what it believes to own, what it has read, what was confirmed."""

    def __init__(self, story: Story, start: int) -> None:
        self.next, self.start, self.broker = start, start, Broker()
        self.broker.outputs, self.broker.away = story.told, story.broker_is_away
        self.waiting: list[tuple[int, Applied]] = []
        self.confirmed: set[int] = set()

        async def take(partition: int) -> PartitionOwner:
            engine = Together(Engine([HeartRateRisk()]))
            lease = await story.store.acquire(partition)
            owner = PartitionOwner(lease, story.store, engine, story.log, self.broker, 100)
            if self.broker.away and lease.outbox:
                raise BrokerAwayError
            await owner.publish_outbox()
            return owner

        async def hear(_: float) -> None:
            if story.group is not self:
                self.ownership.revoked({0})

        self.ownership = Ownership(take, 3.0, hear)
        self.ownership.assigned({0})

    def note_confirmed(self) -> int:
        """The offset that the group may remember: everything before it is told."""
        for offset, applied in self.waiting:
            if applied.confirmed.done():
                self.confirmed.add(offset)
        at = self.start
        while at in self.confirmed:
            at += 1
        return at


class Story:
    """A partition's life, with one process in the group and others that believe to be."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.store, self.log = MemoryStore(), ListLog(LOG)
        self.told: list[Output] = []
        self.broker_is_away = False
        self.committed = 0
        self.length = len(LOG) - 1
        self.before = copy.deepcopy(self.store)
        self.group = Process(self, 0)
        self.zombies: list[Process] = []

    async def deliver(self, process: Process, most: int) -> None:
        end = min(process.next + most, self.length)
        offsets = range(process.next, end)
        if not offsets:
            return

        async def records() -> list[tuple[int, facts.FactRecord]]:
            return [(offset, facts.decode(self.log.raw[offset])) for offset in offsets]

        try:
            applied = await process.ownership.handle(0, records)
        except BrokerAwayError:
            return
        await asyncio.sleep(0)
        if applied is not None:
            process.waiting += zip(offsets, applied, strict=True)
            process.next = end
        self.commit()

    def commit(self) -> None:
        """The group takes it from its member alone."""
        self.committed = max(self.committed, self.group.note_confirmed())

    def replace(self, *, asleep: bool) -> None:
        """The member dies, or falls asleep and will wake up; another one goes on."""
        if asleep and not self.broker_is_away:
            self.zombies.append(self.group)
        self.group = Process(self, self.committed)

    async def act(self) -> None:
        match self.rng.choice(
            ("deliver",) * 6
            + ("die", "sleep", "zombie", "away", "back", "empty", "keep", "set back")
        ):
            case "deliver":
                await self.deliver(self.group, self.rng.randint(1, 3))
            case "die":
                self.replace(asleep=False)
            case "sleep":
                self.replace(asleep=True)
            case "zombie" if self.zombies:
                await self.deliver(self.zombies[-1], 2)
            case "away":
                self.broker_is_away = self.group.broker.away = True
            case "back":
                await self.come_back()
            case "empty":
                self.store.empty()
            case "keep":
                self.before = copy.deepcopy(self.store)
            case "set back":
                self.set_back()

    def set_back(self) -> None:
        """The store lost what came after a moment; its clock goes on."""
        for name, value in vars(copy.deepcopy(self.before)).items():
            if name != "clock":
                setattr(self.store, name, value)

    async def come_back(self) -> None:
        self.broker_is_away = False
        self.group.broker.come_back()
        await asyncio.sleep(0)
        self.commit()

    async def end(self) -> None:
        """The cause is gone: who is in the group goes on by itself, or another one does."""
        await self.come_back()
        self.length = len(LOG)
        if self.rng.random() < 0.5:
            self.replace(asleep=False)
        while self.group.next < len(LOG):
            await self.deliver(self.group, 3)


async def expected() -> tuple[tuple[object, ...], list[Output]]:
    story = Story(0)
    story.length = len(LOG)
    while story.group.next < len(LOG):
        await story.deliver(story.group, 1)
    return stored(story.store), story.told


@pytest.mark.parametrize("chunk", range(8))
async def test_any_story_ends_like_an_undisturbed_run(chunk: int) -> None:
    must, told = await expected()
    alerts = {o.value for o in told if o.topic.endswith("alerts")}
    for seed in range(100 * chunk, 100 * (chunk + 1)):
        story = Story(seed)
        for _ in range(story.rng.randint(5, 40)):
            await story.act()
        await story.end()
        assert stored(story.store) == must, f"seed {seed}"
        assert {o.value for o in story.told if o.topic.endswith("alerts")} == alerts, f"seed {seed}"


async def test_what_a_fenced_owner_was_telling_is_told_by_its_successor() -> None:
    """The store is set back to before the lease while the broker is away, and the process dies."""
    story = Story(1)
    for _ in range(4):  # the last is a tick that tells nothing: the outbox is empty
        await story.deliver(story.group, 1)
    story.before = copy.deepcopy(story.store)
    story.replace(asleep=False)
    await story.deliver(story.group, 1)
    story.broker_is_away = story.group.broker.away = True
    await story.deliver(story.group, 1)  # stored, and on its way
    story.set_back()
    await story.deliver(story.group, 1)
    story.replace(asleep=False)
    await story.end()
    _, told = await expected()
    assert {o.value for o in told} <= {o.value for o in story.told}


async def test_the_stories_tell_alerts() -> None:
    _, told = await undisturbed()
    assert told.alerts()
