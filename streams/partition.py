"""One partition of facts in the hands of one worker: load, apply, commit, publish.

Everything that a worker promises is kept here, without Faust: each record is applied once, in
order, whatever crashed before; what follows from it is told at least once, with equal bytes; a
store that lost data is caught up from the log; a worker that lost its partition cannot write.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from connectors import contract, facts, topics
from connectors.contract import LogPosition
from connectors.facts import FactRecord
from streams import codec
from streams.engine import Effects, Engine, PatientState
from streams.store import Lease, MovedError, Store, Write


class Output(NamedTuple):
    """One record to publish."""

    topic: str
    key: str
    value: bytes
    heard: float  # when the message that caused it came in; 0 for what a tick caused


class FactsLog(Protocol):
    """Reads back the log."""

    def read(self, partition: int, start: int, end: int) -> AsyncIterator[tuple[int, bytes]]:
        """Records with start <= offset < end, in order."""
        ...


class Publisher(Protocol):
    """Writes scores and alerts."""

    def publish(self, partition: int, outputs: Sequence[Output]) -> asyncio.Future[None]:
        """Done when the broker has confirmed them all."""
        ...


class Applied(NamedTuple):
    """What became of one record; `confirmed` is done when the world has been told."""

    record: FactRecord
    effects: Effects | None  # None: it had been applied before
    confirmed: asyncio.Future[None]


_outputs = msgspec.msgpack.Decoder(list[tuple[str, str, bytes, float]])


class PartitionOwner:
    """See the module."""

    def __init__(
        self,
        lease: Lease,
        store: Store,
        engine: Engine,
        log: FactsLog,
        publisher: Publisher,
        cached_patients: int,
        on_rebuild: Callable[[int, int], None] = lambda start, end: None,
    ) -> None:
        self.lease = lease
        self._store, self._engine, self._log, self._publisher = store, engine, log, publisher
        self._cached_patients = cached_patients
        self._on_rebuild = on_rebuild
        self._cache: OrderedDict[str, PatientState] = OrderedDict()
        self._confirmed: list[int] = []
        self._unconfirmed: set[int] = set()

    async def publish_outbox(self) -> None:
        """Tell what an earlier owner stored and may not have told."""
        for offset, packed in sorted(self.lease.outbox.items()):
            await self._publish(offset, [Output(*o) for o in _outputs.decode(packed)])
        self.lease.outbox.clear()

    async def handle(self, offset: int, record: FactRecord) -> Applied:
        """Apply the record at `offset`. Raises `FencedError` when the partition was taken over."""
        if offset <= self.lease.offset:
            return Applied(record, None, _done())
        for _ in range(3):
            try:
                if offset > self.lease.offset + 1:
                    await self._catch_up(offset)
                effects, outputs = await self._apply(offset, record, tell=True)
            except MovedError:
                await self._start_over()
            else:
                return Applied(record, effects, self._publish(offset, outputs))
        raise RuntimeError(f"the store of partition {self.lease.partition} does not keep its data")

    async def _start_over(self) -> None:
        """The store lost data under our feet: go on from where it stands now."""
        self.lease = await self._store.acquire(self.lease.partition)
        self._confirmed = []
        self._cache.clear()

    async def _catch_up(self, end: int) -> None:
        """Apply what the store lacks. All of it was told before, or is being told right now:
        then the outbox must hold it again, in case that we do not live to see it confirmed."""
        start = self.lease.offset + 1
        self._on_rebuild(start, end)
        async for offset, raw in self._log.read(self.lease.partition, start, end):
            try:
                record = facts.decode(raw)
            except msgspec.MsgspecError:
                record = FactRecord()  # it was put in quarantine when it first came by
            await self._apply(offset, record, tell=offset in self._unconfirmed)

    async def _apply(
        self, offset: int, record: FactRecord, *, tell: bool
    ) -> tuple[Effects, list[Output]]:
        expired = self._expired(record)
        states = await self._states({m.patient for m in record.messages}.union(expired))
        log = LogPosition(topic=topics.FACTS, partition=self.lease.partition, offset=offset)
        silent = self.lease.silent if record.tick is None else record.tick.silent
        effects = self._engine.apply(states, record, log, expired, silent)
        outputs = _to_outputs(effects) if tell else []
        write = self._to_write(offset, effects, outputs)
        write.silent = silent if silent != self.lease.silent else None
        await self._store.commit(self.lease, write)
        self.lease.silent = silent
        del self._confirmed[: len(write.confirmed)]
        for patient, at in effects.due.items():
            if at is None:
                self.lease.due.pop(patient, None)
            else:
                self.lease.due[patient] = at
        return effects, outputs

    def _expired(self, record: FactRecord) -> list[str]:
        if record.tick is None:
            return []
        at = record.tick.at
        return sorted(patient for patient, due in self.lease.due.items() if due <= at)

    async def _states(self, patients: set[str]) -> dict[str, PatientState]:
        """From memory, otherwise from the store."""
        unknown = sorted(patients - self._cache.keys())
        if unknown:
            loaded = await self._store.load(self.lease.partition, unknown)
            for patient, fields in loaded.items():
                self._cache[patient] = codec.to_state(patient, fields)
        states = {}
        for patient in patients:
            self._cache.move_to_end(patient)
            states[patient] = self._cache[patient]
        while len(self._cache) > max(self._cached_patients, len(patients)):
            self._cache.popitem(last=False)
        return states

    def _to_write(self, offset: int, effects: Effects, outputs: list[Output]) -> Write:
        scores: dict[str, list[contract.Score]] = {}
        for score in effects.scores:
            scores.setdefault(score.patient, []).append(score)
        return Write(
            offset=offset,
            outbox=msgspec.msgpack.encode(outputs) if outputs else b"",
            confirmed=list(self._confirmed),
            patients={
                patient: codec.to_fields(touched, scores.get(patient, []))
                for patient, touched in effects.touched.items()
            },
            forgotten={
                patient: codec.to_forget(touched)
                for patient, touched in effects.touched.items()
                if touched.dropped
            },
            due=effects.due,
            alerts={alert.alert_id: contract.encode(alert) for alert in effects.alerts},
            summaries={
                patient: codec.to_summary(patient, touched.state, effects)
                for patient, touched in effects.touched.items()
            },
        )

    def _publish(self, offset: int, outputs: Sequence[Output]) -> asyncio.Future[None]:
        if not outputs:
            return _done()
        self._unconfirmed.add(offset)
        future = self._publisher.publish(self.lease.partition, outputs)
        future.add_done_callback(lambda f: self._on_confirmed(offset, f))
        return future

    def _on_confirmed(self, offset: int, future: asyncio.Future[None]) -> None:
        if not future.cancelled() and future.exception() is None:
            self._unconfirmed.discard(offset)
            self._confirmed.append(offset)


def _to_outputs(effects: Effects) -> list[Output]:
    heard = {patient: touched.heard for patient, touched in effects.touched.items()}
    out = [
        Output(topics.SCORES, s.patient, contract.encode(s), heard[s.patient])
        for s in effects.scores
    ]
    out += [
        Output(topics.ALERTS, a.patient, contract.encode(a), heard[a.patient])
        for a in effects.alerts
    ]
    # Facts for other patients: whoever owns them reads these from the log like any others.
    out += [
        Output(topics.FACTS, m.patient, facts.encode(FactRecord(messages=[m])), m.heard)
        for m in effects.handed_on
    ]
    return out


def _done() -> asyncio.Future[None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future
