"""One Apache Kafka broker in KRaft mode on loopback, its data in `<home>/kafka`."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import uuid
from pathlib import Path

from streams.local import jars, jvm
from streams.local.errors import LocalError
from streams.local.process import Pid, spawn, tail

# The same for whoever starts a broker of one node, whatever its listeners.
ONE_NODE = """\
# One node: what is replicated three times elsewhere is kept once, in few partitions.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
# By default six seconds, within which a dead worker's patients would not be scored.
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
# A facts record holds many messages.
message.max.bytes=10485760
replica.fetch.max.bytes=10485760
"""
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
log.dirs={data}
"""
_LOG = "-Dorg.slf4j.simpleLogger."
_LOGGING = (
    f"{_LOG}showDateTime=true",
    f"{_LOG}dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    f"{_LOG}showThreadName=false",
    # At "info" a start alone writes a thousand lines.
    f"{_LOG}defaultLogLevel=warn",
    f"{_LOG}log.kafka.server.BrokerServer=info",
    f"{_LOG}log.kafka.server.KafkaRaftServer=info",
)
# As measured: as fast for one node as the server's defaults, and it starts in two seconds.
_JVM_OPTIONS = (
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
)


def log_file(home: Path) -> Path:
    """Kafka's log."""
    return home / "log" / "kafka.log"


def start(home: Path, port: int, controller_port: int) -> Pid:
    """Start the broker (its port is open some two seconds later). Raises `LocalError`."""
    folder = home / "kafka"
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    properties = folder / "server.properties"
    text = _PROPERTIES.format(port=port, controller=controller_port, data=data)
    properties.write_text(text + ONE_NODE)
    _format(home)
    return spawn(_java("kafka.Kafka", str(properties)), log_file(home), dict(os.environ))


def _java(main: str, *arguments: str) -> list[str]:
    classes = str(jars.require() / "*")
    return [str(jvm.java()), *_JVM_OPTIONS, *_LOGGING, "-cp", classes, main, *arguments]


def _format(home: Path) -> None:
    """Format the data folder once; again when the first try was interrupted.

    The mark is written after formatting and before the first start: without it the folder
    cannot hold anything worth keeping.
    """
    folder = home / "kafka"
    data, mark = folder / "data", folder / "formatted"
    if mark.is_file() and (data / "meta.properties").is_file():
        return
    if mark.is_file() and data.is_dir() and any(data.iterdir()):
        raise LocalError(
            f"Kafka's data in {data} is damaged (meta.properties is missing): move the folder "
            "away and run `tocsin up` again, which starts with an empty log."
        )
    mark.unlink(missing_ok=True)
    shutil.rmtree(data, ignore_errors=True)
    cluster = _cluster_id()
    command = _java("kafka.tools.StorageTool", "format", "-t", cluster, "-c")
    run = subprocess.run(  # noqa: S603 - our own JVM with fixed arguments
        [*command, str(folder / "server.properties")], capture_output=True, text=True, check=False
    )
    if run.returncode:
        log = log_file(home)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            file.write(run.stdout + run.stderr)
        raise LocalError(f"Kafka's data folder could not be formatted: {tail(log, 1)} (see {log}).")
    mark.write_text(cluster)


def _cluster_id() -> str:
    """A random id in Kafka's form: 16 bytes in URL-safe base64 that do not look like an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
