"""The parts of a benchmark, in order, on a Tocsin that runs already."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from redis import Redis

from connectors.replay.timed import Timed
from connectors.settings import KafkaSettings
from streams.bench import beside, naive, resources, restart, sender, traffic
from streams.bench.backlog import Backlog
from streams.bench.floor import messages_per_second
from streams.bench.resources import Machine, shares
from streams.bench.sender import Sent
from streams.bench.watcher import Watched, Watcher
from streams.local.up import Endpoints
from streams.observer import percentiles

Progress = Callable[[str], None]
_CURVE_S = 8.0  # of each step of the curve
_FLOOR_MESSAGES = 200_000
_FIRST = 200  # messages that wait for a worker that starts anew
CORES = psutil.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured."""

    patients: int = 2_000
    flood: int = 40_000  # messages at once
    rate: float = 500.0  # messages/s of the latency part
    seconds: float = 30.0  # its length
    curve: tuple[float, ...] = (1_000.0, 2_000.0, 4_000.0)  # messages/s of further steps

    naive: Path | None = None  # script of the obvious build
    naive_messages: int = 400
    workers: tuple[int, ...] = ()  # numbers of workers to measure the flood with, after the rest
    known: int = 0  # patients in the store for the start of a new worker; 0: not measured

    @property
    def live(self) -> int:
        """Messages that are needed."""
        floods = self.flood * (1 + len(self.workers) + bool(self.known)) + _FIRST
        return floods + int(self.rate * self.seconds + sum(self.curve) * _CURVE_S)


@dataclass(frozen=True, slots=True)
class _Burst:
    sent: Sent
    seen: Watched
    cpu_s: dict[str, float]  # by process, until nothing waited any more
    machine: dict[str, float]  # who had the cores meanwhile

    @property
    def throughput(self) -> float:
        """Messages a second, from the first byte at the socket to the last score in the log."""
        return self.sent.messages / (self.seen.last_score - self.sent.began)


class Bench:
    """One run."""

    def __init__(
        self,
        endpoints: Endpoints,
        kafka: KafkaSettings,
        plan: Plan,
        progress: Progress,
        again: Callable[[int], object],
    ) -> None:
        """`again` starts Tocsin's processes again, with so many workers, at the same place."""
        self._endpoints, self._kafka, self._plan, self._say = endpoints, kafka, plan, progress
        self._again = again
        self._home = Path(endpoints.home)
        self._redis = Redis.from_url(endpoints.redis)
        self._backlog = Backlog(kafka, self._redis)

    async def run(self) -> dict[str, Any]:
        """All parts; the figures by their names in the contract."""
        plan = self._plan
        self._say(f"making the traffic of {plan.patients} patients")
        made = traffic.make(plan.patients, plan.live, time.time() - 30 * 86_400)
        self._say(f"history: {len(made.history)} messages at once")
        cold = await self._burst(made.history)
        self._say(f"  {cold.throughput:.0f} messages/s; now {plan.flood} live ones at once")
        live = iter(made.live)
        flood = await self._burst([next(live) for _ in range(plan.flood)])
        self._say(f"  {flood.throughput:.0f} messages/s; now {plan.rate:g} a second")
        steady = [next(live) for _ in range(int(plan.rate * plan.seconds))]
        calm = await self._burst(steady, plan.rate, hops=True)
        figures = self._figures(cold, flood, calm)
        figures["curve"] = [self._step(plan.rate, calm)]
        for rate in plan.curve:
            self._say(f"{rate:g} a second")
            some = [next(live) for _ in range(int(rate * _CURVE_S))]
            figures["curve"].append(self._step(rate, await self._burst(some, rate)))
        self._say("floor: draining the topic")
        figures["floor_msg_s"] = round(messages_per_second(self._kafka, _FLOOR_MESSAGES), 1)
        if plan.naive is not None:
            self._say(f"the obvious build: {plan.naive_messages} messages")
            found = await naive.run(plan.naive, self._endpoints, plan.naive_messages)
            figures["naive_msg_s"] = found["messages_per_second"]
            figures["naive_cpu_ms_per_message"] = found["cpu_ms_per_message"]
            ratio = figures["throughput_msg_s"] / found["messages_per_second"]
            figures["throughput_by_naive"] = round(ratio, 1)
        if plan.known:
            figures["restart"] = await self._restarted(live)
        if plan.workers:
            figures["scaling"] = [await self._with_workers(n, live) for n in plan.workers]
        self._backlog.close()
        return figures

    async def _restarted(self, live: Iterator[Timed]) -> dict[str, Any]:
        """A new worker on a full store, then the flood again."""
        self._say(f"a new worker with {self._plan.known} patients in the store")
        partitions = self._kafka.partitions
        there = await asyncio.to_thread(restart.fill, self._redis, partitions, self._plan.known)
        some = [next(live) for _ in range(_FIRST)]
        found = await restart.first_score(self._home, self._kafka, self._endpoints.mllp, some)
        await self._backlog.drained()
        burst = await self._burst([next(live) for _ in range(self._plan.flood)])
        memory: dict[str, Any] = self._redis.info("memory")
        return {
            "patients": there,
            "redis_mb": round(memory["used_memory"] / 1e6),
            **found,
            "throughput_msg_s": round(burst.throughput, 1),
            "cpu_ms_per_message": _per_message(burst),
        }

    async def _with_workers(self, number: int, live: Iterator[Timed]) -> dict[str, Any]:
        """The flood again, with so many workers sharing the partitions."""
        self._say(f"{self._plan.flood} messages at once, workers: {number}")
        await asyncio.to_thread(self._again, number)
        burst = await self._burst([next(live) for _ in range(self._plan.flood)])
        lasted = burst.seen.last_score - burst.sent.began
        return {
            "workers": number,
            "throughput_msg_s": round(burst.throughput, 1),
            "cpu_ms_per_message": _per_message(burst),
            "cpu_share": {n: round(s / lasted, 3) for n, s in burst.cpu_s.items()},
        }

    async def _burst(
        self, messages: Sequence[Timed], rate: float | None = None, *, hops: bool = False
    ) -> _Burst:
        watcher = await asyncio.to_thread(lambda: Watcher(self._kafka, hops=hops))
        before, idle = resources.cpu_seconds(self._home), Machine.now()
        sent, _ = await asyncio.gather(
            sender.send(self._endpoints.mllp, messages, rate),
            beside.publish(self._kafka, list(beside.beside(messages)), rate),
        )
        await self._backlog.drained()
        after, busy = resources.cpu_seconds(self._home), Machine.now()
        await asyncio.sleep(1.0)  # what is in the store is published within this time
        seen = await asyncio.to_thread(watcher.close)
        cpu = {name: seconds - before.get(name, 0.0) for name, seconds in after.items()}
        return _Burst(sent, seen, cpu, shares(idle, busy, sum(cpu.values())))

    def _figures(self, cold: _Burst, flood: _Burst, calm: _Burst) -> dict[str, Any]:
        known = sum(1 for _ in self._redis.scan_iter("tocsin:*:patient:*", count=1_000))
        memory: dict[str, Any] = self._redis.info("memory")
        return {
            "patients": known,
            "throughput_msg_s": round(flood.throughput, 1),
            "throughput_messages": flood.sent.messages,
            "acknowledged_msg_s": round(flood.sent.messages / flood.sent.seconds, 1),
            "scores": flood.seen.scores,
            "cold_throughput_msg_s": round(cold.throughput, 1),
            "cpu_ms_per_message": _per_message(flood),
            # What the cores could do if they did nothing else, and what one worker could, which
            # has one core: where others ran at the same time these say more than the throughput.
            "capacity_msg_s": round(1000 * CORES / _per_message(flood)["all"], 1),
            "worker_capacity_msg_s": round(1000 / max(1e-9, _per_message(flood)["worker"]), 1),
            "cores": CORES,
            "cores_had": {"flood": flood.machine, "steady": calm.machine},
            "latency_at_msg_s": self._plan.rate,
            "event_to_alert_ms": percentiles(calm.seen.event_to_alert_s),
            "event_to_score_ms": percentiles(calm.seen.event_to_score_s),
            "ack_ms": percentiles(calm.sent.acks_s),
            "hops_ms": {
                "socket to answer": percentiles(calm.sent.acks_s),
                "heard to facts": percentiles(calm.seen.heard_to_facts_s),
                "facts to score": percentiles(calm.seen.facts_to_score_s),
            },
            "latency_by_percentile_ms": {
                "event → alert": _by_percentile(calm.seen.event_to_alert_s),
                "event → score": _by_percentile(calm.seen.event_to_score_s),
                "ACK": _by_percentile(calm.sent.acks_s),
            },
            "messages_per_record": round(calm.seen.messages / max(1, calm.seen.records), 2),
            "latency_cpu_ms_per_message": _per_message(calm),
            "resident_mb": resources.resident_mb(self._home),
            "redis_bytes_per_patient": round(memory["used_memory"] / max(1, known)),
        }

    def _step(self, rate: float, burst: _Burst) -> dict[str, Any]:
        lasted = burst.seen.last_score - burst.sent.began
        return {
            "sent_msg_s": rate,
            "scored_msg_s": round(burst.sent.messages / lasted, 1),
            "event_to_score_ms": percentiles(burst.seen.event_to_score_s),
            "event_to_alert_ms": percentiles(burst.seen.event_to_alert_s),
            "ack_ms": percentiles(burst.sent.acks_s),
            "cpu_share": {n: round(s / lasted, 3) for n, s in burst.cpu_s.items()},
        }


def _per_message(burst: _Burst) -> dict[str, float]:
    each = {n: round(1000 * s / burst.sent.messages, 4) for n, s in burst.cpu_s.items()}
    return each | {"all": round(sum(each.values()), 4)}


def _by_percentile(seconds: Sequence[float]) -> list[tuple[float, float]]:
    """(percentile, milliseconds), for a plot."""
    ordered = sorted(seconds)
    if not ordered:
        return []
    at = [*range(0, 100, 5), 96, 97, 98, 99, 99.5]
    last = len(ordered) - 1
    return [(p, round(1000 * ordered[min(last, int(p / 100 * len(ordered)))], 2)) for p in at]
