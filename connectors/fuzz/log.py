"""Reads the log back: raw messages, and what was set aside, each where its topic says."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from typing import Any, Final

from confluent_kafka import Consumer, Message, TopicPartition

from connectors import topics
from connectors.contract import decode_quarantined
from connectors.fuzz.reference import Fate
from connectors.quarantine import Reason
from connectors.settings import KafkaSettings

_FATES: Final = {
    Reason.EMPTY_FRAME: Fate.EMPTY,
    Reason.OVERSIZED: Fate.OVERSIZED,
    Reason.TRUNCATED: Fate.TRUNCATED,
}
_WAIT_S: Final = 20.0
_POLL_S: Final = 0.2
_BATCH: Final = 2_000

Offsets = dict[tuple[str, int], int]


class Reading:
    """A consumer without a group. Close it."""

    def __init__(self, kafka: KafkaSettings) -> None:
        config: dict[str, Any] = {
            **kafka.client(),
            "group.id": "tocsin-fuzz",
            "enable.auto.commit": False,
        }
        self._consumer = Consumer(config)

    def ends(self) -> Offsets:
        """Where both topics end now."""
        found: Offsets = {}
        for topic in (topics.WIRE_HL7, topics.QUARANTINE):
            for number in (
                self._consumer.list_topics(topic, timeout=_WAIT_S).topics[topic].partitions
            ):
                place = TopicPartition(topic, number)
                _, end = self._consumer.get_watermark_offsets(place, timeout=_WAIT_S)
                found[topic, number] = end
        return found

    def records(self, start: Offsets, end: Offsets) -> Iterator[tuple[Fate, bytes]]:
        """What is between; the bytes of what was set aside as they were kept. Raises `OSError`."""
        for (topic, number), stop in end.items():
            at = start.get((topic, number), 0)
            if at >= stop:
                continue
            self._consumer.assign([TopicPartition(topic, number, at)])
            while at < stop:
                for message in self._batch(topic, stop - at):
                    value = message.value() or b""
                    at = (message.offset() or 0) + 1
                    yield (Fate.WIRE, value) if topic == topics.WIRE_HL7 else _set_aside(value)

    def _batch(self, topic: str, most: int) -> list[Message]:
        """The next records: never more than `most`, at least one."""
        end = time.monotonic() + _WAIT_S
        while time.monotonic() < end:
            batch = self._consumer.consume(min(_BATCH, most), _POLL_S)
            for message in batch:
                error = message.error()
                if error is not None:
                    raise OSError(error.str())
            if batch:
                return batch
        raise OSError(f"{topic} does not give what it says it has")

    def close(self) -> None:
        """Leave."""
        self._consumer.close()


def _set_aside(value: bytes) -> tuple[Fate, bytes]:
    record = decode_quarantined(value)
    return _FATES.get(Reason(record.reason), Fate.REFUSED), base64.b64decode(record.raw_base64)
