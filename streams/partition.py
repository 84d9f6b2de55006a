"""One partition of facts in the hands of one worker: load, apply, commit, publish.

Everything that a worker promises is kept here, without Faust: each record is applied once, in
order, whatever crashed before; what follows from it is told at least once, with equal bytes; a
store that lost data is caught up from the log; a worker that lost its partition cannot write.
Records that wait are applied in one pass (`streams.passes`), which changes no byte of all that.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from connectors import contract, facts, topics
from connectors.contract import LogPosition
from connectors.facts import FactRecord
from streams import codec
from streams.engine import AS_SHIPPED, Effects, Step
from streams.memory import Patients
from streams.passes import MOST_RECORDS, Encoded, Numbered, to_passes, to_write
from streams.policy.in_force import in_force, refused, rulebook
from streams.policy.rules import Rulebook
from streams.store import Lease, MovedError, Store
from streams.together import Together


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


class LogLostError(Exception):
    """The log ends before what the store stands for: it lost records, or is another one."""


async def check_log(
    lease: Lease,
    end: Callable[[int], Awaitable[int | None]],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Raises `LogLostError`: what comes next would pass for applied, and nobody would be told.

    So it is after a power cut that cost the broker more than the store, or when a broker was
    replaced by an empty one and the store was not. `end` tells the offset that the next record of a
    partition will get, None where the log does not say. A broker that has just started may not know
    its end yet, so it is asked for some seconds.
    """
    for wait_s in (1.0, 1.0, 1.0, 1.0, 0.0):
        at = await end(lease.partition)
        if at is None or lease.offset < at:
            return
        await sleep(wait_s)
    raise LogLostError(f"the log of partition {lease.partition} ends before its state")


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
        engine: Together,
        log: FactsLog,
        publisher: Publisher,
        cached_patients: int,
        on_rebuild: Callable[[int, int], None] = lambda start, end: None,
        rest_s: float = math.inf,
    ) -> None:
        self.lease = lease
        self._store, self._engine, self._log, self._publisher = store, engine, log, publisher
        self._patients = Patients(lease.partition, store, cached_patients, rest_s)
        self._policy, self._rulebook = b"", AS_SHIPPED
        self._on_rebuild = on_rebuild
        self._confirmed: list[int] = []
        self._unconfirmed: set[int] = set()

    async def publish_outbox(self) -> None:
        """Tell what an earlier owner stored and may not have told."""
        told = [
            self._publish([offset], [Output(*o) for o in _outputs.decode(packed)])
            for offset, packed in sorted(self.lease.outbox.items())
        ]
        await asyncio.gather(*told)
        self.lease.outbox.clear()

    def go_on_for(self, before: PartitionOwner) -> None:
        """What this process is still telling for an owner that was fenced stays known: the outbox
        has to hold it again, should the store have lost it."""
        before._confirmed += self._confirmed
        self._confirmed, self._unconfirmed = before._confirmed, before._unconfirmed

    async def handle(self, offset: int, record: FactRecord) -> Applied:
        """Apply the record at `offset`. Raises `FencedError` when the partition was taken over."""
        return (await self.handle_all([(offset, record)]))[0]

    async def handle_all(self, records: Sequence[Numbered]) -> list[Applied]:
        """Apply records, several in one pass where they follow one another.

        However they come together, the same bytes are told and stored as one by one. Raises
        `FencedError` when the partition was taken over.
        """
        applied: list[Applied] = []
        for together in to_passes(records):
            known = [record for offset, record in together if offset <= self.lease.offset]
            applied += [Applied(record, None, _done()) for record in known]
            if len(known) < len(together):
                applied += await self._handle_pass(together[len(known) :])
        return applied

    async def _handle_pass(self, records: Sequence[Numbered]) -> list[Applied]:
        offsets = [offset for offset, _ in records]
        for _ in range(3):
            try:
                if offsets[0] > self.lease.offset + 1:
                    await self._catch_up(offsets[0])
                effects, outputs = await self._apply(records, tell=True)
            except MovedError:
                await self._start_over()
            else:
                confirmed = self._publish(offsets, outputs)
                return [
                    Applied(record, one, confirmed)
                    for (_, record), one in zip(records, effects, strict=True)
                ]
        raise RuntimeError(f"the store of partition {self.lease.partition} does not keep its data")

    async def _start_over(self) -> None:
        """The store lost data under our feet: go on from where it stands now."""
        self.lease = await self._store.acquire(self.lease.partition)
        self._confirmed = []
        self._patients.clear()

    async def _catch_up(self, end: int) -> None:
        """Apply what the store lacks. All of it was told before, or is being told right now:
        then the outbox must hold it again, in case that we do not live to see it confirmed."""
        start = self.lease.offset + 1
        self._on_rebuild(start, end)
        missed: list[Numbered] = []
        async for offset, raw in self._log.read(self.lease.partition, start, end):
            try:
                record = facts.decode(raw)
            except msgspec.MsgspecError:
                record = FactRecord()  # it was put in quarantine when it first came by
            missed.append((offset, record))
            if len(missed) == MOST_RECORDS:
                await self._apply_again(missed)
                missed = []
        await self._apply_again(missed)

    async def _apply_again(self, records: Sequence[Numbered]) -> None:
        for together in to_passes(records, alone=self._unconfirmed):
            await self._apply(together, tell=together[0][0] in self._unconfirmed)

    async def _apply(
        self, records: Sequence[Numbered], *, tell: bool
    ) -> tuple[list[Effects], list[Output]]:
        """One pass: one load, one batch through each network, one commit."""
        offset, last = records[-1]  # with a tick or a policy it is alone in its pass
        policy, problem = in_force(self.lease.policy, last.policy, self._engine.models)
        expired = self._expired(last, policy != self.lease.policy)
        states = await self._patients.states(_concerned(records).union(expired))
        silent = self.lease.silent if last.tick is None else last.tick.silent
        book = self._book(policy)
        steps = [Step(record, self._position(at), expired, silent, book) for at, record in records]
        effects = await self._engine.apply_all(states, steps)
        encoded = [Encoded.of(one) for one in effects]
        outputs = [output for one in encoded for output in to_outputs(one)] if tell else []
        if problem and last.policy is not None and tell:
            record = refused(last.policy, problem, self._position(offset))
            outputs.append(Output(topics.QUARANTINE, "", record, 0.0))
        write = to_write(offset, encoded, list(self._confirmed))
        write.outbox = msgspec.msgpack.encode(outputs) if outputs else b""
        write.silent = silent if silent != self.lease.silent else None
        write.policy = policy if policy != self.lease.policy else None
        self._patients.unpack(write)
        if tell and last.tick is not None:
            await self._patients.pack(write, last.tick.at)
        await self._store.commit(self.lease, write)
        self._patients.stored(write.patients)
        for one in effects:
            for touched in one.touched.values():
                codec.stored(touched)
        self.lease.policy = policy
        self.lease.silent = silent
        del self._confirmed[: len(write.confirmed)]
        for patient, at in write.due.items():
            if at is None:
                self.lease.due.pop(patient, None)
            else:
                self.lease.due[patient] = at
        return effects, outputs

    def _position(self, offset: int) -> LogPosition:
        return LogPosition(topic=topics.FACTS, partition=self.lease.partition, offset=offset)

    def _book(self, policy: bytes) -> Rulebook:
        """The policy in force, made ready; kept until another one comes into force."""
        if policy != self._policy:
            self._policy, self._rulebook = policy, rulebook(policy)
        return self._rulebook

    def _expired(self, record: FactRecord, policy_changed: bool) -> list[str]:
        """Patients whose time has come; with a new policy, all whom it may concern."""
        if policy_changed:
            return sorted(self.lease.due)
        if record.tick is None:
            return []
        at = record.tick.at
        return sorted(patient for patient, due in self.lease.due.items() if due <= at)

    def _publish(self, offsets: Sequence[int], outputs: Sequence[Output]) -> asyncio.Future[None]:
        """The outbox of a pass stands under its last offset; after a rebuild on the way it may
        stand under several. What is confirmed is taken out wherever it stands."""
        if not outputs:
            return _done()
        self._unconfirmed.update(offsets)
        future = self._publisher.publish(self.lease.partition, outputs)
        future.add_done_callback(lambda f: self._on_confirmed(offsets, f))
        return future

    def _on_confirmed(self, offsets: Sequence[int], future: asyncio.Future[None]) -> None:
        if not future.cancelled() and future.exception() is None:
            self._unconfirmed.difference_update(offsets)
            self._confirmed += offsets


def _concerned(records: Sequence[Numbered]) -> set[str]:
    """Patients that records name."""
    found = {m.patient for _, record in records for m in record.messages}
    return found | {a.patient for _, record in records for a in record.feedback}


def to_outputs(encoded: Encoded) -> list[Output]:
    """What the world is told of a record, in order."""
    effects = encoded.effects
    heard = {patient: touched.heard for patient, touched in effects.touched.items()}
    scores = [*zip(effects.scores, encoded.scores, strict=True)]
    scores += [(shadow, contract.encode(shadow)) for shadow in effects.shadows]
    out = [Output(topics.SCORES, score.patient, raw, heard[score.patient]) for score, raw in scores]
    out += [
        Output(topics.ALERTS, a.patient, raw, heard[a.patient])
        for a, raw in zip(effects.alerts, encoded.alerts, strict=True)
    ]
    out += [Output(topics.AUDIT, a.patient, msgspec.json.encode(a), 0.0) for a in effects.answers]
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
