"""Load for a long time: do memory, Redis and latency stay where they are?

`python -m tests.chaos.soak --minutes 60 --rate 100 --json soak.json`. A fixed number of patients is
heard of again and again, as in a hospital that is full; a tenth of them is discharged each minute
and others come. Who has left is packed in Redis after six minutes (`--rest-hours`), which by
default takes a day: an hour has to show it. Slopes are by least squares over the second half.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from connectors import topics
from connectors.hl7 import build
from streams import keys
from streams.publisher import HEADER_HEARD
from tests.acceptance.system import VITALS, WELL
from tests.chaos import ward
from tests.chaos.overload import applied, quantiles
from tests.chaos.sender import Ledger, send
from tests.chaos.servers import wait_for
from tests.chaos.system import PARTITIONS, System, running
from tests.chaos.ward import AUTHORITY, Message

_STRETCH_S = 30.0  # between samples


def _mrn(number: int) -> str:
    return f"S{number:08d}"


class Hospital:
    """Vital signs of a full house."""

    def __init__(self, beds: int) -> None:
        self._rng = random.Random(7)
        self._next = beds
        self.beds = list(range(beds))

    def exchange(self, share: float, now: float) -> list[Message]:
        """Somebody else lies in some of the beds: discharges and admissions."""
        found = []
        for bed in self._rng.sample(range(len(self.beds)), int(share * len(self.beds))):
            left, come = self.beds[bed], self._next
            self.beds[bed], self._next = come, come + 1
            found.append(Message(f"C{left}", ward.discharge(_mrn(left), now)))
            found.append(Message(f"C{come}", ward.admission(_mrn(come), now, self._rng)))
        return found

    def messages(self, count: int, now: float) -> list[Message]:
        """Of the next seconds, each with five values of somebody."""
        found = []
        for _ in range(count):
            mrn = _mrn(self._rng.choice(self.beds))
            found.append(Message(f"C{int(mrn[1:])}", self._report(mrn, now)))
        return found

    def _report(self, mrn: str, now: float) -> bytes:
        order = f"{mrn}-{self._rng.randrange(10**12)}"
        segments = build.message("ORU^R01", order, now)
        segments.append(build.pid([(mrn, AUTHORITY, "MR")], birth_date="19480101", sex="F"))
        segments.append(build.obr(("v", "Vitals", "L"), filler=order, observed=now, changed=now))
        names = ("heart rate", "respiration", "saturation", "systolic", "temperature")
        for place, name in enumerate(names, 1):
            code, unit = VITALS[name]
            value = round(WELL[name] * self._rng.uniform(0.95, 1.05), 1)
            segments.append(build.obx(code, value, set_id=place, unit=unit))
        return build.join(segments)


class Scores:
    """Heard → score in the log, of what is new."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "soak", "enable.auto.commit": False}
        )
        self._consumer.assign([TopicPartition(topics.SCORES, p, 0) for p in range(partitions)])

    def new(self) -> list[float]:
        found = []
        while messages := self._consumer.consume(5_000, 0.5):
            for message in messages:
                heard = float(dict(message.headers() or ()).get(HEADER_HEARD) or 0)
                if heard:
                    found.append(message.timestamp()[1] / 1000 - heard)
        return found

    def close(self) -> None:
        self._consumer.close()


def soak(system: System, minutes: float, rate: float, beds: int) -> Iterator[dict[str, Any]]:
    """A sample every half minute; in the end, what was sent is scored."""
    hospital, scores = Hospital(beds), Scores(system.kafka.bootstrap, PARTITIONS)
    came_and_went: list[Message] = []
    began = time.monotonic()
    number = 0
    try:
        while time.monotonic() - began < 60 * minutes:
            book = Ledger()
            rest = max(0, int(rate * _STRETCH_S) - len(came_and_went))
            messages = came_and_went + hospital.messages(rest, time.time())
            port = system.proxies["sender-mllp"].port
            system.loop.start(send(port, messages, _STRETCH_S, book)).result(10 * _STRETCH_S)
            number += 1
            came_and_went = [] if number % 2 else hospital.exchange(0.1, time.time())
            yield _sample(system, scores, book, time.monotonic() - began)
        wait_for(lambda: applied(system), "all is scored", 120.0)
    finally:
        scores.close()


def _sample(system: System, scores: Scores, book: Ledger, at: float) -> dict[str, Any]:
    memory: dict[str, Any] = system.redis.client.info("memory")  # type: ignore[assignment]
    kinds = redis_kinds(system.redis.client)
    return {
        "minute": round(at / 60, 2),
        "sent": len(book.acknowledged),
        "resident_mb": {n: p.resident() / 2**20 for n, p in system.processes.items()},
        "redis_mb": memory["used_memory"] / 2**20,
        "patients": kinds["unpacked"]["keys"],
        "redis_kinds": kinds,
        "cpu_s": {n: p.cpu_s() for n, p in system.processes.items()},
        "score_ms": quantiles(scores.new()),
        "ack_ms": quantiles(book.ack_s),
    }


def redis_kinds(client: Any) -> dict[str, dict[str, float]]:
    """Keys and MB: patients whose fields lie open, those who lie packed, and all lists."""
    kinds = {kind: {"keys": 0, "mb": 0.0} for kind in ("unpacked", "packed", "lists")}
    names = list(client.scan_iter(count=1_000))
    for start in range(0, len(names), 500):
        pipe = client.pipeline(transaction=False)
        for name in names[start : start + 500]:
            pipe.hexists(name, keys.PACKED_FIELD) if b":patient:" in name else pipe.exists(name)
            pipe.memory_usage(name)
        answers = pipe.execute()
        for name, is_packed, size in zip(
            names[start : start + 500], answers[::2], answers[1::2], strict=True
        ):
            kind = "lists"
            if b":patient:" in name:
                kind = "packed" if is_packed else "unpacked"
            kinds[kind]["keys"] += 1
            kinds[kind]["mb"] += (size or 0) / 2**20
    return kinds


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Per hour, of (minute, value): least squares over the second half."""
    half = samples[len(samples) // 2 :]
    if len(half) < 2:
        return 0.0
    x = sum(m for m, _ in half) / len(half)
    y = sum(v for _, v in half) / len(half)
    spread = sum((m - x) ** 2 for m, _ in half)
    return 60 * sum((m - x) * (v - y) for m, v in half) / spread


def slopes(samples: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What grows, and by how much an hour."""
    found = {
        f"{name} MB/h": slope([(s["minute"], s["resident_mb"][name]) for s in samples])
        for name in samples[0]["resident_mb"]
    }
    found["redis MB/h"] = slope([(s["minute"], s["redis_mb"]) for s in samples])
    for kind in samples[0]["redis_kinds"]:
        mb = [(s["minute"], s["redis_kinds"][kind]["mb"]) for s in samples]
        found[f"redis {kind} MB/h"] = slope(mb)
    for which in ("p50", "p99"):
        ms = [(s["minute"], s["score_ms"][which]) for s in samples if s["score_ms"]]
        found[f"score {which} ms/h"] = slope(ms)
    return {name: round(value, 2) for name, value in found.items()}


def _say(sample: dict[str, Any]) -> None:
    sizes = ", ".join(f"{n} {size:.0f} MB" for n, size in sample["resident_mb"].items())
    print(
        f"{sample['minute']:6.2f} min: {sample['sent']} sent, {sizes}, redis "
        f"{sample['redis_mb']:.1f} MB ({_kinds(sample)}), score {sample['score_ms']}",
        flush=True,
    )


def _kinds(sample: dict[str, Any]) -> str:
    kinds = sample["redis_kinds"].items()
    return ", ".join(f"{of['keys']} {kind} {of['mb']:.1f}" for kind, of in kinds)


def main() -> int:
    """Samples while it runs, slopes in the end."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second")
    parser.add_argument("--beds", type=int, default=500)
    parser.add_argument("--rest-hours", type=float, default=0.1, help="worker.rest_hours")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rest = {"TOCSIN_WORKER__REST_HOURS": str(options.rest_hours)}
    samples: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory(prefix="tocsin-chaos-") as folder,
        running(Path(folder), workers=1, disk_mb=None, environment=rest) as system,
    ):
        for sample in soak(system, options.minutes, options.rate, options.beds):
            samples.append(sample)
            _say(sample)
            _write(options.json, samples)
    print(json.dumps(slopes(samples), indent=1))
    return 0


def _write(file: Path | None, samples: list[dict[str, Any]]) -> None:
    """After each sample, so that what was measured outlives what goes wrong."""
    if file is not None:
        report = {"samples": samples, "slopes": slopes(samples)}
        file.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
