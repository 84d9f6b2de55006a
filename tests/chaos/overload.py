"""Ten times what is carried, for a while: memory, senders, urgent alerts, recovery.

`python -m tests.chaos.overload --seconds 60`: first what is carried is measured, by sending at once
and waiting until all is scored. Then ten times as much is offered, while every second a patient of
whom nothing was heard before comes in dying, over a line of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from confluent_kafka import Consumer, TopicPartition

from connectors import contract, topics
from streams import keys
from streams.publisher import HEADER_HEARD
from tests.chaos import reference, ward
from tests.chaos.sender import Ledger, send
from tests.chaos.servers import wait_for
from tests.chaos.system import PARTITIONS, System, running
from tests.chaos.ward import Message

_LINES = 8
_GAUGES = ("tocsin_sequencer_oldest_seconds", "tocsin_worker_oldest_seconds", "tocsin_mllp_waiting")
_RECOVERY_S = 400.0


@dataclass
class Report:
    """What was seen."""

    carried_s: float = 0.0  # messages a second
    offered_s: float = 0.0
    taken: int = 0  # acknowledged while ten times as much was offered
    seconds: float = 0.0
    ack_ms: dict[str, float] = field(default_factory=dict)
    urgent_ms: dict[str, float] = field(default_factory=dict)  # heard → alert in the log
    urgent_sent: int = 0
    urgent_alerts: int = 0
    resident_mb: dict[str, list[int]] = field(default_factory=dict)  # before, most
    most: dict[str, float] = field(default_factory=dict)  # of the gauges
    recovery_s: float = 0.0  # from the end of the load until all is scored
    lost: int = 0


def crowd(first: int, patients: int, now: float) -> list[Message]:
    """A ward's messages, without what the oracle needs."""
    return ward.admit(first, first, now, patients=patients, results=30).messages


def dying(number: int, now: float) -> list[Message]:
    """One patient, admitted and dying, in two messages."""
    people = ward.admit(number, number - number % 6, now, patients=1, results=3)
    newest = next(m for m in people.messages if f"|{m.patient}-2-F|".encode() in m.raw)
    return [people.messages[0], newest]


class Watcher:
    """Memory and gauges, once a second, in a thread of the loop."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.before = self._resident()
        self.most = dict(self.before)
        self.gauges = dict.fromkeys(_GAUGES, 0.0)

    def _resident(self) -> dict[str, int]:
        return {name: p.resident() >> 20 for name, p in self._system.processes.items()}

    async def watch(self) -> None:
        async with httpx.AsyncClient(timeout=2.0) as client:
            while True:
                for name, size in self._resident().items():
                    self.most[name] = max(self.most[name], size)
                for process in self._system.processes.values():
                    await self._look(client, process.metrics)
                await asyncio.sleep(1.0)

    async def _look(self, client: httpx.AsyncClient, port: int) -> None:
        try:
            text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        except httpx.HTTPError:
            return
        for line in text.splitlines():
            name = line.partition("{")[0]
            if name in self.gauges:
                self.gauges[name] = max(self.gauges[name], float(line.rpartition(" ")[2]))


def applied(system: System) -> bool:
    """Whether the sequencer and the workers have done everything that is in the logs."""
    consumer = Consumer(
        {
            "bootstrap.servers": system.kafka.bootstrap,
            "group.id": "tocsin-sequencer",
            "enable.auto.commit": False,
        }
    )
    try:
        wires = [TopicPartition(topics.WIRE_HL7, p) for p in range(4)]
        for place in consumer.committed(wires, timeout=20):
            if max(0, place.offset) < consumer.get_watermark_offsets(place, timeout=20)[1]:
                return False
        for number in range(PARTITIONS):
            place = TopicPartition(topics.FACTS, number)
            end = consumer.get_watermark_offsets(place, timeout=20)[1]
            at = system.redis.client.hget(keys.position(number), "offset")
            if int(at or -1) + 2 < end:  # but for a tick of this moment
                return False
    finally:
        consumer.close()
    return True


def carried(system: System, messages: Sequence[Message]) -> float:
    """Messages a second, sent at once."""
    start = time.monotonic()
    book = Ledger()
    system.loop.start(send(system.proxies["sender-mllp"].port, messages, 0.0, book, _LINES)).result(
        _RECOVERY_S
    )
    wait_for(lambda: applied(system), "all is scored", _RECOVERY_S)
    return len(messages) / (time.monotonic() - start)


def overload(system: System, seconds: float, size: int) -> Report:
    """See the module."""
    report = Report()
    now, port = time.time(), system.proxies["sender-mllp"].port
    carried(system, crowd(0, 20, now))  # warm
    report.carried_s = carried(system, crowd(1_000, size // 33, now))
    watcher = Watcher(system)
    watching = system.loop.start(watcher.watch())
    report.offered_s = 10 * report.carried_s
    many = int(report.offered_s * seconds)
    messages: list[Message] = []
    for first in range(10_000, 99_000, 500):
        messages += crowd(first, 400, now)
        if len(messages) > many:
            break
    book, urgent = Ledger(), Ledger()
    flood = system.loop.start(send(port, messages[:many], seconds, book, _LINES))
    began = time.monotonic()
    people = [dying(200_004 + 6 * n, now) for n in range(int(seconds))]
    for pair in people:
        system.loop.start(send(port, pair, 0.0, urgent, 1))
        time.sleep(max(0.0, began + report.urgent_sent + 1 - time.monotonic()))
        report.urgent_sent += 1
    flood.cancel()
    report.seconds, report.taken = time.monotonic() - began, len(book.acknowledged)
    report.recovery_s = wait_for(lambda: applied(system), "all is scored", _RECOVERY_S)
    watching.cancel()
    names = {reference.pseudonym(system.key, pair[0].patient) for pair in people}
    waited = urgent_alerts(system, names)
    report.urgent_alerts = len(waited)
    report.urgent_ms, report.ack_ms = quantiles(waited), quantiles(book.ack_s)
    report.resident_mb = {n: [watcher.before[n], watcher.most[n]] for n in watcher.before}
    report.most = watcher.gauges
    report.lost = len(set(book.acknowledged) - set(values(system, topics.WIRE_HL7)))
    return report


def urgent_alerts(system: System, names: set[str]) -> list[float]:
    """Seconds from heard to the first alert in the log, of each of those patients."""
    first: dict[str, float] = {}
    for message in read(system, topics.ALERTS):
        alert = contract.decode_alert(message.value() or b"")
        if alert.patient in names and alert.patient not in first:
            heard = float(dict(message.headers() or ())[HEADER_HEARD])
            first[alert.patient] = message.timestamp()[1] / 1000 - heard
    return list(first.values())


def values(system: System, topic: str) -> list[bytes]:
    """Of a whole topic."""
    return [message.value() or b"" for message in read(system, topic)]


def read(system: System, topic: str) -> list[Any]:
    """A whole topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": system.kafka.bootstrap,
            "group.id": "overload",
            "enable.auto.commit": False,
        }
    )
    try:
        ends = {}
        for number in consumer.list_topics(topic, timeout=20).topics[topic].partitions:
            end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20)[1]
            if end:
                ends[number] = end
        consumer.assign([TopicPartition(topic, number, 0) for number in ends])
        found = []
        while ends:
            for message in consumer.consume(2_000, 0.5):
                found.append(message)
                if message.offset() + 1 >= ends.get(message.partition(), 0):
                    ends.pop(message.partition(), None)
        return found
    finally:
        consumer.close()


def quantiles(seconds: list[float]) -> dict[str, float]:
    """p50, p99 and the longest in milliseconds."""
    ordered = sorted(seconds)
    if not ordered:
        return {}
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {
        name: round(1_000 * ordered[min(len(ordered) - 1, int(q * len(ordered)))], 1)
        for name, q in at.items()
    }


def main() -> int:
    """Print what was seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--measure", type=int, default=10_000, help="messages to measure by")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with (
        tempfile.TemporaryDirectory(prefix="tocsin-chaos-") as folder,
        running(Path(folder), workers=options.workers, disk_mb=None) as system,
    ):
        report = overload(system, options.seconds, options.measure)
    print(json.dumps(report.__dict__, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
