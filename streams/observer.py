"""Counts what comes out of Tocsin, from outside: a reader of its topics."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from connectors import contract, facts, topics
from connectors.settings import KafkaSettings
from streams.publisher import HEADER_HEARD

_WATCHED = (topics.FACTS, topics.SCORES, topics.ALERTS, topics.QUARANTINE)


@dataclass(slots=True)
class Seen:
    """What was seen so far."""

    messages: int = 0  # messages that gave facts
    facts: int = 0
    scores: int = 0
    abstained: int = 0
    patients: set[str] = field(default_factory=set)  # with at least one score
    alerts: dict[str, contract.Alert] = field(default_factory=dict)  # newest revision by id
    alert_changes: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    event_to_score_s: list[float] = field(default_factory=list)
    event_to_alert_s: list[float] = field(default_factory=list)

    def by_state(self) -> dict[str, int]:
        """Alerts by their newest state."""
        return dict(Counter(str(alert.state) for alert in self.alerts.values()))

    def to_json(self) -> dict[str, Any]:
        """Counts and latencies in milliseconds."""
        return {
            "facts": self.facts,
            "messages_with_facts": self.messages,
            "scores": self.scores,
            "scores_abstained": self.abstained,
            "patients_scored": len(self.patients),
            "alerts": len(self.alerts),
            "alert_changes": self.alert_changes,
            "alerts_by_state": self.by_state(),
            "quarantined": sum(self.quarantined.values()),
            "quarantined_by_reason": dict(self.quarantined),
            "event_to_score_ms": percentiles(self.event_to_score_s),
            "event_to_alert_ms": percentiles(self.event_to_alert_s),
        }


class Observer:
    """Reads from the topics' ends on, in a thread of its own."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.seen = Seen()
        self.last_record = self.last_score = time.monotonic()  # when the newest was seen
        self._consumer = Consumer(
            kafka.client()
            | {
                "group.id": "tocsin-observer",  # never joined
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.message.max.bytes": 16_000_000,
            }
        )
        self._consumer.assign(self._ends())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True, name="observer")
        self._thread.start()

    def _ends(self) -> list[TopicPartition]:
        known = self._consumer.list_topics(timeout=30).topics
        places = []
        for topic in _WATCHED:
            for number in known[topic].partitions:
                place = TopicPartition(topic, number)
                _, place.offset = self._consumer.get_watermark_offsets(place, timeout=30)
                places.append(place)
        return places

    def _read(self) -> None:
        while not self._stop.is_set():
            for message in self._consumer.consume(1_000, 0.1):
                if message.error() is None and not _is_tick(message):
                    self.last_record = time.monotonic()
                    self._count(message)

    def _count(self, message: Message) -> None:
        seen, value = self.seen, message.value() or b""
        match message.topic():
            case topics.FACTS:
                record = facts.decode(value)
                seen.messages += len(record.messages)
                seen.facts += sum(len(m.facts) for m in record.messages)
            case topics.SCORES:
                score = contract.decode_score(value)
                if score.shadow:
                    return
                self.last_score = self.last_record
                seen.scores += 1
                seen.abstained += score.abstained is not None
                seen.patients.add(score.patient)
                _add_latency(seen.event_to_score_s, message)
            case topics.ALERTS:
                alert = contract.decode_alert(value)
                before = seen.alerts.get(alert.alert_id)
                seen.alert_changes += 1
                if before is None or before.revision < alert.revision:
                    seen.alerts[alert.alert_id] = alert
                _add_latency(seen.event_to_alert_s, message)
            case topics.QUARANTINE:
                seen.quarantined[contract.decode_quarantined(value).reason] += 1

    def close(self) -> Seen:
        """Stop reading; the final counts."""
        self._stop.set()
        self._thread.join(5.0)
        self._consumer.close()
        return self.seen


def _is_tick(message: Message) -> bool:
    return message.topic() == topics.FACTS and b'"messages"' not in (message.value() or b"")[:64]


def _add_latency(latencies: list[float], message: Message) -> None:
    """From when the message was heard to when the broker had what it caused."""
    headers = dict(message.headers() or ())
    heard = float(headers.get(HEADER_HEARD) or b"0")
    if heard:
        latencies.append(message.timestamp()[1] / 1000 - heard)


def percentiles(seconds: list[float]) -> dict[str, float] | None:
    """p50, p99 and max in milliseconds; None when there is nothing to speak of."""
    if not seconds:
        return None
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)

    return {"p50": at(0.5), "p99": at(0.99), "max": at(1.0), "n": len(ordered)}
