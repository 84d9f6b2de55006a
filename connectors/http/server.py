"""The HTTP server as a process: its socket, its broker, and how both begin and end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import KafkaException
from redis import Redis
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from connectors import serving, topics
from connectors.admission import Admission, keep_admitting
from connectors.clock import Clock
from connectors.http.intake import Intake
from connectors.http.port import application
from connectors.http.senders import Senders, SendersError
from connectors.kafka import KafkaLog, Log
from connectors.mllp.sources import SiteSources, keep_looking
from connectors.settings import AdmissionSettings, HttpSettings, KafkaSettings
from connectors.tls import TlsError, server_context

_log = logging.getLogger("tocsin.http")

DESTINATIONS: Final = frozenset((topics.WIRE_IMAGING, topics.WIRE_GENOMICS, topics.QUARANTINE))
_METADATA_S = 5.0
_RETRY_S = 0.5
_GRACE_S = 10.0  # how long a stop waits for the broker; after that, senders send again
_HEADERS_S = 20.0  # for a new connection to say what it wants


class HttpError(Exception):
    """The server cannot start; the message says why, and what to do."""


async def serve(
    settings: HttpSettings,
    kafka: KafkaSettings,
    *,
    clock: Clock,
    trace_ratio: float,
    on_ready: Callable[[str], None],
    stop: asyncio.Event,
    sources: SiteSources | None = None,
    admission: AdmissionSettings | None = None,
    redis: Redis | None = None,
) -> None:
    """Serve until `stop` is set; then answer what was taken, and return.

    `on_ready` gets the address when the broker has answered, the topics exist and the socket
    listens. A broker that is not there yet is waited for. Without `redis`, where the sequencers
    tell what waits, no answer is held back. Raises `HttpError`.
    """
    senders = _checked(settings)
    log = KafkaLog(kafka, client_id="tocsin-http")
    looks = [senders.look, *([sources.look] if sources else [])]
    looking = [asyncio.create_task(keep_looking(look)) for look in looks]
    slowing = Admission(admission or AdmissionSettings())
    looking.append(asyncio.create_task(keep_admitting(slowing, redis)))
    for task in looking:
        serving.needs(task, stop)
    try:
        if await _topics_exist(log, stop):
            intake = Intake(clock, trace_ratio, sources)
            await serve_into(log, settings, intake, senders, slowing, on_ready=on_ready, stop=stop)
    finally:
        for task in looking:
            task.cancel()
        await log.close()


async def serve_into(
    log: Log,
    settings: HttpSettings,
    intake: Intake,
    senders: Senders,
    admission: Admission,
    *,
    on_ready: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    """`serve`, with a log that is ready. Raises `HttpError`."""
    with contextlib.closing(_listen(settings)) as listener:
        url = serving.address(listener.getsockname()[0], listener, settings.tls)
        config = _config(application(log, settings, intake, senders, admission), settings)
        try:
            await serving.serve(config, listener, on_ready=lambda: on_ready(url), stop=stop)
        except serving.NotStartedError:
            raise HttpError("The server stopped while it was starting; see its log.") from None
        if not await log.flush(_GRACE_S):
            _log.warning("stopped with requests unconfirmed: their senders were not answered")


# ── uvicorn ─────────────────────────────────────────────────────────────────────────────────


class _Protocol(H11Protocol):
    """Hangs up on who connects and does not say what for."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.loop.call_later(_HEADERS_S, self._hang_up)

    def _hang_up(self) -> None:
        cycle: object = self.cycle  # None before the first request, whatever its annotation says
        if cycle is None and not self.transport.is_closing():
            self.transport.close()


def _config(app: Starlette, settings: HttpSettings) -> serving.ServerConfig:
    return serving.configured(
        app,
        settings.tls,
        http=_Protocol,
        ws="none",
        lifespan="off",
        limit_concurrency=settings.max_connections,
        timeout_graceful_shutdown=int(_GRACE_S),
    )


def _checked(settings: HttpSettings) -> Senders:
    """What is wrong with files is said before a broker is waited for. Raises `HttpError`."""
    try:
        server_context(settings.tls)
        return Senders(settings)
    except TlsError as error:
        raise HttpError(f"http.tls {error}.") from None
    except SendersError as error:
        raise HttpError(str(error)) from None


def _listen(settings: HttpSettings) -> socket.socket:
    try:
        return serving.bound(settings.host, settings.port)
    except OSError as error:
        raise HttpError(
            f"Cannot listen at {settings.host}:{settings.port} ({error.strerror}): set http.port "
            "to another port, or to 0 for any free one."
        ) from None


async def _topics_exist(log: KafkaLog, stop: asyncio.Event) -> bool:
    """Wait for the broker, and for somebody to create the topics; False: stopped meanwhile."""
    said = ""
    while not stop.is_set():
        problem = await _missing(log)
        if not problem:
            return True
        if problem != said:
            _log.warning("%s", problem)
            said = problem
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _RETRY_S)
    return False


async def _missing(log: KafkaLog) -> str:
    try:
        missing = DESTINATIONS - await log.topics(_METADATA_S)
    except KafkaException as error:
        return f"waiting for Kafka: {error.args[0].str()}"
    return f"waiting for topics that do not exist: {', '.join(sorted(missing))}" if missing else ""
