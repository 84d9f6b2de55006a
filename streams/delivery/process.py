"""`tocsin sinks`: reads the alerts, tells whoever has to be told, and remembers that it did."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import msgspec
from confluent_kafka import KafkaException
from redis import Redis as SyncRedis
from redis import exceptions
from redis.asyncio import Redis

from connectors import topics
from connectors.clock import Clock
from connectors.contract import Alert
from connectors.identity import Identity, IdentityKey
from connectors.journal import KafkaJournal
from connectors.kafka import KafkaLog
from connectors.sinks.notice import UnavailableError
from connectors.sinks.opening import Site, open_sink
from connectors.sinks.settings import MllpReceiver, SinksSettings
from connectors.vault import VaultReader
from streams.delivery import standing
from streams.delivery.dispatcher import Dispatcher
from streams.delivery.items import Outside
from streams.delivery.kafka import LogReader, LogWriter
from streams.delivery.ledger import RedisLedger
from streams.delivery.queue import ReceiverQueue
from streams.delivery.replies import Replies, read_reports
from streams.delivery.routing import Routing, strangers
from streams.delivery.source import RoutingSource, changed, open_source
from streams.settings import Settings

log = logging.getLogger("tocsin.sinks")

_HOUSE_S: Final = 1.0  # between looks at reminders, gauges and the routing file
_GRACE_S: Final = 5.0  # what is on its way at a stop may arrive


class People:
    """Names behind pseudonyms, for receivers that may know. Audited before and after."""

    def __init__(self, settings: Settings, key: IdentityKey, clock: Clock) -> None:
        self._journal = KafkaJournal(settings.kafka)
        self._lock = threading.Lock()  # the journal is not for several threads at once
        redis = SyncRedis.from_url(settings.redis.url.get_secret_value(), socket_timeout=5)
        self._vault = VaultReader(redis, key, self._audit, clock)
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="vault")

    async def __call__(self, receiver: str, alerts: Sequence[Alert]) -> Mapping[str, Identity]:
        """Raises `UnavailableError`."""
        patients = sorted({alert.patient for alert in alerts})
        what = ", ".join(f"{a.alert_id}/{a.revision}" for a in alerts)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, self._look_up, f"sink {receiver}", patients, f"telling of alert {what}"
        )

    def _look_up(self, who: str, patients: list[str], purpose: str) -> dict[str, Identity]:
        try:
            return self._vault.names(patients, who=who, purpose=purpose)
        except exceptions.RedisError:
            raise UnavailableError("the identity vault does not answer") from None
        except KafkaException:
            raise UnavailableError("the audit log takes no records: no name is sent") from None
        except ValueError:
            raise UnavailableError("the identity vault was written with another key") from None

    def _audit(self, record: bytes) -> None:
        with self._lock:
            self._journal.append(topics.AUDIT, record, [])


async def run(
    settings: Settings,
    key: IdentityKey,
    clock: Clock,
    *,
    on_ready: Callable[[], None],
    stop: asyncio.Event,
) -> None:
    """Until `stop`. Raises `RoutingError`, `CannotOpenError`."""
    for library in ("httpx", "httpcore"):  # they would log each address, which may be a secret
        logging.getLogger(library).setLevel(logging.WARNING)
    routing = await asyncio.to_thread(
        open_source,
        settings.sinks,
        KafkaJournal(settings.kafka),
        two_person=settings.policy.two_person,
    )
    _warn_of_strangers(settings, routing.current)
    parts = _connect(settings, key, clock, routing)
    queues, progress = parts.queues, parts.dispatcher.progress

    async def revoked() -> None:
        await asyncio.gather(*(q.drop() for q in queues.values()))
        await alerts.commit(progress.committable())
        progress.forget()

    group = settings.sinks.group
    alerts = LogReader(settings.kafka, group, (topics.ALERTS, topics.DELIVERIES), revoked)
    reports = LogReader(settings.kafka, f"{group}-reports", (topics.WIRE_HL7,))
    house = asyncio.create_task(_keep_house(parts, routing, clock))
    beside, readers = [house], [alerts]
    if _reported_on(settings.sinks):
        reports.start()
        readers.append(reports)
        beside.append(asyncio.create_task(read_reports(reports, parts.replies, stop)))
    try:
        alerts.start()
        await _read(readers, parts.dispatcher, stop, beside, on_ready)
        await asyncio.gather(*(q.settle(_GRACE_S) for q in queues.values()))
        await alerts.commit(progress.committable())
    finally:
        stop.set()
        house.cancel()
        await asyncio.wait(beside, timeout=_GRACE_S)  # a reader may only be closed when it rests
        await asyncio.gather(*(q.close() for q in queues.values()), return_exceptions=True)
        await asyncio.gather(reports.close(), alerts.close(), parts.kafka.close())
        await parts.redis.aclose()


class _Parts(NamedTuple):
    """What belongs together."""

    name: str  # of this process, among several
    kafka: KafkaLog
    redis: Redis
    writer: LogWriter
    replies: Replies
    queues: Mapping[str, ReceiverQueue]
    dispatcher: Dispatcher


def _connect(settings: Settings, key: IdentityKey, clock: Clock, routing: RoutingSource) -> _Parts:
    """Everything wired up; nothing has been read or sent. Raises `CannotOpenError`."""
    redis = Redis.from_url(settings.redis.url.get_secret_value(), socket_timeout=5)
    kafka = KafkaLog(settings.kafka, client_id="tocsin-sinks")
    ledger, writer = RedisLedger(redis), LogWriter(kafka)
    replies = Replies(ledger, kafka, clock)
    queues: dict[str, ReceiverQueue] = {}
    dispatcher = Dispatcher(queues, lambda: routing.current, ledger, writer, clock)
    outside = Outside(ledger, dispatcher.record, People(settings, key, clock), clock)
    site = Site(settings.sinks, settings.identity.preferred_types, clock, replies.heard)
    queues |= {
        name: ReceiverQueue(name, receiver, open_sink(name, receiver, site), outside)
        for name, receiver in settings.sinks.receivers.items()
    }
    return _Parts(secrets.token_hex(6), kafka, redis, writer, replies, queues, dispatcher)


async def _read(
    readers: Sequence[LogReader],
    dispatcher: Dispatcher,
    stop: asyncio.Event,
    beside: Sequence[asyncio.Task[None]],
    on_ready: Callable[[], None],
) -> None:
    ready, alerts = False, readers[0]
    stopped = asyncio.create_task(stop.wait())
    while not stop.is_set():
        for record in await alerts.read():
            # While Redis is away this waits, and may be asked to stop all the same.
            taking = asyncio.create_task(dispatcher.take(record))
            await asyncio.wait({taking, stopped, *beside}, return_when=asyncio.FIRST_COMPLETED)
            if not taking.done():
                taking.cancel()
                await asyncio.gather(taking, return_exceptions=True)
                break
            taking.result()
        await alerts.commit(dispatcher.progress.committable())
        if not ready and all(r.assigned for r in readers):
            ready = True
            on_ready()
        for task in beside:
            if task.done():
                task.result()


def _reported_on(sinks: SinksSettings) -> bool:
    """Is anybody told who may report back?"""
    kinds = [r.message for r in sinks.receivers.values() if isinstance(r, MllpReceiver)]
    return "pcd04" in kinds


async def _keep_house(parts: _Parts, routing: RoutingSource, clock: Clock) -> None:
    while True:
        await asyncio.sleep(_HOUSE_S)
        source = await asyncio.to_thread(routing.look)
        if source:
            log.info("the routing is that of %s", source)
            record = changed(source, routing.current, clock())
            await parts.writer.write(topics.AUDIT, record.event, msgspec.json.encode(record))
        for queue in parts.queues.values():
            queue.check()
            queue.observe()
        standings = [queue.standing() for queue in parts.queues.values()]
        await standing.tell(parts.redis, parts.name, standings, clock())
        await parts.dispatcher.remind()


def _warn_of_strangers(settings: Settings, routing: Routing) -> None:
    for name in strangers(settings.sinks.receivers, routing):
        log.error(
            "the routing names %s, and sinks.receivers has no such section: whatever it should be "
            "told of becomes a dead letter",
            name,
        )
