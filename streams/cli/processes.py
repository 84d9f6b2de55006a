"""One process each, for real deployments: `tocsin mllp | imaging | http | sequencer | worker | …`.

Each runs in the foreground until SIGTERM or SIGINT, and serves `/ready` and `/metrics`.
Heavy imports stay inside the commands, so that a connector loads no torch.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable
from functools import partial

import typer

from connectors.clock import wall_clock
from connectors.identity import IdentityKey, load_key
from streams import settings as settings_module
from streams import telemetry
from streams.arrival import wait_for_broker
from streams.cli.sources import open_site
from streams.errors import UserError
from streams.settings import Settings
from streams.telemetry import Telemetry

app = typer.Typer()
log = logging.getLogger("tocsin")


def start(process: str) -> tuple[Settings, Telemetry]:
    settings = settings_module.load()
    if not settings.kafka.bootstrap:
        raise UserError(
            "No Kafka is named (TOCSIN_KAFKA__BOOTSTRAP or [kafka] bootstrap in tocsin.toml). "
            "`tocsin up` starts one and everything else on this machine."
        )
    try:
        return settings, telemetry.start(process, settings.telemetry)
    except OSError as error:
        port = settings.telemetry.metrics_port
        raise UserError(
            f"Port {port} for metrics cannot be used ({error.strerror}); "
            "set TOCSIN_TELEMETRY__METRICS_PORT to a free one, or 0 for any."
        ) from None


def key_of(settings: Settings) -> IdentityKey:
    try:
        return load_key(settings.identity.key.get_secret_value(), settings.home)
    except ValueError as error:
        raise UserError(f"The identity key cannot be used: {error}.") from None


def redis_url(settings: Settings) -> str:
    url = settings.redis.url.get_secret_value()
    if not url:
        raise UserError(
            "No Redis is named (TOCSIN_REDIS__URL or [redis] url in tocsin.toml). "
            "`tocsin up` starts one and everything else on this machine."
        )
    return url


def run_async(body: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run until the body ends or a signal asks it to."""

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await body(stop)

    asyncio.run(run())


@app.command()
def mllp() -> None:
    """Take in HL7 v2 over MLLP. Example: TOCSIN_MLLP__PORT=2575 tocsin mllp"""
    from redis import Redis  # noqa: PLC0415

    from connectors.mllp.server import MllpError, serve  # noqa: PLC0415  # what only it needs
    from connectors.mllp.sources import SiteSources  # noqa: PLC0415

    settings, probe = start("mllp")
    url = settings.redis.url.get_secret_value()
    # Redis tells which sources are paused and what waits; messages are taken in without it.
    redis = Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) if url else None
    sources = SiteSources(open_site(settings), redis)

    def on_ready(address: str) -> None:
        log.info("listening on %s", address)
        probe.set_ready()

    async def body(stop: asyncio.Event) -> None:
        await serve(
            settings.mllp,
            settings.kafka,
            clock=wall_clock,
            trace_ratio=settings.telemetry.trace_ratio,
            on_ready=on_ready,
            stop=stop,
            sources=sources,
            admission=settings.admission,
            redis=redis,
        )

    try:
        run_async(body)
    except MllpError as error:
        raise UserError(str(error)) from None


@app.command()
def imaging() -> None:
    """Take in what modalities and archives announce by DICOM, and ask the archive.

    Example: TOCSIN_IMAGING__PORT=11112 TOCSIN_ARCHIVE__URL=http://pacs/dicom-web tocsin imaging
    """
    from connectors.imaging.process import run  # noqa: PLC0415
    from connectors.tls import TlsError  # noqa: PLC0415

    settings, probe = start("imaging")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        run(settings.imaging, settings.archive, settings.kafka, wall_clock, stop, probe.set_ready)
    except OSError as error:
        raise UserError(
            f"The DICOM port {settings.imaging.port} cannot be used ({error.strerror}): "
            "set TOCSIN_IMAGING__PORT to a free one, or 0 for any."
        ) from None
    except TlsError as error:
        raise UserError(f"imaging.tls {error}.") from None


@app.command()
def http() -> None:
    """Take in FHIR, notices of archives, VCF and BED over HTTP.

    Example: TOCSIN_HTTP__PORT=8090 tocsin http
    """
    from redis import Redis  # noqa: PLC0415

    from connectors.http.server import HttpError, serve  # noqa: PLC0415  # what only it needs
    from connectors.mllp.sources import SiteSources  # noqa: PLC0415

    settings, probe = start("http")
    url = settings.redis.url.get_secret_value()
    # Redis tells which sources are paused and what waits; requests are taken in without it.
    redis = Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) if url else None

    def on_ready(address: str) -> None:
        log.info("listening on %s", address)
        probe.set_ready()

    async def body(stop: asyncio.Event) -> None:
        await serve(
            settings.http,
            settings.kafka,
            clock=wall_clock,
            trace_ratio=settings.telemetry.trace_ratio,
            on_ready=on_ready,
            stop=stop,
            sources=SiteSources(open_site(settings), redis),
            admission=settings.admission,
            redis=redis,
        )

    try:
        run_async(body)
    except HttpError as error:
        raise UserError(str(error)) from None


@app.command()
def sequencer() -> None:
    """Turn raw messages into facts. Example: tocsin sequencer"""
    from redis import Redis  # noqa: PLC0415

    from connectors.sequencer_process import SequencerProcess  # noqa: PLC0415
    from connectors.steady import SteadyClock  # noqa: PLC0415
    from streams.positions import applied  # noqa: PLC0415

    settings, probe = start("sequencer")
    site = open_site(settings)
    redis = Redis.from_url(redis_url(settings), socket_timeout=10, socket_connect_timeout=10)
    wait_for_broker(settings.kafka)
    process = SequencerProcess(
        settings.sequencer,
        settings.kafka,
        redis,
        key_of(settings),
        site,
        SteadyClock(),
        partial(applied, redis),
        two_person=settings.policy.two_person,
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    process.run(stop, probe.set_ready)


@app.command()
def worker() -> None:
    """Keep patients' state, score, raise alerts. Example: tocsin worker"""
    try:
        from models.bundle import BundleError, load_risks  # noqa: PLC0415  # torch
        from streams import worker as worker_module  # noqa: PLC0415
        from streams.trial import load_shadows  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UserError(
            f"The worker needs {error.name}: install the extra with `pip install 'tocsin[models]'`."
        ) from None
    settings, probe = start("worker")
    redis_url(settings)
    try:
        models = load_risks(settings.worker.bundles, settings.worker.risks)
    except BundleError as error:
        raise UserError(str(error)) from None
    shadows = load_shadows(settings.worker.shadow, models)

    async def body(stop: asyncio.Event) -> None:
        await worker_module.run(
            settings,
            models,
            on_ready=probe.set_ready,
            on_trouble=probe.set_trouble,
            stop=stop,
            shadows=shadows,
        )

    wait_for_broker(settings.kafka)
    run_async(body)
