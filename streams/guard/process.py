"""`tocsin guard` as a process: alerts and patients in, a roll-back out when it has to be."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition
from redis import Redis
from redis.exceptions import RedisError

from connectors import contract, metrics, topics
from connectors.clock import Clock, iso
from connectors.configuration import VersionState
from connectors.journal import Journal
from connectors.settings import KafkaSettings
from models.record import Presence
from streams import keys
from streams.codec import Summary
from streams.errors import UserError
from streams.guard.watch import Spent, Watch
from streams.policy import document
from streams.policy.desk import PolicyDesk
from streams.policy.document import Policy, PolicyError

log = logging.getLogger("tocsin.guard")

LOOK_S = 10.0
WHO = "tocsin guard"
_THERE = frozenset({Presence.PRESENT, Presence.ON_LEAVE, Presence.UNKNOWN})
_summary = msgspec.json.Decoder(Summary)


class BudgetEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A record of `tocsin.audit`: a ward is called more than it can bear, or no longer is."""

    event: str  # "alert_budget_exceeded", "alert_budget_kept"
    at: str
    budget: str
    calls: int
    calls_per_hour: float


class Guard:
    """Decides on what it is given; `run` below gives it the real thing."""

    def __init__(self, desk: PolicyDesk, journal: Journal, clock: Clock) -> None:
        self._desk, self._journal, self._clock = desk, journal, clock
        self._watch: Watch | None = None
        self._over: set[str] = set()
        self._published: dict[str, float] = {}

    def take(self, alerts: Iterable[tuple[float, bytes]]) -> None:
        """(time, record) of `tocsin.alerts`."""
        for at, raw in alerts:
            if self._watch is not None:
                try:
                    self._watch.take(contract.decode_alert(raw), at)
                except msgspec.MsgspecError:
                    log.warning("a record of %s cannot be read", topics.ALERTS)

    def look(self, patients: Mapping[str, int]) -> str:
        """Every few seconds; the reason when the policy in force was taken back, else ""."""
        now = self._clock()
        watch = self._follow(now)
        if watch is None:
            return ""
        watch.look(now, patients)
        for spent in watch.spent():
            self._tell(spent, now)
        verdict = watch.verdict()
        return verdict if verdict and self._halt(watch.version, verdict) else ""

    def _follow(self, now: float) -> Watch | None:
        """Watch over what is in force now."""
        version = self._desk.history().in_force
        if version is None or version.state is not VersionState.ACTIVE:
            self._watch = None
        elif self._watch is None or self._watch.version != version.name:
            self._watch = Watch(_read(version.policy), version.name, now)
            log.info("watching over version %s", version.name)
        return self._watch

    def _halt(self, version: str, verdict: str) -> bool:
        try:
            reason = f"halted, {verdict}"
            self._desk.roll_back(who=WHO, reason=reason, version=version, at_any_rate=True)
        except UserError as error:  # somebody was quicker, or Kafka is away: the next look tells
            log.warning("version %s was not taken back: %s", version, error)
            return False
        log.error("version %s was taken back: %s", version, verdict)
        metrics.counter("tocsin_guard_halts").add(1)
        self._watch = None
        return True

    def _tell(self, spent: Spent, now: float) -> None:
        name = spent.budget.name
        used = spent.calls / spent.budget.calls_per_hour
        labels = {"budget": name}
        before = self._published.get(name, 0.0)
        metrics.gauge("tocsin_alert_budget_used").add(used - before, labels)
        self._published[name] = used
        if spent.exceeded is (name in self._over):
            return
        (self._over.add if spent.exceeded else self._over.discard)(name)
        record = BudgetEvent(
            event="alert_budget_exceeded" if spent.exceeded else "alert_budget_kept",
            at=iso(now),
            budget=name,
            calls=spent.calls,
            calls_per_hour=spent.budget.calls_per_hour,
        )
        log.warning("%s: %d calls in an hour", record.event, spent.calls)
        self._journal.append(topics.AUDIT, msgspec.json.encode(record), [])


def _read(text: str) -> Policy:
    try:
        return document.read(text)
    except PolicyError:  # the workers set it aside, and go on with the one before
        return Policy()


def patients_by_ward(redis: Redis, partitions: int) -> dict[str, int]:
    """Who is there, by ward. Raises `RedisError`."""
    found: Counter[str] = Counter()
    for partition in range(partitions):
        summaries: Any = redis.hvals(keys.summaries(partition))
        for raw in summaries:
            summary = _summary.decode(raw)
            if summary.presence in _THERE:
                found[summary.ward] += 1
    return dict(found)


def run(
    guard: Guard,
    kafka: KafkaSettings,
    redis: Redis,
    stop: threading.Event,
    on_ready: Callable[[], None],
) -> None:
    """Until `stop`. Servers that are away are waited for."""
    consumer = Consumer(kafka.client() | {"group.id": "tocsin-guard", "enable.auto.commit": False})
    try:
        _assign_ends(consumer)
        on_ready()
        next_look = 0.0
        while not stop.is_set():
            batch = [m for m in consumer.consume(500, 0.5) if m.error() is None]
            guard.take((m.timestamp()[1] / 1_000, m.value() or b"") for m in batch)
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + LOOK_S
                _look(guard, redis, kafka.partitions)
    finally:
        consumer.close()


def _look(guard: Guard, redis: Redis, partitions: int) -> None:
    try:
        guard.look(patients_by_ward(redis, partitions))
    except (RedisError, UserError, KafkaException) as error:
        log.warning("nobody watches for the moment: %s", type(error).__name__)


def _assign_ends(consumer: Consumer) -> None:
    places = []
    for number in consumer.list_topics(topics.ALERTS, timeout=30).topics[topics.ALERTS].partitions:
        place = TopicPartition(topics.ALERTS, number)
        place.offset = consumer.get_watermark_offsets(place, timeout=30)[1]
        places.append(place)
    consumer.assign(places)
