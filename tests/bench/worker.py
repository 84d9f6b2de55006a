"""What a message costs the worker, by how messages come together: no servers, one process.

`python tests/bench/worker.py --patients 500 --messages 2000` makes the simulated hospital's
traffic, turns it into facts, and applies the last messages to a store in memory: one message a
record and a record at a time, several records in a pass, many messages in a record; then as the
sequencer gathers them, so many messages in a pass over all partitions. Processor time
of this process, microseconds a message; beside it what the sequencer's mapping costs, and what a
patient costs who is not in memory. `--known 100000` puts so many further patients into the store
first: the figures should not change.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from connectors import facts, wire
from connectors.facts import FactRecord
from connectors.identity import IdentityKey
from connectors.interpretation import Profile
from connectors.replay.timed import Timed
from connectors.sequencer import Sequencer
from connectors.wire import WireMessage
from models.bundle import load_risks
from models.risk import RiskModel
from streams import codec
from streams.bench import traffic
from streams.engine import Engine
from streams.partition import Output, PartitionOwner
from streams.settings import WorkerSettings
from streams.store import MemoryStore
from streams.together import Together

BEGIN = 1_767_268_800.0
GATHERED = (2, 4, 8, 16, 32)  # messages of a pass
Numbered = tuple[int, bytes]  # partition, record


class Nobody:
    """Nobody is told, and there is no log to read back."""

    def publish(self, partition: int, outputs: Sequence[Output]) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[tuple[int, bytes]]:
        for _ in ():
            yield _


def sequenced(messages: Sequence[Timed], batch: int, partitions: int) -> list[Numbered]:
    sequencer = Sequencer(IdentityKey(bytes(32)), Profile(), partitions, 1_000, lambda: BEGIN)
    found: list[Numbered] = []
    for start in range(0, len(messages), batch):
        some = (
            WireMessage(
                raw=m.raw, position=f"{wire.HL7}/0/{start + n}", heard=m.time, source="", trace="",
                redriven=False, content_type=wire.HL7, subject="",
            )
            for n, m in enumerate(messages[start : start + batch])
        )  # fmt: skip
        for partition, records in sequencer.sequence(some).records.items():
            found += [(partition, facts.encode(record)) for record in records]
    return found


class Bench:
    """A worker with a history."""

    def __init__(self, models: Sequence[RiskModel], partitions: int) -> None:
        self.store = MemoryStore()
        self._engine = Together(Engine(models))
        self._owners: list[PartitionOwner] = []
        self._offsets = [-1] * partitions

    async def start(self) -> None:
        for partition in range(len(self._offsets)):
            lease = await self.store.acquire(partition)
            nobody = Nobody()
            self._owners.append(
                PartitionOwner(lease, self.store, self._engine, nobody, nobody, 20_000)
            )

    def know(self, number: int) -> None:
        """Further patients, packed as those lie who were not heard of for long."""
        some = [(place, codec.packed(fields)) for place, fields in self.store.patients.items()]
        for n in range(number):
            (partition, name), fields = some[n % len(some)]
            self.store.patients[partition, f"{name}-{n}"] = dict(fields)

    async def apply(self, records: Sequence[Numbered], together: int) -> None:
        """`together` records at a time, over all partitions."""
        for start in range(0, len(records), together):
            by_partition: dict[int, list[tuple[int, FactRecord]]] = {}
            for partition, raw in records[start : start + together]:
                self._offsets[partition] += 1
                numbered = (self._offsets[partition], facts.decode(raw))
                by_partition.setdefault(partition, []).append(numbered)
            await asyncio.gather(
                *(self._owners[p].handle_all(some) for p, some in by_partition.items())
            )


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def gathered(bench: Bench, messages: Sequence[Timed], size: int, partitions: int) -> str:
    """What a message costs when so many are a pass."""
    spent, number = 0.0, 0
    for start in range(0, len(messages), size):
        records = sequenced(messages[start : start + size], size, partitions)
        begun = time.process_time()
        await bench.apply(records, size)
        spent += time.process_time() - begun
        number += len(records)
    return (
        f"{size:6} messages in a pass: {1e6 * spent / len(messages):7.0f} µs a message; "
        f"{number / len(messages):.2f} records a message"
    )


async def run(patients: int, messages: int, known: int, partitions: int) -> None:
    torch.set_num_threads(1)
    models = load_risks(None, WorkerSettings().risks)
    ways = ((1, 1), (1, 8), (1, 32), (1, 128), (messages, 1))  # messages a batch, records a pass
    made = traffic.make(patients, messages * (len(ways) + len(GATHERED)), BEGIN)
    bench = Bench(models, partitions)
    await bench.start()
    await bench.apply(sequenced(made.history, 2_000, partitions), 1)
    bench.know(known)
    gc.collect()
    gc.freeze()
    gc.disable()  # as the worker does, which looks at what is new alone
    say(f"{len(made.history)} messages of history, {len(bench.store.patients)} patients")
    for n, (batch, together) in enumerate(ways):
        some = made.live[n * messages : (n + 1) * messages]
        begun = time.process_time()
        records = sequenced(some, batch, partitions)
        mapped = time.process_time()
        await bench.apply(records, together)
        spent = time.process_time() - mapped
        say(
            f"{len(records):6} records, {together:3} at a time: {1e6 * spent / messages:7.0f} µs a "
            f"message; mapping it {1e6 * (mapped - begun) / messages:5.0f} µs"
        )
    for n, size in enumerate(GATHERED, len(ways)):
        some = made.live[n * messages : (n + 1) * messages]
        say(await gathered(bench, some, size, partitions))
    stored = list(bench.store.patients.values())[:200]
    begun = time.process_time()
    for fields in stored:
        codec.to_state("p", codec.unpacked(fields))
    each = 1e6 * (time.process_time() - begun) / len(stored)
    say(f"a patient who is not in memory: {each:.0f} µs")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=500)
    parser.add_argument("--messages", type=int, default=2_000)
    parser.add_argument("--known", type=int, default=0)
    parser.add_argument("--partitions", type=int, default=4)
    given = parser.parse_args()
    asyncio.run(run(given.patients, given.messages, given.known, given.partitions))
