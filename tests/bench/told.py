"""How fast receivers are told of an alert: `python -m tests.bench.told`.

`tocsin sinks` on a Kafka and a Redis of its own, with four web services beside each other: two are
quick, one takes a second for each alert, one is switched off. Before that the same number of alerts
is told with the quick two alone. What the slow and the dead one cost the quick ones is the ratio.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import uuid
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import psutil

from connectors.settings import KafkaSettings
from streams.local import topics
from streams.local.up import start_servers
from streams.settings import Settings
from tests.integration.delivery.conftest import PARTITIONS, Log, SinksProcess
from tests.unit.sinks.alerts import alert
from tests.unit.sinks.peers import SECRET, WebPeer, until


class TimedPeer(WebPeer):
    """Notes when each alert came."""

    def __init__(self) -> None:
        super().__init__(SECRET)
        self.at: dict[str, float] = {}

    def take(self, request: BaseHTTPRequestHandler) -> None:
        super().take(request)
        self.at.setdefault(self.bodies[-1]["data"]["alerts"][0]["alert_id"], time.time())


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=200)
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tocsin-told-") as folder:
        home = Path(folder)
        settings = Settings(home=home, kafka={"bootstrap": ""}, redis={"url": ""})
        with start_servers(settings) as (bootstrap, redis_url):
            topics.create(KafkaSettings(bootstrap=bootstrap, partitions=PARTITIONS))
            found = {
                name: measured(home, bootstrap, redis_url, options, disturbed=name == "disturbed")
                for name in ("alone", "disturbed")
            }
    found["ratio_p50"] = round(found["disturbed"]["p50_ms"] / found["alone"]["p50_ms"], 2)
    print(json.dumps(found, indent=1))  # noqa: T201


def measured(
    home: Path, bootstrap: str, redis_url: str, options: Any, *, disturbed: bool
) -> dict[str, Any]:
    """Latencies of the two quick receivers, alert confirmed in the log → received."""
    peers = {name: TimedPeer() for name in ("first", "second", "slow", "dead")}
    for peer in peers.values():
        peer.start()
    peers["slow"].delay_s = 1.0
    peers["dead"].stop()
    names = peers if disturbed else ("first", "second")
    receivers = {n: {"kind": "webhook", "url": peers[n].url, "secret": SECRET} for n in names}
    own = home / uuid.uuid4().hex[:8]
    own.mkdir()
    process = SinksProcess(
        own,
        {
            "TOCSIN_KAFKA__BOOTSTRAP": bootstrap,
            "TOCSIN_REDIS__URL": redis_url,
            "TOCSIN_SINKS__GROUP": own.name,
            "TOCSIN_SINKS__RECEIVERS": json.dumps(receivers),
        },
    )
    process.start()
    log = Log(bootstrap)
    written = {}
    cpu = used(process)
    for _ in range(options.alerts):
        one = alert(alert_id=uuid.uuid4().hex[:24], patient=f"p-{uuid.uuid4().hex[:8]}")
        log.write(one)
        written[one.alert_id] = time.time()
        time.sleep(options.pause)
    quick = [peers["first"], peers["second"]]
    until(lambda: all(len(p.at) >= options.alerts for p in quick), 120)
    cpu = used(process) - cpu
    took = sorted(1000 * (p.at[a] - at) for p in quick for a, at in written.items())
    process.kill()
    log.close()
    for name, peer in peers.items():
        if name != "dead":
            peer.stop()
    return {
        "notices": len(took),
        "p50_ms": round(took[len(took) // 2], 1),
        "p99_ms": round(took[int(0.99 * len(took))], 1),
        "cpu_ms_a_notice": round(1000 * cpu / len(took), 2),
    }


def used(process: SinksProcess) -> float:
    """Processor seconds so far."""
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
