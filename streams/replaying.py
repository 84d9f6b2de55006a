"""The log applied again, in memory: the worker's own code, with nothing behind it.

For `tocsin reproduce` and for back-testing: what a worker told is told again, to whoever asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

import msgspec
from msgspec.structs import replace

from connectors import contract, facts, topics
from connectors.configuration import PolicyInForce
from connectors.contract import Alert, FeedbackAnswer, Score
from connectors.facts import FactRecord
from models.risk import RiskModel
from streams.engine import Engine
from streams.partition import Output, PartitionOwner
from streams.store import NOTHING, Fields, Lease, Write
from streams.together import Together

_EVERYBODY = 1 << 40  # patients kept in memory
_BATCH = 256

Numbered = tuple[int, FactRecord]  # offset, record


class _Nowhere:
    """A store that keeps nothing: every patient stays in memory."""

    async def acquire(self, partition: int) -> Lease:
        return Lease(partition=partition, fence=0, offset=NOTHING, outbox={}, due={})

    async def load(self, partition: int, patients: Iterable[str]) -> dict[str, Fields]:
        return {name: {} for name in patients}

    async def listed(
        self, partition: int, alerts: Sequence[str], patients: Sequence[str]
    ) -> tuple[dict[str, bytes], dict[str, bytes]]:
        return {}, {}

    async def commit(self, lease: Lease, write: Write) -> None:
        lease.offset = write.offset


class _NoLog:
    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[tuple[int, bytes]]:
        for _ in ():
            yield 0, b""


class _Heard:
    def __init__(self) -> None:
        self.outputs: list[Output] = []

    def publish(self, partition: int, outputs: Sequence[Output]) -> asyncio.Future[None]:
        self.outputs += outputs
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


class Replay:
    """One partition. `outputs` grows as the log goes on.

    `only` is a patient: what the log says of others is passed over, which changes nothing for this
    one. `policy` is on trial: it counts from the beginning, whatever the log says of policies.
    """

    def __init__(
        self,
        partition: int,
        models: Sequence[RiskModel],
        only: str = "",
        trial: PolicyInForce | None = None,
    ) -> None:
        self._partition, self._only, self._trial = partition, only, trial
        self._heard = _Heard()
        self._engine = Together(Engine(models))
        self._owner: PartitionOwner | None = None

    @property
    def outputs(self) -> list[Output]:
        """All that was told, in order."""
        return self._heard.outputs

    def alerts(self) -> list[Alert]:
        """Of `outputs`."""
        return [contract.decode_alert(o.value) for o in self.outputs if o.topic == topics.ALERTS]

    def scores(self) -> list[Score]:
        """Of `outputs`."""
        return [contract.decode_score(o.value) for o in self.outputs if o.topic == topics.SCORES]

    def answers(self) -> list[FeedbackAnswer]:
        """Of `outputs`."""
        found = [o.value for o in self.outputs if o.topic == topics.AUDIT]
        return [msgspec.json.decode(value, type=FeedbackAnswer) for value in found]

    async def run(
        self, records: Iterable[Numbered], progress: Callable[[int], None] = lambda offset: None
    ) -> None:
        """Apply records that follow one another."""
        waiting: list[Numbered] = []
        for offset, record in records:
            owner = self._owner or await self._begin(offset)
            mine = self._mine(record)
            timed = record.tick is not None or record.policy is not None
            if waiting and (timed or len(waiting) == _BATCH):
                await owner.handle_all(waiting)
                waiting = []
            if self._concerns(owner, mine):
                waiting.append((offset, mine))
            elif waiting:
                waiting.append((offset, FactRecord()))
            else:  # nothing for anybody: only the place in the log and the silent feeds go on
                owner.lease.offset = offset
                if record.tick is not None:
                    owner.lease.silent = record.tick.silent
            progress(offset)
        if waiting and self._owner is not None:
            await self._owner.handle_all(waiting)

    async def _begin(self, offset: int) -> PartitionOwner:
        store = _Nowhere()
        lease = await store.acquire(self._partition)
        lease.offset = offset - 1
        if self._trial is not None:
            lease.policy = msgspec.json.encode(self._trial)
        self._owner = PartitionOwner(lease, store, self._engine, _NoLog(), self._heard, _EVERYBODY)
        return self._owner

    def _mine(self, record: FactRecord) -> FactRecord:
        if self._trial is not None:
            record = replace(record, policy=None)
        if not self._only:
            return record
        return replace(
            record,
            messages=[m for m in record.messages if m.patient == self._only],
            feedback=[a for a in record.feedback if a.patient == self._only],
        )

    @staticmethod
    def _concerns(owner: PartitionOwner, record: FactRecord) -> bool:
        if record.messages or record.feedback or record.policy is not None:
            return True
        due = min(owner.lease.due.values(), default=None)
        return record.tick is not None and due is not None and due <= record.tick.at


def decoded(raw: Iterable[tuple[int, bytes]]) -> Iterable[Numbered]:
    """As a worker reads them: what is no record changes nothing."""
    for offset, value in raw:
        try:
            yield offset, facts.decode(value)
        except msgspec.MsgspecError:
            yield offset, FactRecord()
