"""The Faust worker: agents over `tocsin.facts`, each partition in the hands of a `PartitionOwner`.

Faust brings the group membership, the fetching and the offsets. Delivery is at least once; what
must happen once is kept by the store's commit. An error that nobody expected stops the worker
before the record's offset is committed: a supervisor starts it again, and nothing is skipped.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

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
from streams.failing import FailingModels
from streams.ownership import Ownership
from streams.partition import Applied, LogLostError, Output, PartitionOwner, check_log
from streams.passes import MOST_RECORDS, Numbered
from streams.publisher import KafkaFactsLog, KafkaPublisher
from streams.queueing import Queues
from streams.session import session_timeout_s
from streams.settings import Settings
from streams.store import RedisStore
from streams.together import Together

log = logging.getLogger("tocsin.worker")

REDIS_TIMEOUT_S = 10.0  # of one answer; then the same is asked again over another connection
# What waits in memory for its turn: records by their bytes, small ones by their number.
MOST_WAITING_BYTES = 64_000_000
_LEAST_BYTES = 64_000  # that a record counts for
_LOOK_S = 1.0  # between looks at how old the oldest is
_TIDY_S = 0.25  # often, so that each time is short


class _Waiting(NamedTuple):
    """A record that was read and is not yet applied."""

    event: Any
    read: float  # epoch seconds

    @property
    def place(self) -> tuple[int, int]:
        return self.event.message.partition, self.event.message.offset


def _bytes(waiting: _Waiting) -> int:
    return max(_LEAST_BYTES, len(waiting.event.message.value or b""))


class Worker:
    """All partitions of one process.

    Records wait in a queue for each partition, and all that wait are applied in one pass. One that
    comes alone waits `worker.linger_ms` at most.
    """

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        models: Sequence[RiskModel],
        session_s: float,
        hops: tracing.Hops,
        shadows: Sequence[RiskModel] = (),
        on_trouble: Callable[[str], None] = lambda trouble: None,
    ) -> None:
        self._settings = settings
        self._store = RedisStore(redis)
        linger_s = settings.worker.linger_ms / 1_000
        self._failing = FailingModels(on_trouble)
        self._engine = Together(Engine(models, shadows, self._failing.hear), linger_s)
        self._failing.begin(self._engine.asked())
        self._log = KafkaFactsLog(settings.kafka)
        self._publisher = KafkaPublisher(settings.kafka)
        self._hops = hops
        self._ownership = Ownership(self._take, session_s)
        self._queues: Queues[_Waiting] = Queues(
            self._apply, self.fail, MOST_RECORDS, MOST_WAITING_BYTES, _bytes
        )
        self._waiting: dict[tuple[int, int], _Waiting] = {}  # by partition and offset, oldest first
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_assigned(self, partitions: set[int]) -> None:
        """These are ours now."""
        self._ownership.assigned(partitions)

    def on_revoked(self, partitions: set[int]) -> None:
        """These belong to others now."""
        self._ownership.revoked(partitions)
        for partition in partitions:
            self._forget(self._queues.drop(partition))

    async def on_event(self, event: Any) -> None:
        """Have one record applied; it is acknowledged when its outputs are confirmed."""
        waiting = _Waiting(event, time.time())
        self._waiting[waiting.place] = waiting
        await self._queues.put(event.message.partition, waiting)

    async def keep_telling(self) -> None:
        """How much waits, how old the oldest of it is, which models fail; until cancelled."""
        oldest = metrics.Level("tocsin_worker_oldest_seconds", {})
        records = metrics.Level("tocsin_worker_waiting", {})
        while True:
            first = next(iter(self._waiting.values()), None)
            written = time.time() if first is None else first.event.message.timestamp
            oldest.set(max(0.0, time.time() - written))
            records.set(len(self._waiting))
            self._failing.look(self._engine.down())
            await asyncio.sleep(_LOOK_S)

    def _forget(self, those: Sequence[_Waiting]) -> None:
        for waiting in those:
            self._waiting.pop(waiting.place, None)

    async def _apply(self, partition: int, together: list[_Waiting]) -> None:
        started = time.perf_counter()
        messages = [waiting.event.message for waiting in together]

        async def records() -> list[Numbered]:
            return [(m.offset, await self._decode(m)) for m in messages]

        applied = await self._ownership.handle(partition, records)
        if applied is None:  # whoever has the partition now gets the records again
            self._done(together)
            return
        stored = time.time()
        metrics.histogram("tocsin_worker_pass_seconds").record(time.perf_counter() - started)
        for waiting, one in zip(together, applied, strict=True):
            one.confirmed.add_done_callback(partial(self._on_confirmed, waiting, one, stored))

    def _done(self, those: Sequence[_Waiting]) -> None:
        self._queues.done(those)
        self._forget(those)

    async def _decode(self, message: Any) -> FactRecord:
        try:
            return facts.decode(message.value or b"")
        except msgspec.MsgspecError:
            await self._set_aside(message)
            return FactRecord()  # changes nothing, and the log goes on behind it

    async def _take(self, partition: int) -> PartitionOwner:
        lease = await self._store.acquire(partition)
        try:
            await check_log(lease, self._log.end)
        except LogLostError:
            log.critical(
                "partition %d: Redis stands at record %d of tocsin.facts, which ends before that. "
                "Kafka lost records or is another one: restore it, or empty Redis, which is then "
                "rebuilt from what the log has.",
                partition,
                lease.offset,
            )
            raise
        owner = PartitionOwner(
            lease,
            self._store,
            self._engine,
            self._log,
            self._publisher,
            max(1, self._settings.worker.cached_patients // self._settings.kafka.partitions),
            on_rebuild=lambda start, end: _on_rebuild(partition, start, end),
            rest_s=self._settings.worker.rest_hours * 3_600.0,
        )
        await owner.publish_outbox()
        return owner

    def _on_confirmed(
        self, waiting: _Waiting, applied: Applied, stored: float, future: asyncio.Future[None]
    ) -> None:
        self._done([waiting])
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            self.fail(error)
            return
        waiting.event.ack()
        if applied.effects is not None:
            now = time.time()
            _count(applied.effects, now)
            self._trace(applied, applied.effects, waiting.read, stored, now)

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
        await self._queues.close()
        await self._publisher.close()
        self._hops.close()


def _on_rebuild(partition: int, start: int, end: int) -> None:
    log.warning("partition %d: applying records %d to %d from the log", partition, start, end)
    metrics.counter("tocsin_worker_rebuilds").add(1)


def _count(effects: Effects, now: float) -> None:
    metrics.counter("tocsin_worker_records").add(1)
    scores = Counter((score.risk, score.silence) for score in effects.scores)
    for (risk, abstained), number in scores.items():
        labels = {"risk": risk, "abstained": abstained}
        metrics.counter("tocsin_worker_scores").add(number, labels)
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


def build_app(settings: Settings, session_s: float) -> Any:
    """Faust, stripped to what is used of it: no web, no leader, no tables, no declared topics."""
    return faust.App(
        settings.worker.group,
        broker=[f"kafka://{host}" for host in settings.kafka.bootstrap.split(",")],
        broker_credentials=_credentials(settings.kafka),
        broker_session_timeout=session_s,
        broker_heartbeat_interval=session_s / 4,
        broker_commit_interval=1.0,
        broker_max_poll_interval=3_600.0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=8_000_000,  # a record has up to half of that
        stream_wait_empty=False,
        stream_buffer_maxsize=32,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        key_serializer="raw",
        value_serializer="raw",
        datadir=str(settings.home / "faust"),
    )


async def _tidy() -> None:
    """Collect garbage by the clock, and only among what is new since the last time.

    What patients' states hold lives long and has no cycles. Left to itself the collector goes
    through all of it again and again: a fifth of the worker's time, in pauses of a second.
    """
    gc.disable()
    while True:
        gc.collect(1)
        gc.freeze()
        await asyncio.sleep(_TIDY_S)


async def run(
    settings: Settings,
    models: Sequence[RiskModel],
    *,
    on_ready: Callable[[], None],
    stop: asyncio.Event,
    shadows: Sequence[RiskModel] = (),
    on_trouble: Callable[[str], None] = lambda trouble: None,
) -> None:
    """Run until `stop`. Raises what stopped the worker, when it was not `stop`."""
    # A line that died without a word must not keep a partition waiting for ever.
    redis = Redis.from_url(
        settings.redis.url.get_secret_value(),
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        socket_keepalive=True,
    )
    hops = tracing.start(settings.telemetry, settings.home)
    wanted = settings.worker.session_timeout_s
    session_s = await asyncio.to_thread(session_timeout_s, settings.kafka, wanted)
    worker = Worker(settings, redis, models, session_s, hops, shadows, on_trouble)
    app: Any = build_app(settings, session_s)
    facts_topic = app.topic(topics.FACTS, value_serializer="raw", key_serializer="raw")

    async def fold(stream: Any) -> None:
        async for event in stream.noack().events():
            await worker.on_event(event)

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
    tidying = asyncio.create_task(_tidy())
    telling = asyncio.create_task(worker.keep_telling())
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
        tidying.cancel()
        telling.cancel()
        await app.stop()
        await worker.close()
        await redis.aclose()
