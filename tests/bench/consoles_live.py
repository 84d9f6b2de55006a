"""Alerts on many open consoles of the whole system: `python -m tests.bench.consoles_live`.

Starts everything as `tocsin up` does, sends a simulated hospital's traffic at a fixed rate, and
opens consoles without a browser (`tests.bench.viewers`). Each new alert that calls is timed twice:
from the broker's timestamp of its first revision, and from when the message that raised it was
heard, to when its row came to each console.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from confluent_kafka import Consumer, TopicPartition

from connectors import contract, topics
from connectors.simulator import run as simulator
from streams import settings as settings_module
from streams.bench.watcher import ends
from streams.local.up import Endpoints, down, up
from streams.publisher import HEADER_HEARD
from tests.bench.consoles import Viewers


class Alerts:
    """When each new alert was written, and when its message was heard (epoch seconds)."""

    def __init__(self, bootstrap: str) -> None:
        self.written: dict[str, float] = {}
        self.heard: dict[str, float] = {}
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench"})
        places = ends(self._consumer, topics.ALERTS)
        self._consumer.assign([TopicPartition(p.topic, p.partition, p.offset) for p in places])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while not self._stop.is_set():
            for message in self._consumer.consume(100, 0.2):
                alert = contract.decode_alert(message.value() or b"")
                if alert.revision == alert.called and alert.alert_id not in self.written:
                    self.written[alert.alert_id] = message.timestamp()[1] / 1000
                    heard = dict(message.headers() or ()).get(HEADER_HEARD)  # type: ignore[arg-type]
                    if heard:
                        self.heard[alert.alert_id] = float(heard)

    def end(self) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()


def main() -> None:
    """Start, warm up, open the consoles, measure, stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--patients", type=int, default=500)
    parser.add_argument("--rate", type=float, default=200.0, help="messages a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tocsin-consoles-") as home:
        settings = settings_module.load(home=Path(home))
        try:
            endpoints = up(settings, progress=print)
            result = measured(endpoints, options)
        finally:
            down(settings.home)
    print(json.dumps(result, indent=1))  # noqa: T201


def measured(endpoints: Endpoints, options: argparse.Namespace) -> dict[str, object]:
    """Traffic in a thread; the consoles are opened when the patients' history is in."""
    what = simulator.Run(
        patients=options.patients, speed=None, rate=options.rate, duration=options.seconds + 60
    )
    host, _, port = endpoints.mllp.rpartition(":")
    counts = simulator.Counts()
    sending = threading.Thread(
        target=lambda: asyncio.run(simulator.run(what, host, int(port), counts=counts)),
        daemon=True,
    )
    sending.start()
    settle(counts, options.rate)
    viewers = Viewers(endpoints.console, options.viewers)
    alerts = Alerts(endpoints.kafka)
    before = counts.acknowledged
    psutil.cpu_percent()
    time.sleep(options.seconds)
    busy, sent = psutil.cpu_percent(), counts.acknowledged - before
    alerts.end()
    time.sleep(3)
    told = [viewer["seen"] for viewer in viewers.end()]
    return {
        "viewers": len(told),
        "patients": options.patients,
        "messages_per_second": round(sent / options.seconds, 1),
        "machine_busy_percent": busy,
        "alerts": len(alerts.written),
        "written_to_screen_s": delays(alerts.written, told),
        "heard_to_screen_s": delays(alerts.heard, told),
    }


def settle(counts: simulator.Counts, rate: float) -> None:
    """Until the history has been sent and what waits has been scored: ten seconds at the rate."""
    calm = 0
    while calm < 10:
        before = counts.acknowledged
        time.sleep(1)
        calm = calm + 1 if 0 < counts.acknowledged - before < 1.5 * rate else 0


def delays(began: dict[str, float], told: list[dict[str, float]]) -> dict[str, float]:
    """Quantiles over all alerts and consoles; `missing` never came."""
    found = sorted(seen[key] - at for key, at in began.items() for seen in told if key in seen)
    missing = len(began) * len(told) - len(found)
    if not found:
        return {"missing": float(missing)}
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {n: round(found[int(q * (len(found) - 1))], 3) for n, q in at.items()} | {
        "n": float(len(found)),
        "missing": float(missing),
    }


if __name__ == "__main__":
    sys.exit(main())
