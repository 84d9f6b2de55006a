"""A log to write to and to read back: the fake, and a real broker."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from connectors.kafka import KafkaLog
from connectors.mllp.intake import Destinations
from connectors.settings import KafkaSettings
from streams.local import kafka as local_kafka
from streams.local.probes import ProbeError, kafka_round_trip
from streams.local.process import Pid, free_port, stop
from tests.integration.mllp.reading import create_topics, read_all
from tests.unit.mllp.fakes import FakeLog, Record


class Journal:
    """A log, the topics to use on it, and what a consumer finds there."""

    def __init__(
        self, log: FakeLog | KafkaLog, to: Destinations, read: Callable[[str], list[Record]]
    ) -> None:
        self.log, self.to, self.read = log, to, read


@pytest.fixture(params=["fake", pytest.param("kafka", marks=pytest.mark.kafka)])
async def journal(request: pytest.FixtureRequest, topic_prefix: str) -> AsyncIterator[Journal]:
    """One suite of tests for both: what holds for the fake must hold for the broker."""
    to = Destinations(topic_prefix + "wire.hl7", topic_prefix + "quarantine")
    if request.param == "fake":
        fake = FakeLog()
        yield Journal(fake, to, lambda topic: [r for r in fake.records if r.topic == topic])
        return
    bootstrap: str = request.getfixturevalue("kafka")
    create_topics(bootstrap, to)
    log = KafkaLog(KafkaSettings(bootstrap=bootstrap), client_id="test")
    try:
        yield Journal(log, to, lambda topic: read_all(bootstrap, topic))
    finally:
        await log.close()


class Broker:
    """A broker of one test's own, to be stopped and killed."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._ports = (free_port(), free_port())
        self.bootstrap = f"127.0.0.1:{self._ports[0]}"
        self._pid: Pid | None = None

    def start(self) -> None:
        """Start, or start again with the same log."""
        self._pid = local_kafka.start(self._home, *self._ports)
        end = time.monotonic() + 120
        while True:
            try:
                kafka_round_trip({"bootstrap.servers": self.bootstrap})
            except ProbeError:
                if time.monotonic() > end or not self._pid.alive():
                    raise
                time.sleep(0.2)
            else:
                return

    def pause(self) -> None:
        """It hangs: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a power cut does."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """End it, in whatever state it is."""
        if self._pid is not None and self._pid.alive():
            self._signal(signal.SIGCONT)
            stop([self._pid])

    def _signal(self, number: signal.Signals) -> None:
        assert self._pid is not None
        os.kill(self._pid.pid, number)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that the tests of a module may maltreat."""
    own = Broker(tmp_path_factory.mktemp("broker"))
    own.start()
    yield own
    own.stop()
