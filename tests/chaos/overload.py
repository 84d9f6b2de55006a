"""Ten times what is carried, for a while: memory, senders, urgent alerts, recovery.

`python -m tests.chaos.overload --seconds 60`: first what is carried is measured, by sending at once
and waiting until all is scored. Then ten times as much is offered (`tests.chaos.flood`), while
every second a patient of whom nothing was heard before comes in dying over a line of its own, and
another one over a line that is flooded.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
from confluent_kafka import Consumer, TopicPartition

from connectors import contract, topics
from streams import keys
from streams.publisher import HEADER_HEARD
from tests.chaos import reference, ward
from tests.chaos.flood import Plan, Seen, digest, digests
from tests.chaos.sender import Ledger, send
from tests.chaos.servers import wait_for
from tests.chaos.system import PARTITIONS, ROOT, System, running
from tests.chaos.ward import Message

_MOST = (
    "tocsin_sequencer_oldest_seconds",
    "tocsin_worker_oldest_seconds",
    "tocsin_mllp_waiting",
    "tocsin_sequencer_backlog",
    "tocsin_answers_held",
)
_HELD = "tocsin_answers_held_seconds_total"
_RECOVERY_S = 400.0
_POOL = 400  # patients
_OWN_LINE, _FLOODED_LINE = 200_004, 300_000  # numbers of the first dying patients


@dataclass
class Report:
    """What was seen."""

    carried_s: float = 0.0  # messages a second
    offered_s: float = 0.0
    arrived: int = 0  # at the senders
    taken: int = 0  # acknowledged meanwhile
    late_s: float = 0.0  # how long what was sent last had waited at its sender
    reconnected: int = 0
    ack_ms: dict[str, float] = field(default_factory=dict)
    score_ms: dict[str, float] = field(default_factory=dict)  # heard → score in the log, of all
    urgent_ms: dict[str, float] = field(default_factory=dict)  # heard → alert in the log
    urgent_flooded_ms: dict[str, float] = field(default_factory=dict)  # likewise, of flooded lines
    resident_mb: dict[str, list[int]] = field(default_factory=dict)  # before, most
    most: dict[str, float] = field(default_factory=dict)  # of the gauges
    held: float = 0.0  # share of the time in which answers were held back
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
    """Memory and metrics, once a second, in a thread."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.before = self._resident()
        self.most = dict(self.before)
        self.gauges = dict.fromkeys(_MOST, 0.0)
        self.ended = False

    def _resident(self) -> dict[str, int]:
        return {name: p.resident() >> 20 for name, p in self._system.processes.items()}

    def watch(self) -> None:
        """Until `ended`."""
        while not self.ended:
            for name, size in self._resident().items():
                self.most[name] = max(self.most[name], size)
            for name, value in self.now():
                if name in self.gauges:
                    self.gauges[name] = max(self.gauges[name], value)
            time.sleep(1.0)

    def now(self) -> Iterator[tuple[str, float]]:
        """What every process says of itself."""
        for process in self._system.processes.values():
            try:
                text = httpx.get(f"http://127.0.0.1:{process.metrics}/metrics", timeout=2.0).text
            except httpx.HTTPError:
                continue
            for line in text.splitlines():
                if line.startswith("tocsin_"):
                    yield line.partition("{")[0].split(" ")[0], float(line.rpartition(" ")[2])


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
    system.loop.start(send(system.mllp, messages, 0.0, book, 8)).result(_RECOVERY_S)
    wait_for(lambda: applied(system), "all is scored", _RECOVERY_S)
    return len(messages) / (time.monotonic() - start)


def offered(plan: Plan) -> Seen:
    """What became of it, in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.chaos.flood"],
        input=msgspec.json.encode(plan),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        check=True,
    )
    return msgspec.json.decode(run.stdout, type=Seen)


def overload(system: System, options: argparse.Namespace) -> Report:
    """See the module."""
    report, seconds = Report(), options.seconds
    now = time.time()
    carried(system, crowd(0, 20, now))  # warm
    report.carried_s = carried(system, crowd(1_000, options.measure // 33, now))
    report.offered_s = options.times * report.carried_s
    own = [dying(_OWN_LINE + 6 * n, now) for n in range(int(seconds))]
    flooded = [dying(_FLOODED_LINE + 6 * n, now) for n in range(int(seconds))]
    plan = Plan(
        port=system.mllp,
        rate=report.offered_s,
        seconds=seconds,
        lines=options.lines,
        window=options.window,
        pool=[m.raw for m in crowd(10_000, _POOL, now)],
        urgent=[[m.raw for m in pair] for pair in flooded],
    )
    watcher, urgent = Watcher(system), Ledger()
    with ThreadPoolExecutor() as threads:
        watching = threads.submit(watcher.watch)
        flood = threads.submit(offered, plan)
        held, began, at = dict(watcher.now()).get(_HELD, 0.0), time.monotonic(), time.time()
        for number, pair in enumerate(own, 1):
            system.loop.start(send(system.mllp, pair, 0.0, urgent, 1))
            time.sleep(max(0.0, began + number - time.monotonic()))
        seen = flood.result()
        report.held = (dict(watcher.now()).get(_HELD, 0.0) - held) / (time.monotonic() - began)
        report.recovery_s = wait_for(lambda: applied(system), "all is scored", _RECOVERY_S)
        watcher.ended = True
        watching.result()
    acknowledged = digests(seen)
    report.arrived, report.taken, report.late_s = seen.arrived, len(acknowledged), seen.late_s
    report.reconnected, report.ack_ms = seen.reconnected, quantiles(seen.ack_s)
    report.urgent_ms = alerts(system, own)
    report.urgent_flooded_ms = alerts(system, flooded)
    report.score_ms = scores(system, at)
    report.resident_mb = {n: [watcher.before[n], watcher.most[n]] for n in watcher.before}
    report.most = {name: round(value, 1) for name, value in watcher.gauges.items()}
    acknowledged |= {digest(raw) for raw in urgent.acknowledged}
    report.lost = len(acknowledged - {digest(raw) for raw in values(system, topics.WIRE_HL7)})
    return report


def alerts(system: System, people: Sequence[Sequence[Message]]) -> dict[str, float]:
    """From heard to the first alert in the log, of each of those patients; and of how many."""
    names = {reference.pseudonym(system.key, messages[0].patient) for messages in people}
    first: dict[str, float] = {}
    for message in read(system, topics.ALERTS):
        alert = contract.decode_alert(message.value() or b"")
        if alert.patient in names and alert.patient not in first:
            first[alert.patient] = _waited(message)
    return quantiles(list(first.values())) | {"sent": len(people), "alerts": len(first)}


def scores(system: System, since: float) -> dict[str, float]:
    """From heard to the score in the log, of all that were written since then."""
    found = read(system, topics.SCORES)
    return quantiles([_waited(m) for m in found if m.timestamp()[1] / 1_000 >= since])


def _waited(message: Any) -> float:
    return float(message.timestamp()[1] / 1_000 - float(dict(message.headers())[HEADER_HEARD]))


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
    parser.add_argument("--times", type=float, default=10.0, help="of what is carried")
    parser.add_argument("--lines", type=int, default=8, help="connections that flood")
    parser.add_argument("--window", type=int, default=40, help="unanswered messages of each")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with (
        tempfile.TemporaryDirectory(prefix="tocsin-chaos-") as folder,
        running(Path(folder), workers=options.workers, disk_mb=None) as system,
    ):
        report = overload(system, options)
    print(json.dumps(report.__dict__, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
