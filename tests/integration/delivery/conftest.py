"""`tocsin sinks` as a process on real Kafka and Redis, and the log as tests see it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import stamina
from confluent_kafka import OFFSET_END, Consumer, KafkaException, Producer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from connectors import contract, topics
from connectors.contract import Alert
from connectors.settings import KafkaSettings
from connectors.sinks import deliveries
from connectors.sinks.deliveries import Delivery
from streams.local import topics as topics_module
from streams.local.process import free_port
from tests.unit.sinks.alerts import alert
from tests.unit.sinks.conftest import mailbox, system, web
from tests.unit.sinks.peers import until

__all__ = ["mailbox", "system", "web"]  # fixtures
KEY = "11" * 32
PARTITIONS = KafkaSettings().partitions  # as usual: other tests of the run share the broker


class SinksProcess:
    """One `tocsin sinks`; may be killed and started again with the same settings."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self._home, self._port = home, free_port()
        self._environment = environment | {
            "TOCSIN_HOME": str(home),
            "TOCSIN_TELEMETRY__METRICS_PORT": str(self._port),
            "TOCSIN_IDENTITY__KEY": KEY,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.log_file = home / "sinks.log"

    def start(self) -> None:
        """Start, and wait until it reads."""
        with self.log_file.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streams.cli", "sinks"],
                env=self.environment,
                cwd=self._home,
                stdout=out,
                stderr=out,
            )
        until(self._is_ready)

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """For commands beside it."""
        root = str(Path(__file__).resolve().parents[3])
        return dict(os.environ) | self._environment | {"PYTHONPATH": root}

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self._port}/ready", timeout=10
            ) as answer:
                return bool(answer.status == 200)
        except OSError:
            time.sleep(0.05)
            return False

    def value(self, name: str, **labels: str) -> float:
        """A sample of its metrics; 0 for one that is not there yet."""
        samples = (s for f in text_string_to_metric_families(self.metrics()) for s in f.samples)
        return sum(
            s.value for s in samples if s.name == name and labels.items() <= s.labels.items()
        )

    def metrics(self) -> str:
        """Its page for Prometheus."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=30) as answer:
            return str(answer.read().decode())

    def kill(self) -> None:
        """As a power cut does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Ask it to end, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                assert self._process.wait(90) == 0, self.log
            finally:
                self._process.kill()
                self._process.wait()

    @property
    def log(self) -> str:
        """What it wrote."""
        return self.log_file.read_text() if self.log_file.exists() else ""


class Log:
    """`tocsin.alerts` to write to, and what was written since the test began."""

    def __init__(self, bootstrap: str) -> None:
        self._kafka = KafkaSettings(bootstrap=bootstrap)
        self._producer = Producer(self._kafka.client() | {"acks": "all"})
        self._readers: dict[str, Consumer] = {}
        self._read: dict[str, list[bytes]] = {}
        for topic in (topics.DELIVERIES, topics.FEEDBACK, topics.QUARANTINE, topics.AUDIT):
            self._open(topic)

    def _open(self, topic: str) -> None:
        reader = Consumer(self._kafka.client() | {"group.id": "test", "enable.auto.commit": False})
        places = []
        for number in reader.list_topics(topic, timeout=30).topics[topic].partitions:
            for attempt in stamina.retry_context(on=KafkaException):  # a new one has no leader yet
                with attempt:
                    place = TopicPartition(topic, number)
                    _, end = reader.get_watermark_offsets(place, timeout=30)
            places.append(TopicPartition(topic, number, end if end >= 0 else OFFSET_END))
        reader.assign(places)
        self._readers[topic], self._read[topic] = reader, []

    def write(self, *alerts: Alert) -> None:
        """As the worker does, each into its patient's partition."""
        for one in alerts:
            partition = topics.partition_of(one.patient, PARTITIONS)
            self._producer.produce(
                topics.ALERTS, contract.encode(one), key=one.patient, partition=partition
            )
        assert self._producer.flush(30) == 0

    def write_raw(self, value: bytes, topic: str = topics.ALERTS) -> None:
        """Something as it is."""
        self._producer.produce(topic, value)
        assert self._producer.flush(30) == 0

    def records(self, topic: str) -> list[bytes]:
        """Everything since the test began."""
        while batch := self._readers[topic].consume(500, 0.3):
            self._read[topic] += [m.value() or b"" for m in batch if m.error() is None]
        return self._read[topic]

    def deliveries(self, receiver: str) -> list[Delivery]:
        """What became of telling one receiver."""
        found = [deliveries.decode(raw) for raw in self.records(topics.DELIVERIES)]
        return [d for d in found if d.receiver == receiver]

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()


@pytest.fixture
def log(kafka: str) -> Iterator[Log]:
    """The run's broker, with Tocsin's topics."""
    topics_module.create(KafkaSettings(bootstrap=kafka, partitions=PARTITIONS))
    found = Log(kafka)
    yield found
    found.close()


Start = Callable[..., SinksProcess]


@pytest.fixture
def sinks(kafka: str, redis_url: str) -> Iterator[Start]:
    """Start a process with these receivers (and a routing, and more settings by variable)."""
    running: list[SinksProcess] = []
    with tempfile.TemporaryDirectory(prefix="tocsin-sinks-") as folder:

        def start(
            receivers: dict[str, dict[str, Any]], routing: str = "", **more: str
        ) -> SinksProcess:
            home = Path(folder) / uuid.uuid4().hex[:8]
            home.mkdir()
            environment = {
                "TOCSIN_KAFKA__BOOTSTRAP": kafka,
                "TOCSIN_REDIS__URL": redis_url,
                "TOCSIN_SINKS__GROUP": f"test-{uuid.uuid4().hex}",
                "TOCSIN_SINKS__RECEIVERS": json.dumps(receivers),
                **more,
            }
            if routing:
                (home / "routing.yaml").write_text(routing)
                environment["TOCSIN_SINKS__ROUTING"] = str(home / "routing.yaml")
            process = SinksProcess(home, environment)
            running.append(process)
            process.start()
            return process

        yield start
        for process in running:
            process.stop()


@pytest.fixture
def new_alert() -> Callable[..., Alert]:
    """Alerts that no other test uses."""

    def make(**changes: Any) -> Alert:
        own = {"alert_id": uuid.uuid4().hex[:24], "patient": f"p-{uuid.uuid4().hex[:8]}"}
        return alert(**(own | changes))

    return make
