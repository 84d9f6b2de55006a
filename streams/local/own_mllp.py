"""A `tocsin mllp` of one's own, on a broker of one's own: a target for hostile traffic."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr

from streams.local import topics
from streams.local.environment import variables
from streams.local.errors import LocalError
from streams.local.process import Pid, free_port, spawn, stop, tail
from streams.local.up import start_servers
from streams.settings import ENVIRONMENT_PREFIX, Settings

_READY_S = 60.0
_ROOT = str(Path(__file__).resolve().parents[2])


class OwnServer(NamedTuple):
    """Where it is."""

    port: int
    process: Pid
    settings: Settings  # with the broker's address
    log: Path


@contextmanager
def own_mllp(settings: Settings) -> Iterator[OwnServer]:
    """Kafka, Redis and the server, stopped at the end. Raises `LocalError`."""
    with tempfile.TemporaryDirectory(prefix="tocsin-fuzz-") as folder:
        alone = settings.model_copy(
            update={
                "home": Path(folder),
                "kafka": settings.kafka.model_copy(update={"bootstrap": ""}),
                "redis": settings.redis.model_copy(update={"url": SecretStr("")}),
            }
        )
        with start_servers(alone) as (bootstrap, url):
            kafka = alone.kafka.model_copy(update={"bootstrap": bootstrap})
            topics.create(kafka)
            with mllp_on(alone, bootstrap, url) as server:
                yield server


@contextmanager
def mllp_on(settings: Settings, bootstrap: str, redis_url: str) -> Iterator[OwnServer]:
    """The server alone, on servers that run already and have the topics. Raises `LocalError`."""
    port = free_port()
    settings = Settings(
        home=settings.home,
        kafka={"bootstrap": bootstrap},
        redis={"url": redis_url},
        mllp={**settings.mllp.model_dump(exclude_unset=True), "host": "127.0.0.1", "port": port},
        telemetry={"trace_ratio": 0.0, "metrics_port": 0},
    )
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(ENVIRONMENT_PREFIX)}
    path = os.pathsep.join([_ROOT, *filter(None, [inherited.get("PYTHONPATH")])])
    log = settings.home / "log" / "mllp.log"
    command = [sys.executable, "-m", "streams.cli", "mllp"]
    process = spawn(command, log, inherited | variables(settings) | {"PYTHONPATH": path})
    try:
        _wait(port, process, log)
        yield OwnServer(port, process, settings, log)
    finally:
        stop([process])


def _wait(port: int, process: Pid, log: Path) -> None:
    end = time.monotonic() + _READY_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            if time.monotonic() > end or not process.alive():
                raise LocalError(f"the MLLP server did not start: {tail(log, 3)}") from None
            time.sleep(0.1)
        else:
            return
