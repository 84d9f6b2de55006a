"""Measures the whole line on this machine: real Kafka, real Redis, every process, its own traffic.

Load generator, broker, store and Tocsin share the machine's cores, so the figures are what such a
machine does with everything on it. Ratios from one run mean more than absolute figures.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil
from redis import Redis

from connectors.mllp.client import MllpClient
from connectors.replay.deliver import Counts, Pace, deliver
from connectors.replay.timed import Timed
from connectors.settings import KafkaSettings
from connectors.simulator.hospital import Hospital
from streams.local.state import read_running, read_state
from streams.local.up import Endpoints
from streams.observer import Observer, Seen, percentiles

_QUIET_S = 2.0
_PATIENCE_S = 300.0
_CONNECTIONS = 8
_WINDOW = 200

Progress = Callable[[str], None]


def traffic(patients: int, messages: int, seed: int = 1) -> list[Timed]:
    """The same messages at every run with the same seed, all in the past."""
    start = time.time() - 30 * 86_400
    return list(itertools.islice(Hospital(seed, start, patients).messages(), messages))


async def measure(
    endpoints: Endpoints,
    kafka: KafkaSettings,
    *,
    patients: int,
    rate: float,
    seconds: float,
    flood: int,
    progress: Progress,
) -> dict[str, Any]:
    """Latency at `rate` messages/s, then throughput with `flood` messages sent at once."""
    steady = int(rate * seconds)
    progress(f"making {steady + flood} messages of {patients} patients")
    messages = traffic(patients, steady + flood)
    progress("warming up")
    await _send(endpoints, kafka, messages[:200], Pace())
    progress(f"latency: {rate:g} messages/s for {seconds:g} s")
    latency = await _send(endpoints, kafka, messages[200:steady], Pace(rate=rate))
    progress(f"throughput: {flood} messages at once")
    before = _cpu_seconds(endpoints)
    flooded = await _send(endpoints, kafka, messages[steady:], Pace())
    after = _cpu_seconds(endpoints)
    redis = Redis.from_url(endpoints.redis)
    known = sum(1 for _ in redis.scan_iter("tocsin:*:patient:*", count=1_000))
    return {
        "patients": patients,
        "latency_at_msg_s": rate,
        "event_to_score_ms": percentiles(latency.seen.event_to_score_s),
        "event_to_alert_ms": percentiles(latency.seen.event_to_alert_s),
        "ack_ms": percentiles(latency.acks),
        "throughput_msg_s": round(flooded.messages / flooded.seconds, 1),
        "throughput_messages": flooded.messages,
        "throughput_seconds": round(flooded.seconds, 2),
        "acknowledged_msg_s": round(flooded.messages / flooded.acknowledged_s, 1),
        "scores": flooded.seen.scores,
        "cpu_ms_per_message": {
            name: round(1000 * (after[name] - before.get(name, 0.0)) / flooded.messages, 4)
            for name in after
        },
        "resident_mb": _resident(endpoints),
        "redis_bytes_per_patient": round(redis.info("memory")["used_memory"] / max(1, known)),
    }


class _Run:
    """What one burst of traffic gave."""

    def __init__(
        self, messages: int, seconds: float, acknowledged_s: float, seen: Seen, acks: list[float]
    ) -> None:
        self.messages = messages
        self.seconds = seconds  # first message sent → last score confirmed
        self.acknowledged_s = acknowledged_s
        self.seen = seen
        self.acks = acks


async def _send(
    endpoints: Endpoints, kafka: KafkaSettings, messages: Iterable[Timed], pace: Pace
) -> _Run:
    observer = await asyncio.to_thread(Observer, kafka)
    host, _, port = endpoints.mllp.rpartition(":")
    counts = Counts()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(MllpClient(host, int(port), window=_WINDOW))
            for _ in range(_CONNECTIONS)
        ]
        began = time.monotonic()
        await deliver(messages, clients, pace=pace, counts=counts)
        acknowledged = time.monotonic() - began
        acks = [seconds for client in clients for seconds in client.stats.latencies]
    await asyncio.to_thread(_settle, observer, counts)
    last = observer.last_score - began
    seen = await asyncio.to_thread(observer.close)
    return _Run(counts.sent, last, acknowledged, seen, acks)


def _settle(observer: Observer, counts: Counts) -> None:
    """Until nothing more has come for a while."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        if time.monotonic() - observer.last_record > _QUIET_S:
            return
        time.sleep(0.1)
    raise TimeoutError(f"scores still come {_PATIENCE_S:g} s after {counts.sent} messages")


def _processes(endpoints: Endpoints) -> dict[str, psutil.Process]:
    home = Path(endpoints.home)
    pids = {name: pid.pid for name, pid in read_state(home).servers.items()}
    for name, running in read_running(home).items():
        if running.pid is not None:
            pids[name] = running.pid.pid
    return {name: psutil.Process(pid) for name, pid in pids.items()}


def _cpu_seconds(endpoints: Endpoints) -> dict[str, float]:
    found = {}
    for name, process in _processes(endpoints).items():
        times = process.cpu_times()
        found[name] = times.user + times.system
    return found


def _resident(endpoints: Endpoints) -> dict[str, int]:
    return {n: round(p.memory_info().rss / 1e6) for n, p in _processes(endpoints).items()}
