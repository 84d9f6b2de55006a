"""Kafka and Redis for a local run: those that the settings name, otherwise started here."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from connectors.settings import KafkaSettings
from streams.local import kafka, redis
from streams.local.errors import LocalError
from streams.local.probes import ProbeError, kafka_round_trip, redis_round_trip
from streams.local.process import Pid, free_port, port_is_free, stop, tail
from streams.local.state import State, write_state
from streams.settings import Settings

_START_S = 120.0  # on a loaded machine; two seconds on an idle one
_RELEASE_S = 5.0
_STOP_S = 30.0  # Kafka flushes its logs


class Servers:
    """Finds or starts the two servers and knows which of them it started."""

    def __init__(
        self, settings: Settings, home: Path, state: State, progress: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._home = home
        self.state = state
        self._say = progress
        self.started: list[str] = []

    def kafka(self) -> str:
        """Bootstrap servers of a broker that works. Raises `LocalError`."""
        named = self._settings.kafka
        if named.bootstrap:
            self._check_kafka(named)
            return named.bootstrap
        port = self.state.ports.get("kafka", 0)
        if self._answers("kafka", lambda: _probe_kafka(port, 15.0)):
            return f"127.0.0.1:{port}"
        port = self._port("kafka")
        controller = self._port("kafka controller")
        self._say("starting Kafka")
        began = time.monotonic()
        self._launch("kafka", kafka.start(self._home, port, controller))
        self._until("kafka", kafka.log_file(self._home), lambda: _probe_kafka(port, 5.0))
        self._say(f"Kafka is ready on port {port} ({time.monotonic() - began:.1f} s)")
        return f"127.0.0.1:{port}"

    def redis(self) -> str:
        """URL of a Redis that works. Raises `LocalError`."""
        named = self._settings.redis.url.get_secret_value()
        if named:
            self._check_redis(named)
            return named
        port = self.state.ports.get("redis", 0)
        if self._answers("redis", lambda: redis_round_trip(_redis_url(port))):
            return _redis_url(port)
        port = self._port("redis")
        self._say("starting Redis")
        self._launch("redis", redis.start(self._home, port))
        self._until("redis", redis.log_file(self._home), lambda: redis_round_trip(_redis_url(port)))
        self._say(f"Redis is ready on port {port}")
        return _redis_url(port)

    def undo(self) -> None:
        """Stop what this object started."""
        for name in ("kafka", "redis"):
            if name in self.started and name in self.state.servers:
                stop_server(name, self.state.servers.pop(name))

    def _check_kafka(self, named: KafkaSettings) -> None:
        try:
            kafka_round_trip(named.client())
        except ProbeError as error:
            raise LocalError(
                f"kafka.bootstrap names {named.bootstrap}, which does not work: {error}. Start "
                "it, correct the setting, or leave it empty to have one started here."
            ) from None

    def _check_redis(self, named: str) -> None:
        try:
            probe = redis_round_trip(named)
        except ProbeError as error:
            raise LocalError(
                f"redis.url names {redacted(named)}, which does not work: {error}. Start it, "
                "correct the setting, or leave it empty to have one started here."
            ) from None
        if int(probe.version.split(".")[0]) < redis.OLDEST:
            raise LocalError(
                f"redis.url names {redacted(named)}, which is Redis {probe.version}: Tocsin needs "
                f"{redis.OLDEST} or later."
            )

    def _answers(self, name: str, probe: Callable[[], object]) -> bool:
        """Whether the server of an earlier `up` still works; a dead or deaf one is cleared."""
        pid = self.state.servers.get(name)
        if pid is None:
            return False
        if pid.alive():
            try:
                probe()
            except ProbeError as error:
                self._say(f"{name} does not work any more ({error}): starting it again")
                stop([pid], _STOP_S)
            else:
                return True
        else:
            self._say(f"{name} (pid {pid.pid}) has ended: starting it again")
        del self.state.servers[name]
        return False

    def _port(self, name: str) -> int:
        taken = frozenset(p for n, p in self.state.ports.items() if n != name)
        before = self.state.ports.get(name, 0)
        end = time.monotonic() + _RELEASE_S
        # A server that was killed a moment ago may still hold its port, and everything that
        # talks to it knows that address.
        while before and not port_is_free(before) and time.monotonic() < end:
            time.sleep(0.05)
        self.state.ports[name] = free_port(self.state.ports.get(name, 0), taken)
        return self.state.ports[name]

    def _launch(self, name: str, pid: Pid) -> None:
        self.state.servers[name] = pid
        self.started.append(name)
        # At once: `down` must find it even when this process is killed the next moment.
        write_state(self._home, self.state)

    def _until(self, name: str, log: Path, probe: Callable[[], object]) -> None:
        """Wait for a round trip. Raises `LocalError` when the server ends or takes too long."""
        end = time.monotonic() + _START_S
        while True:
            try:
                probe()
            except ProbeError as error:
                problem = str(error)
            else:
                return
            if not self.state.servers[name].alive():
                raise LocalError(f"{name} ended while starting ({tail(log, 2)}): see {log}.")
            if time.monotonic() > end:
                raise LocalError(
                    f"{name} did not start within {_START_S:.0f} s ({problem}): see {log}."
                )
            time.sleep(0.05)


def stop_server(name: str, pid: Pid) -> str:
    """Stop a server; what happened."""
    if stop([pid], _STOP_S):
        return f"stopped {name} (pid {pid.pid})"
    return f"{name} (pid {pid.pid}) had already ended"


def _probe_kafka(port: int, timeout_s: float) -> object:
    return kafka_round_trip({"bootstrap.servers": f"127.0.0.1:{port}"}, timeout_s)


def _redis_url(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


def redacted(url: str) -> str:
    """A URL without its password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))
