"""What a hop over Kafka costs, by how its records come: a broker of its own and two clients.

`python tests/bench/hop.py` writes 500 records a second of 1.7 kB to topics of 8 and of 4
partitions, as the sequencer writes facts: what came within a window is flushed together. The
reader is answered for each record, or once for all of a window. Milliseconds of processor time a
record, of the broker and of the two clients together.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import psutil
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from connectors.settings import KafkaSettings
from streams.local import kafka
from streams.local.process import free_port, stop

RATE = 500
RECORD = b"x" * 1_700
MUCH_BYTES = 1_000_000


class Way(NamedTuple):
    """How records come."""

    partitions: int
    window_ms: int
    collected: bool  # the broker answers the reader once for a window


WAYS = (Way(8, 5, False), Way(4, 5, False), Way(8, 15, True), Way(4, 15, True))


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def written(producer: Producer, topic: str, partitions: int, window_s: float, number: int) -> None:
    """So many records at the rate, flushed together by windows."""
    begun, done = time.perf_counter(), 0
    while done < number:
        due = min(number, int(RATE * (time.perf_counter() - begun)))
        for _ in range(done, due):
            producer.produce(topic, RECORD, partition=random.randrange(partitions))
        done = due
        producer.flush()
        time.sleep(window_s)


def measured(bootstrap: str, broker: psutil.Process, way: Way, seconds: float) -> str:
    client, topic = {"bootstrap.servers": bootstrap}, f"hop-{way.partitions}"
    fetch = {"fetch.wait.max.ms": 100}
    if way.collected:
        fetch = {"fetch.wait.max.ms": way.window_ms, "fetch.min.bytes": MUCH_BYTES}
    reader = Consumer(client | fetch | {"group.id": "hop", "enable.auto.commit": False})
    reader.assign([TopicPartition(topic, n) for n in range(way.partitions)])
    reader.poll(0.5)
    producer = Producer(client | {"acks": "all", "enable.idempotence": True, "linger.ms": 5})
    number, own = int(RATE * seconds), psutil.Process()
    before = cpu_s(broker), cpu_s(own)
    written(producer, topic, way.partitions, way.window_ms / 1_000, number)
    each = [1_000 * (cpu_s(p) - b) / number for p, b in zip((broker, own), before, strict=True)]
    reader.close()
    return (
        f"{way.partitions} partitions, window {way.window_ms:2} ms, "
        f"{'collected' if way.collected else 'each     '}: "
        f"broker {each[0]:.3f}, clients {each[1]:.3f} ms a record"
    )


def run(home: Path, seconds: float, rounds: int) -> None:
    port, controller = free_port(), free_port()
    bootstrap = f"127.0.0.1:{port}"
    pid = kafka.start(home, port, controller)
    try:
        admin = AdminClient(KafkaSettings(bootstrap=bootstrap).client())
        admin.list_topics(timeout=60.0)  # the broker answers
        made = [NewTopic(f"hop-{n}", n, 1) for n in sorted({way.partitions for way in WAYS})]
        for future in admin.create_topics(made).values():
            future.result()
        for _ in range(rounds):
            for way in WAYS:
                line = measured(bootstrap, psutil.Process(pid.pid), way, seconds)
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
    finally:
        stop([pid])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tocsin-hop-") as folder:
        run(Path(folder), given.seconds, given.rounds)
