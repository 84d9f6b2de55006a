"""Reads what comes out of Tocsin: when each score and alert was in the log, and each hop before."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from confluent_kafka import Consumer, Message, TopicPartition

from connectors import contract, facts, topics
from connectors.settings import KafkaSettings
from streams.publisher import HEADER_HEARD

_TOPICS = (topics.FACTS, topics.SCORES, topics.ALERTS)


@dataclass(slots=True)
class Watched:
    """Times in seconds; the log's own clock is to the millisecond."""

    scores: int = 0
    alerts: int = 0
    first_score: float = 0.0  # epoch seconds
    last_score: float = 0.0
    messages: int = 0  # with facts; counted with the hops alone
    event_to_score_s: list[float] = field(default_factory=list)
    event_to_alert_s: list[float] = field(default_factory=list)
    heard_to_facts_s: list[float] = field(default_factory=list)
    facts_to_score_s: list[float] = field(default_factory=list)
    records: int = 0


class Watcher:
    """From the topics' ends on, in a thread of its own. `hops`: decode what is read, too."""

    def __init__(self, kafka: KafkaSettings, *, hops: bool) -> None:
        self.seen = Watched()
        self.scored = threading.Event()  # at least once
        self._hops = hops
        self._at: dict[tuple[int, int], float] = {}  # (partition, offset) of facts → logged at
        self._consumer = Consumer(
            kafka.client()
            | {
                "group.id": "tocsin-bench",  # never joined
                "enable.auto.commit": False,
                "fetch.message.max.bytes": 16_000_000,
                # The log's own times are what is counted: no request for each record.
                "fetch.min.bytes": 1_000_000,
                "fetch.wait.max.ms": 200,
            }
        )
        watched = _TOPICS if hops else _TOPICS[1:]
        places = [place for topic in watched for place in ends(self._consumer, topic)]
        self._consumer.assign(places)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True, name="watcher")
        self._thread.start()

    def _read(self) -> None:
        while not self._stop.is_set():
            for message in self._consumer.consume(1_000, 0.1):
                if message.error() is None:
                    self._count(message)

    def _count(self, message: Message) -> None:
        seen, logged = self.seen, message.timestamp()[1] / 1000
        match message.topic():
            case topics.FACTS:
                self._count_facts(message, logged)
            case topics.SCORES:
                seen.scores += 1
                self.scored.set()
                seen.first_score = min(seen.first_score or logged, logged)
                seen.last_score = max(seen.last_score, logged)
                _add(seen.event_to_score_s, message, logged)
                if self._hops:
                    log = contract.decode_score(message.value() or b"").log
                    began = self._at.get((log.partition, log.offset))
                    if began is not None:
                        seen.facts_to_score_s.append(logged - began)
            case topics.ALERTS:
                seen.alerts += 1
                _add(seen.event_to_alert_s, message, logged)

    def _count_facts(self, message: Message, logged: float) -> None:
        record = facts.decode(message.value() or b"")
        self._at[message.partition() or 0, message.offset() or 0] = logged
        self.seen.records += bool(record.messages)
        self.seen.messages += len(record.messages)
        self.seen.heard_to_facts_s += [logged - one.heard for one in record.messages]

    def close(self) -> Watched:
        """Stop; everything that was seen."""
        self._stop.set()
        self._thread.join(10.0)
        self._consumer.close()
        return self.seen


def ends(consumer: Consumer, topic: str) -> list[TopicPartition]:
    """Where each partition of a topic ends now."""
    found = []
    for number in sorted(consumer.list_topics(topic, timeout=30).topics[topic].partitions):
        place = TopicPartition(topic, number)
        _, place.offset = consumer.get_watermark_offsets(place, timeout=30)
        found.append(place)
    return found


def _add(latencies: list[float], message: Message, logged: float) -> None:
    headers = dict(message.headers() or ())
    heard = float(headers.get(HEADER_HEARD) or b"0")
    if heard:
        latencies.append(logged - heard)
