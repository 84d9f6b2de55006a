"""The Faust worker: agents over `tocsin.facts`, each partition in the hands of a `PartitionOwner`.

Faust brings the group membership, the fetching and the offsets. Delivery is at least once; what
must happen once is kept by the store's commit. An error that nobody expected stops the worker
before the record's offset is committed: a supervisor starts it again, and nothing is skipped.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any

import faust
import msgspec
from redis.asyncio import Redis

from connectors import contract, facts, metrics, topics
from connectors.facts import FactRecord
from connectors.quarantine import Reason, quarantined
from connectors.settings import KafkaSettings
from models.risk import RiskModel
from streams import tracing
from streams.engine import Effects, Engine
from streams.partition import Applied, Output, PartitionOwner
from streams.publisher import KafkaFactsLog, KafkaPublisher
from streams.settings import Settings
from streams.store import FencedError, RedisStore

log = logging.getLogger("tocsin.worker")

MOST_IN_FLIGHT = 64  # records applied and not yet confirmed by the broker


class Worker:
    """All partitions of one process."""

    def __init__(
        self, settings: Settings, redis: Redis, models: Sequence[RiskModel], hops: tracing.Hops
    ) -> None:
        self._settings = settings
        self._store = RedisStore(redis)
        self._engine = Engine(models)
        self._log = KafkaFactsLog(settings.kafka)
        self._publisher = KafkaPublisher(settings.kafka)
        self._hops = hops
        self._owners: dict[int, PartitionOwner] = {}
        self._assigned: set[int] = set()
        self._in_flight = asyncio.Semaphore(MOST_IN_FLIGHT)
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_assigned(self, partitions: set[int]) -> None:
        """These are ours now."""
        self._assigned = set(partitions)

    def on_revoked(self, partitions: set[int]) -> None:
        """These belong to others now."""
        self._assigned -= partitions
        for partition in partitions:
            self._owners.pop(partition, None)

    async def on_event(self, event: Any) -> None:
        """Apply one record; the event is acknowledged when its outputs are confirmed."""
        message = event.message
        read, started = time.time(), time.perf_counter()
        await self._in_flight.acquire()
        applied = await self._handle(message)
        if applied is None:  # whoever has the partition now gets the record again
            self._in_flight.release()
            return
        stored = time.time()
        metrics.histogram("tocsin_worker_record_seconds").record(time.perf_counter() - started)
        applied.confirmed.add_done_callback(
            lambda future: self._on_confirmed(event, applied, future, read, stored)
        )

    async def _handle(self, message: Any) -> Applied | None:
        """None when the partition is not ours any more: no lease may be taken for it then."""
        partition, raw = message.partition, message.value or b""
        if partition not in self._assigned:
            return None
        try:
            owner = await self._owner(partition)
            try:
                record = facts.decode(raw)
            except msgspec.MsgspecError:
                await self._set_aside(message)
                record = FactRecord()  # changes nothing, and the log goes on behind it
            return await owner.handle(message.offset, record)
        except FencedError:
            log.warning("partition %d was taken over by another worker", partition)
            metrics.counter("tocsin_worker_fenced").add(1)
            self._owners.pop(partition, None)
            self._assigned.discard(partition)
            return None

    async def _owner(self, partition: int) -> PartitionOwner:
        owner = self._owners.get(partition)
        if owner is None:
            lease = await self._store.acquire(partition)
            owner = PartitionOwner(
                lease,
                self._store,
                self._engine,
                self._log,
                self._publisher,
                max(1, self._settings.worker.cached_patients // self._settings.kafka.partitions),
                on_rebuild=lambda start, end: _on_rebuild(partition, start, end),
            )
            await owner.publish_outbox()
            self._owners[partition] = owner
        return owner

    def _on_confirmed(
        self,
        event: Any,
        applied: Applied,
        future: asyncio.Future[None],
        read: float,
        stored: float,
    ) -> None:
        self._in_flight.release()
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            self.fail(error)
            return
        event.ack()
        if applied.effects is not None:
            now = time.time()
            _count(applied.effects, now)
            self._trace(applied, applied.effects, read, stored, now)

    def fail(self, error: BaseException) -> None:
        """Stop the worker: this must not go on."""
        if not self.failed.done():
            self.failed.set_exception(error)

    def _trace(
        self, applied: Applied, effects: Effects, read: float, stored: float, confirmed: float
    ) -> None:
        raised: dict[str, int] = {}
        for alert in effects.alerts:
            raised[alert.patient] = raised.get(alert.patient, 0) + 1
        for message in applied.record.messages:
            self._hops.write(
                message,
                read=read,
                stored=stored,
                confirmed=confirmed,
                alerts=raised.get(message.patient, 0),
            )

    async def _set_aside(self, message: Any) -> None:
        record = quarantined(
            Reason.BAD_FACTS,
            "a record of tocsin.facts does not keep to its schema",
            raw=message.value or b"",
            received_at=message.timestamp,
            source=topics.FACTS,
            wire=f"{topics.FACTS}/{message.partition}/{message.offset}",
        )
        output = Output(topics.QUARANTINE, record.id, contract.encode(record), 0.0)
        await self._publisher.publish(-1, [output])
        metrics.counter("tocsin_quarantined").add(1, {"reason": Reason.BAD_FACTS})

    async def close(self) -> None:
        """Let go."""
        await self._publisher.close()
        self._hops.close()


def _on_rebuild(partition: int, start: int, end: int) -> None:
    log.warning("partition %d: applying records %d to %d from the log", partition, start, end)
    metrics.counter("tocsin_worker_rebuilds").add(1)


def _count(effects: Effects, now: float) -> None:
    metrics.counter("tocsin_worker_records").add(1)
    scores = metrics.counter("tocsin_worker_scores")
    for score in effects.scores:
        scores.add(1, {"risk": score.risk, "abstained": score.abstained or ""})
    heard = {patient: touched.heard for patient, touched in effects.touched.items()}
    for when in heard.values():
        if when:
            metrics.histogram("tocsin_event_to_score_seconds").record(max(0.0, now - when))
    for alert in effects.alerts:
        labels = {"risk": alert.risk, "state": alert.state}
        metrics.counter("tocsin_worker_alerts").add(1, labels)
        if heard[alert.patient]:
            metrics.histogram("tocsin_event_to_alert_seconds").record(
                max(0.0, now - heard[alert.patient])
            )


def _credentials(kafka: KafkaSettings) -> Any:
    """Faust's form of the broker's security settings."""
    protocol = kafka.security_protocol
    if protocol == "PLAINTEXT":
        return None
    context = ssl.create_default_context(cafile=str(kafka.ssl_ca) if kafka.ssl_ca else None)
    if protocol == "SSL":
        return faust.SSLCredentials(context=context)
    return faust.SASLCredentials(
        mechanism=kafka.sasl_mechanism,
        username=kafka.sasl_username,
        password=kafka.sasl_password.get_secret_value(),
        ssl_context=context if protocol == "SASL_SSL" else None,
    )


def build_app(settings: Settings) -> Any:
    """Faust, stripped to what is used of it: no web, no leader, no tables, no declared topics."""
    session = settings.worker.session_timeout_s
    return faust.App(
        settings.worker.group,
        broker=[f"kafka://{host}" for host in settings.kafka.bootstrap.split(",")],
        broker_credentials=_credentials(settings.kafka),
        broker_session_timeout=session,
        broker_heartbeat_interval=session / 4,
        broker_commit_interval=1.0,
        broker_max_poll_interval=3_600.0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=16_000_000,
        stream_wait_empty=False,
        stream_buffer_maxsize=256,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        key_serializer="raw",
        value_serializer="raw",
        datadir=str(settings.home / "faust"),
    )


async def run(
    settings: Settings,
    models: Sequence[RiskModel],
    *,
    on_ready: Callable[[], None],
    stop: asyncio.Event,
) -> None:
    """Run until `stop`. Raises what stopped the worker, when it was not `stop`."""
    redis = Redis.from_url(settings.redis.url.get_secret_value())
    worker = Worker(settings, redis, models, tracing.start(settings.telemetry, settings.home))
    app: Any = build_app(settings)
    facts_topic = app.topic(topics.FACTS, value_serializer="raw", key_serializer="raw")

    async def fold(stream: Any) -> None:
        async for event in stream.noack().events():
            try:
                await worker.on_event(event)
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001  # the process's edge: stop, do not skip
                worker.fail(error)
                await asyncio.Event().wait()

    async def assigned(_: Any, partitions: Any, **__: Any) -> None:
        worker.on_assigned({p.partition for p in partitions})

    async def revoked(_: Any, partitions: Any, **__: Any) -> None:
        worker.on_revoked({p.partition for p in partitions})

    async def balanced(_: Any, **__: Any) -> None:
        on_ready()

    app.agent(facts_topic, name="facts")(fold)
    app.on_partitions_assigned.connect(assigned)
    app.on_partitions_revoked.connect(revoked)
    app.on_rebalance_complete.connect(balanced)
    await app.start()
    stopping = asyncio.ensure_future(stop.wait())
    ended = asyncio.ensure_future(app.wait_until_stopped())
    watched: set[asyncio.Future[Any]] = {worker.failed, stopping, ended}
    try:
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        if worker.failed.done():
            worker.failed.result()
        if not stop.is_set():
            raise RuntimeError("Faust has stopped by itself") from app.crash_reason
    finally:
        stopping.cancel()
        ended.cancel()
        await app.stop()
        await worker.close()
        await redis.aclose()
