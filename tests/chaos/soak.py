"""Load for a long time: do memory, Redis and latency stay where they are?

`python -m tests.chaos.soak --minutes 60 --rate 100 --json soak.json`. A fixed number of patients is
heard of again and again, as in a hospital that is full; every tenth of them is exchanged for a new
one each minute. Slopes are by least squares over the second half, when caches are filled.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from connectors import topics
from connectors.hl7 import build
from streams import keys
from streams.publisher import HEADER_HEARD
from tests.acceptance.system import VITALS, WELL
from tests.chaos.overload import applied, quantiles
from tests.chaos.sender import Ledger, send
from tests.chaos.servers import wait_for
from tests.chaos.system import PARTITIONS, System, running
from tests.chaos.ward import AUTHORITY, Message

_STRETCH_S = 30.0  # between samples


class Hospital:
    """Vital signs of a full house."""

    def __init__(self, beds: int) -> None:
        self._rng = random.Random(7)
        self._next = beds
        self.beds = list(range(beds))

    def exchange(self, share: float) -> None:
        """Somebody else lies in some of the beds."""
        for bed in self._rng.sample(range(len(self.beds)), int(share * len(self.beds))):
            self.beds[bed], self._next = self._next, self._next + 1

    def messages(self, count: int, now: float) -> list[Message]:
        """Of the next seconds, each with five values of somebody."""
        found = []
        for _ in range(count):
            mrn = f"S{self._rng.choice(self.beds):08d}"
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


def soak(system: System, minutes: float, rate: float, beds: int) -> list[dict[str, Any]]:
    """A sample every half minute."""
    hospital, scores = Hospital(beds), Scores(system.kafka.bootstrap, PARTITIONS)
    samples: list[dict[str, Any]] = []
    began = time.monotonic()
    try:
        while time.monotonic() - began < 60 * minutes:
            book = Ledger()
            messages = hospital.messages(int(rate * _STRETCH_S), time.time())
            port = system.proxies["sender-mllp"].port
            system.loop.start(send(port, messages, _STRETCH_S, book)).result(10 * _STRETCH_S)
            if len(samples) % 2:
                hospital.exchange(0.1)
            samples.append(_sample(system, scores, book, time.monotonic() - began))
            _say(samples[-1])
        wait_for(lambda: applied(system), "all is scored", 120.0)
    finally:
        scores.close()
    return samples


def _sample(system: System, scores: Scores, book: Ledger, at: float) -> dict[str, Any]:
    memory: dict[str, Any] = system.redis.client.info("memory")  # type: ignore[assignment]
    return {
        "minute": round(at / 60, 2),
        "sent": len(book.acknowledged),
        "resident_mb": {n: p.resident() / 2**20 for n, p in system.processes.items()},
        "redis_mb": memory["used_memory"] / 2**20,
        "patients": sum(
            system.redis.client.hlen(keys.summaries(p))  # type: ignore[misc]
            for p in range(PARTITIONS)
        ),
        "score_ms": quantiles(scores.new()),
        "ack_ms": quantiles(book.ack_s),
    }


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
    kb = [(s["minute"], 1024 * s["redis_mb"] / max(1, s["patients"])) for s in samples]
    found["redis kB a patient/h"] = slope(kb)
    p50 = [(s["minute"], s["score_ms"]["p50"]) for s in samples if s["score_ms"]]
    found["score p50 ms/h"] = slope(p50)
    return {name: round(value, 2) for name, value in found.items()}


def _say(sample: dict[str, Any]) -> None:
    sizes = ", ".join(f"{n} {size:.0f} MB" for n, size in sample["resident_mb"].items())
    print(
        f"{sample['minute']:6.2f} min: {sample['sent']} sent, {sizes}, redis "
        f"{sample['redis_mb']:.1f} MB of {sample['patients']} patients, score {sample['score_ms']}",
        flush=True,
    )


def main() -> int:
    """Samples while it runs, slopes in the end."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second")
    parser.add_argument("--beds", type=int, default=500)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with (
        tempfile.TemporaryDirectory(prefix="tocsin-chaos-") as folder,
        running(Path(folder), workers=1, disk_mb=None) as system,
    ):
        samples = soak(system, options.minutes, options.rate, options.beds)
    grown = slopes(samples)
    print(json.dumps(grown, indent=1))
    if options.json:
        options.json.write_text(json.dumps({"samples": samples, "slopes": grown}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
