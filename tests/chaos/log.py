"""What is new in a topic since one looked last."""

from __future__ import annotations

from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition


class Record(NamedTuple):
    """One record."""

    partition: int
    offset: int
    value: bytes


class Tail:
    """Reads one topic from its beginning, stretch by stretch, outside any group."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._topic = topic
        self._at: dict[int, int] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "chaos",
                "enable.auto.commit": False,
                "fetch.message.max.bytes": 16_000_000,
                "fetch.wait.max.ms": 20,
                "log_level": 0,
                "reconnect.backoff.max.ms": 500,
            }
        )

    def new(self) -> list[Record]:
        """In order within a partition. Raises `KafkaException` while the broker is away."""
        known = self._consumer.list_topics(self._topic, timeout=5).topics[self._topic].partitions
        ends = {}
        for number in known:
            place = TopicPartition(self._topic, number)
            _, end = self._consumer.get_watermark_offsets(place, timeout=5)
            if end > self._at.get(number, 0):
                ends[number] = end
        self._consumer.assign([TopicPartition(self._topic, n, self._at.get(n, 0)) for n in ends])
        found: list[Record] = []
        at = dict(self._at)
        while any(at.get(number, 0) < end for number, end in ends.items()):
            for message in self._consumer.consume(1_000, 0.1):
                error = message.error()
                if error is not None:
                    raise KafkaException(error)
                number, offset = message.partition() or 0, message.offset() or 0
                if at.get(number, 0) <= offset < ends[number]:
                    found.append(Record(number, offset, message.value() or b""))
                    at[number] = offset + 1
        self._at = at
        return sorted(found)

    def close(self) -> None:
        """Let go."""
        self._consumer.close()
