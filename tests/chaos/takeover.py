"""How long patients of a killed worker wait for their first score by another one.

`python -m tests.chaos.takeover --kills 5`
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from connectors import topics
from tests.chaos import ward
from tests.chaos.sender import Ledger, send
from tests.chaos.system import PARTITIONS, System, running

_BEFORE_S, _AFTER_S = 2.0, 12.0  # of load
_PATIENCE_S = 90.0  # what was sent while nobody scored waits in the log


class _Watch:
    """When each partition's first score after a moment was in the log, by the broker's clock."""

    def __init__(self, bootstrap: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "takeover", "enable.auto.commit": False}
        )
        places = [TopicPartition(topics.SCORES, p) for p in range(PARTITIONS)]
        for place in places:
            _, place.offset = self._consumer.get_watermark_offsets(place, timeout=30)
        self._consumer.assign(places)

    def first_after(self, moment: float, until: float) -> dict[int, float]:
        found: dict[int, float] = {}
        while time.time() < until and len(found) < PARTITIONS:
            for message in self._consumer.consume(500, 0.05):
                at = message.timestamp()[1] / 1000
                if message.error() is None and at > moment:
                    found.setdefault(message.partition() or 0, at)
        return found

    def close(self) -> None:
        self._consumer.close()


def load(number: int) -> ward.Ward:
    """What is sent meanwhile: each partition hears something several times a second."""
    return ward.admit(number, 50_000 + 100 * number, time.time(), patients=40, results=24)


def measure(system: System, number: int, people: ward.Ward) -> float:
    """Kill a worker under load; seconds until each partition has a new score, the longest.

    The killed one is started again only afterwards. Raises `TimeoutError`.
    """
    book, watch = Ledger(), _Watch(system.kafka.bootstrap)
    load_s = _BEFORE_S + _AFTER_S
    sending = system.loop.start(
        send(system.proxies["sender-mllp"].port, people.messages, load_s, book)
    )
    victim = system.processes[f"worker{1 + number % 2}"]
    time.sleep(_BEFORE_S)
    victim.wanted = False
    killed = time.time()
    victim.signal(signal.SIGKILL)
    try:
        # What was told in the very moment of the death is not the successor's.
        first = watch.first_after(killed + 0.5, killed + _PATIENCE_S)
        if len(first) < PARTITIONS:
            raise TimeoutError(f"partitions without a score after {_PATIENCE_S:g} s")
        return max(first.values()) - killed
    finally:
        watch.close()
        sending.result(_PATIENCE_S)
        victim.wanted = True
        time.sleep(1.0)
        system.wait_ready()


def main() -> int:
    """Print each time, and the longest."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.takeover", description=__doc__)
    parser.add_argument("--kills", type=int, default=5)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="tocsin-chaos-") as folder, running(Path(folder)) as s:
        times = []
        for number in range(options.kills):
            times.append(measure(s, number, load(number)))
            print(f"kill {number + 1}: first score by the other worker after {times[-1]:.2f} s")
    print(f"median {sorted(times)[len(times) // 2]:.2f} s, longest {max(times):.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
