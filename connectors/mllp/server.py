"""The MLLP server: senders on one side, the log on the other.

Memory is bounded by `max_unacknowledged_bytes` for what waits for the broker, plus one unfinished
frame and one read of at most 256 KB for each connection.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
from collections.abc import Awaitable, Callable

from confluent_kafka import KafkaException
from redis import Redis

from connectors import serving
from connectors.admission import Admission, keep_admitting
from connectors.clock import Clock
from connectors.kafka import KafkaLog, Log
from connectors.mllp.acknowledge import Acknowledger
from connectors.mllp.connection import Connection, Shared
from connectors.mllp.intake import DEFAULT, Destinations, Intake
from connectors.mllp.sources import SiteSources, keep_looking
from connectors.mllp.tally import Tally
from connectors.settings import AdmissionSettings, KafkaSettings, MllpSettings, TlsServer
from connectors.tls import TlsError, server_context

_log = logging.getLogger(__name__)

_PENDING_CONNECTIONS = 1_024
_PUBLISH_S = 1.0
_METADATA_S = 5.0
_RETRY_S = 0.5
_HANG_UP_S = 2.0
_GRACE_S = 10.0  # how long a stop waits for the broker; after that, senders send again


class MllpError(Exception):
    """The server cannot start; the message says why, and what to do."""


async def serve(
    settings: MllpSettings,
    kafka: KafkaSettings,
    *,
    clock: Clock,
    trace_ratio: float,
    on_ready: Callable[[str], None],
    stop: asyncio.Event,
    destinations: Destinations = DEFAULT,
    sources: SiteSources | None = None,
    admission: AdmissionSettings | None = None,
    redis: Redis | None = None,
) -> None:
    """Serve until `stop` is set; then answer what was taken, and return.

    `on_ready` gets "host:port" when the broker has answered, both topics exist and the socket
    listens. A broker that is not there yet is waited for. Without `sources`, all senders are alike;
    without `redis`, where the sequencers tell what waits, no answer is held back. Raises
    `MllpError`.
    """
    tls_context(settings.tls)  # what is wrong with the files is said before a broker is waited for
    log = KafkaLog(kafka, client_id="tocsin-mllp", linger_ms=settings.linger_ms)
    slowing = Admission(admission or AdmissionSettings())
    beside = [asyncio.create_task(keep_admitting(slowing, redis))]
    if sources:
        beside.append(asyncio.create_task(keep_looking(sources.look)))
    for task in beside:
        serving.needs(task, stop)
    try:
        if await _until(stop, _topics_exist(log, destinations)):
            intake = Intake(settings, destinations, clock, trace_ratio, sources)
            await serve_into(
                log, settings, intake, slowing, clock=clock, on_ready=on_ready, stop=stop
            )
    finally:
        for task in beside:
            task.cancel()
        await log.close()


async def serve_into(
    log: Log,
    settings: MllpSettings,
    intake: Intake,
    admission: Admission,
    *,
    clock: Clock,
    on_ready: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    """`serve`, with a log that is ready. Raises `MllpError`."""
    acknowledger = Acknowledger(f"T{int(clock() * 1000):X}", clock)
    shared = Shared(settings, log, intake, acknowledger, Tally(), admission)
    server = await _listen(shared)
    publishing = asyncio.create_task(_publish(shared.tally))
    try:
        host, port = server.sockets[0].getsockname()[:2]
        on_ready(f"{host}:{port}")
        await stop.wait()
    finally:
        server.close()
        await _stop(shared)
        publishing.cancel()
        shared.tally.publish()


async def _listen(shared: Shared) -> asyncio.Server:
    settings = shared.settings
    tls = tls_context(settings.tls)
    try:
        return await asyncio.get_running_loop().create_server(
            lambda: Connection(shared),
            settings.host,
            settings.port,
            ssl=tls,
            backlog=_PENDING_CONNECTIONS,
        )
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        if error.errno == errno.EADDRINUSE:
            raise MllpError(
                f"{where} is in use: set mllp.port to another port, or to 0 for any free one."
            ) from None
        raise MllpError(f"Cannot listen at {where}: {error.strerror or error}.") from None


async def _stop(shared: Shared) -> None:
    """Read no more, wait for the broker, answer, close; then hang up on whoever is left."""
    connections = list(shared.open)
    for connection in connections:
        connection.stop()
    shared.admission.close()
    if not await shared.log.flush(_GRACE_S):
        _log.warning("stopped with messages unconfirmed: their senders were not answered")
    try:
        async with asyncio.timeout(_HANG_UP_S):
            for connection in connections:
                await connection.lost.wait()
    except TimeoutError:  # some do not take their answers
        for connection in connections:
            connection.abort()


async def _topics_exist(log: KafkaLog, destinations: Destinations) -> None:
    """Wait for the broker, and for somebody to create the topics."""
    said = ""
    while True:
        try:
            missing = set(destinations) - await log.topics(_METADATA_S)
        except KafkaException as error:
            problem = f"waiting for Kafka: {error.args[0].str()}"
        else:
            if not missing:
                return
            problem = f"waiting for topics that do not exist: {', '.join(sorted(missing))}"
        if problem != said:
            _log.warning("%s", problem)
            said = problem
        await asyncio.sleep(_RETRY_S)


async def _until(stop: asyncio.Event, work: Awaitable[None]) -> bool:
    """Do the work unless `stop` comes first. True when it is done."""
    task, stopped = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
    if task.done():
        task.result()
        return True
    task.cancel()
    return False


async def _publish(tally: Tally) -> None:
    while True:
        await asyncio.sleep(_PUBLISH_S)
        tally.publish()


def tls_context(tls: TlsServer) -> ssl.SSLContext | None:
    """TLS as set; None when it is off. Raises `MllpError` for files that cannot be used."""
    try:
        return server_context(tls)
    except TlsError as error:
        raise MllpError(f"mllp.tls {error}.") from None
