"""Kafka and Redis as Tocsin runs them, with one listener of Kafka for each process.

The address that a client learns from the broker is its own proxy's, so the network between one
process and the broker can be cut without the others noticing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from redis import Redis
from redis import exceptions as redis_errors

from streams.local import jars, jvm, redis
from streams.local.kafka import ONE_NODE
from streams.local.probes import ProbeError, kafka_round_trip
from streams.local.process import Pid, free_port, spawn, stop

OWN = "CHAOS"  # the listener that the harness itself uses, without a proxy
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={advertised}
listener.security.protocol.map={protocols},CONTROLLER:PLAINTEXT
inter.broker.listener.name={own}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
log.dirs={data}
log.segment.bytes=16777216
"""
_PATIENCE_S = 120.0


class Broker:
    """One broker. `listeners`: client → (port, the port that the client is told of)."""

    def __init__(self, home: Path, listeners: Mapping[str, tuple[int, int]]) -> None:
        self.home = home
        self.data = home / "kafka" / "data"
        self._own = free_port()
        self._listeners = {**listeners, OWN: (self._own, self._own)}
        self._pid: Pid | None = None
        self._mounted = False

    @property
    def bootstrap(self) -> str:
        """For the harness itself."""
        return f"127.0.0.1:{self._own}"

    def prepare(self, disk_mb: int | None = None) -> None:
        """Format the data folder; on a small disk of its own where root may mount one."""
        self.data.mkdir(parents=True)
        if disk_mb is not None:
            self._mounted = _mount(self.data, disk_mb)
        names = self._listeners.items()
        text = _PROPERTIES.format(
            listeners=",".join(f"{n}://127.0.0.1:{p}" for n, (p, _) in names),
            advertised=",".join(f"{n}://127.0.0.1:{p}" for n, (_, p) in names),
            protocols=",".join(f"{n}:PLAINTEXT" for n, _ in names),
            own=OWN,
            controller=free_port(),
            data=self.data / "log",
        )
        self._file.write_text(text + ONE_NODE)
        tool = self._java("kafka.tools.StorageTool")
        cluster = "Y2hhb3MtY2hhb3MtY2hhbw"  # 16 bytes in base64
        command = [*tool, "format", "-t", cluster, "-c", str(self._file)]
        subprocess.run(command, check=True, capture_output=True)

    @property
    def has_small_disk(self) -> bool:
        """Whether the data lie on a disk that can be filled."""
        return self._mounted

    @property
    def _file(self) -> Path:
        return self.home / "kafka" / "server.properties"

    def _java(self, main: str) -> list[str]:
        options = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        logging = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return [str(jvm.java()), *options, logging, "-cp", str(jars.require() / "*"), main]

    def start(self) -> None:
        """Start, and wait for a round trip."""
        log = self.home / "log" / "kafka.log"
        self._pid = spawn([*self._java("kafka.Kafka"), str(self._file)], log, dict(os.environ))
        wait_for(self._answers, "Kafka answers", _PATIENCE_S)

    def _answers(self) -> bool:
        try:
            kafka_round_trip({"bootstrap.servers": self.bootstrap}, 5.0)
        except ProbeError:
            return False
        return True

    def alive(self) -> bool:
        """Whether it runs."""
        return self._pid is not None and self._pid.alive()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        send(self._pid, number)

    def close(self) -> None:
        """End it, and take its disk away."""
        if self._pid is not None:
            self.signal(signal.SIGCONT)
            stop([self._pid], 1.0)
        if self._mounted:
            subprocess.run(["umount", "-l", str(self.data)], check=False)


def _mount(folder: Path, size_mb: int) -> bool:
    """A file system of that size in memory; False where that is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


class RedisServer:
    """One Redis, as `tocsin up` configures it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.port = free_port()
        self._pid: Pid | None = None
        self.client: Redis[Any] = Redis(port=self.port, socket_timeout=5.0)  # type: ignore[type-arg,unused-ignore]

    def start(self) -> None:
        """Start, and wait for an answer."""
        self._pid = redis.start(self._home, self.port)
        wait_for(self._answers, "Redis answers", _PATIENCE_S)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis_errors.RedisError:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        send(self._pid, number)

    def close(self) -> None:
        """End it."""
        self.client.close()
        if self._pid is not None:
            self.signal(signal.SIGCONT)
            stop([self._pid], 1.0)


def send(pid: Pid | None, number: signal.Signals) -> None:
    """A signal to a process that may have ended."""
    if pid is not None and pid.alive():
        with suppress(ProcessLookupError):
            os.kill(pid.pid, number)
    if number == signal.SIGKILL and pid is not None:
        wait_for(lambda: not pid.alive(), "the killed process is gone", _PATIENCE_S)


def wait_for(what: Callable[[], object], description: str, seconds: float) -> float:
    """Until it is true; how long that took. Raises `TimeoutError`."""
    start = time.monotonic()
    while not what():
        if time.monotonic() - start > seconds:
            raise TimeoutError(f"waited {seconds:g} s in vain until {description}")
        time.sleep(0.02)
    return time.monotonic() - start
