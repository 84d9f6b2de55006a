"""`tocsin sinks`: reads the alerts, tells whoever has to be told, and remembers that it did."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

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
from connectors.vault import VaultReader
from streams.delivery.checking import strangers
from streams.delivery.dispatcher import Dispatcher
from streams.delivery.items import Outside
from streams.delivery.kafka import LogReader, LogWriter
from streams.delivery.ledger import RedisLedger
from streams.delivery.queue import ReceiverQueue
from streams.delivery.replies import Replies, listen
from streams.delivery.routing import Routing
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
    on_ready: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    """Until `stop`. `on_ready` gets the address for PCD-05 reports, "" for none.

    Raises `RoutingError`, `CannotOpenError`, `MllpError`.
    """
    for library in ("httpx", "httpcore"):  # they would log each address, which may be a secret
        logging.getLogger(library).setLevel(logging.WARNING)
    routing = await asyncio.to_thread(
        open_source,
        settings.sinks,
        KafkaJournal(settings.kafka),
        two_person=settings.policy.two_person,
    )
    redis = Redis.from_url(settings.redis.url.get_secret_value(), socket_timeout=5)
    kafka = KafkaLog(settings.kafka, client_id="tocsin-sinks")
    ledger, writer = RedisLedger(redis), LogWriter(kafka)
    replies = Replies(ledger, kafka, clock)
    queues: dict[str, ReceiverQueue] = {}
    dispatcher = Dispatcher(queues, lambda: routing.current, ledger, writer, clock)
    people = People(settings, key, clock)
    outside = Outside(ledger, dispatcher.record, people, clock)
    site = Site(settings.sinks, settings.identity.preferred_types, clock, replies.heard)
    queues |= {
        name: ReceiverQueue(name, receiver, open_sink(name, receiver, site), outside)
        for name, receiver in settings.sinks.receivers.items()
    }
    _warn_of_strangers(settings, routing.current)

    async def revoked() -> None:
        await asyncio.gather(*(q.drop() for q in queues.values()))
        await reader.commit(dispatcher.progress.committable())
        dispatcher.progress.forget()

    reader = LogReader(settings.kafka, settings.sinks.group, revoked)
    house = asyncio.create_task(_keep_house(dispatcher, queues, routing, writer, clock))
    try:
        async with listen(settings.sinks.replies, kafka, replies, clock) as address:
            reader.start()
            await _read(reader, dispatcher, stop, house, lambda: on_ready(address))
            await asyncio.gather(*(q.settle(_GRACE_S) for q in queues.values()))
            await reader.commit(dispatcher.progress.committable())
    finally:
        house.cancel()
        await asyncio.gather(*(q.close() for q in queues.values()), return_exceptions=True)
        await reader.close()
        await kafka.close()
        await redis.aclose()


async def _read(
    reader: LogReader,
    dispatcher: Dispatcher,
    stop: asyncio.Event,
    house: asyncio.Task[None],
    on_ready: Callable[[], None],
) -> None:
    ready = False
    stopped = asyncio.create_task(stop.wait())
    while not stop.is_set():
        for record in await reader.read():
            # While Redis is away this waits, and may be asked to stop all the same.
            taking = asyncio.create_task(dispatcher.take(record))
            await asyncio.wait({taking, stopped, house}, return_when=asyncio.FIRST_COMPLETED)
            if not taking.done():
                taking.cancel()
                await asyncio.gather(taking, return_exceptions=True)
                break
            taking.result()
        await reader.commit(dispatcher.progress.committable())
        if not ready and reader.assigned:
            ready = True
            on_ready()
        if house.done():
            house.result()


async def _keep_house(
    dispatcher: Dispatcher,
    queues: Mapping[str, ReceiverQueue],
    routing: RoutingSource,
    writer: LogWriter,
    clock: Clock,
) -> None:
    while True:
        await asyncio.sleep(_HOUSE_S)
        source = await asyncio.to_thread(routing.look)
        if source:
            log.info("the routing is that of %s", source)
            record = changed(source, routing.current, clock())
            await writer.write(topics.AUDIT, record.event, msgspec.json.encode(record))
        for queue in queues.values():
            queue.check()
            queue.observe()
        await dispatcher.remind()


def _warn_of_strangers(settings: Settings, routing: Routing) -> None:
    for name in strangers(settings, routing):
        log.error(
            "the routing names %s, and sinks.receivers has no such section: whatever it should be "
            "told of becomes a dead letter",
            name,
        )
