"""The log, for tools that look at it and add to it now and then: synchronous, one client of each.

What runs all the time has its own way to Kafka (`connectors.kafka`, the sequencer, the worker).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import stamina
from confluent_kafka import (
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from connectors.settings import KafkaSettings

_TIMEOUT_S = 10.0
_MAX_RECORD_BYTES = 16_000_000  # the broker decides what it takes

# A topic that was just made, or whose leader has just gone: in a moment there is one.
_WITHOUT_LEADER = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})

Headers = list[tuple[str, bytes]]
Progress = Callable[[int, int], None]  # records read, records to read


class Stored(NamedTuple):
    """A record as the log holds it."""

    topic: str
    partition: int
    offset: int
    at: float  # epoch seconds: the record's timestamp
    value: bytes
    headers: Headers


class LostError(Exception):
    """The bytes are not in the log any more."""


class Journal(Protocol):
    """Raises `KafkaException` when the broker is away."""

    def read(
        self,
        topic: str,
        start: dict[int, int],
        since: float | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Stored]:
        """A topic up to its end as of now.

        Begins, partition by partition, at the offset in `start`; where that names none, with the
        first record of the time `since` (epoch seconds), or with the first there is.
        """
        ...

    def spans(
        self, topic: str, start: dict[int, int], since: float | None = None
    ) -> dict[int, tuple[int, int]]:
        """What `read` would read: of each partition with something to read, (first, end)."""
        ...

    def at(self, topic: str, partition: int, offset: int) -> Stored:
        """One record. Raises `LostError`."""
        ...

    def append(
        self,
        topic: str,
        value: bytes,
        headers: Headers,
        partition: int = -1,
        *,
        key: str | None = None,
    ) -> None:
        """Write a record; returns when the broker has it."""
        ...


class KafkaJournal:
    """`Journal` on a broker. Not for several threads at once."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._reader: Consumer | None = None
        self._writer: Producer | None = None

    def read(
        self,
        topic: str,
        start: dict[int, int],
        since: float | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Stored]:
        """A topic up to its end as of now."""
        reader = self._consumer()
        spans = self.spans(topic, start, since)
        total = sum(high - low for low, high in spans.values())
        if progress is not None:
            progress(0, total)
        done = 0
        reader.assign([TopicPartition(topic, n, low) for n, (low, _) in spans.items()])
        left = {number: high for number, (_, high) in spans.items()}
        heard = time.monotonic()
        while left:
            batch = reader.consume(1_000, 0.2)
            for message in batch:
                record = _stored(message)
                if record.offset < left.get(record.partition, 0):
                    done += 1
                    yield record
            if progress is not None:
                progress(done, total)
            # Not the offset of the last record: a log may end with places that hold none.
            for place in reader.position([TopicPartition(topic, n) for n in left]):
                if place.offset >= left[place.partition]:
                    del left[place.partition]
            heard = time.monotonic() if batch else heard
            if time.monotonic() - heard > _TIMEOUT_S:
                raise KafkaException(_timed_out())

    def spans(
        self, topic: str, start: dict[int, int], since: float | None = None
    ) -> dict[int, tuple[int, int]]:
        """Of each partition that has something to read: (first offset, end)."""
        reader = self._consumer()
        numbers = list(reader.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions)
        begin = dict(start)
        if since is not None:
            asked = [TopicPartition(topic, n, int(since * 1000)) for n in numbers if n not in start]
            for place in reader.offsets_for_times(asked, timeout=_TIMEOUT_S) if asked else []:
                if place.error is not None:
                    raise KafkaException(place.error)
                begin[place.partition] = place.offset
        found = {}
        for number in numbers:
            low, high = _ends(reader, TopicPartition(topic, number))
            first = begin.get(number, low)
            first = high if first == OFFSET_END else max(low, first)
            if first < high:
                found[number] = (first, high)
        return found

    def at(self, topic: str, partition: int, offset: int) -> Stored:
        """One record. Raises `LostError`."""
        reader = self._consumer()
        place = TopicPartition(topic, partition, offset)
        low, high = _ends(reader, place)
        if not low <= offset < high:
            raise LostError(f"{topic} no longer holds offset {offset} of partition {partition}")
        reader.assign([place])
        message = reader.poll(_TIMEOUT_S)
        if message is None:
            raise KafkaException(_timed_out())
        record = _stored(message)
        if record.offset != offset:
            raise LostError(f"{topic} no longer holds offset {offset} of partition {partition}")
        return record

    def append(
        self,
        topic: str,
        value: bytes,
        headers: Headers,
        partition: int = -1,
        *,
        key: str | None = None,
    ) -> None:
        """Write a record; returns when the broker has it."""
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            failures.extend([error] if error is not None else [])

        if self._writer is None:
            self._writer = Producer(
                self._kafka.client()
                | {
                    "acks": "all",
                    "enable.idempotence": True,
                    "message.max.bytes": _MAX_RECORD_BYTES,
                    # What could not be written in time is not written later, unseen.
                    "message.timeout.ms": int(_TIMEOUT_S * 1000),
                }
            )
        said: Any = headers
        self._writer.produce(
            topic, value, key=key, headers=said, partition=partition, on_delivery=delivered
        )
        left = self._writer.flush(_TIMEOUT_S + 1.0)
        if left or failures:
            raise KafkaException(failures[0] if failures else _timed_out())

    def close(self) -> None:
        """Let go."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _consumer(self) -> Consumer:
        if self._reader is None:
            self._reader = Consumer(
                self._kafka.client()
                | {
                    "group.id": "tocsin-quarantine",  # never joined: partitions by hand
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "fetch.message.max.bytes": _MAX_RECORD_BYTES,
                    # A request that waits for more at the end of a partition holds up the next.
                    "fetch.wait.max.ms": 10,
                }
            )
        return self._reader


def _passes(error: Exception) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in _WITHOUT_LEADER


@stamina.retry(on=_passes, attempts=None, timeout=_TIMEOUT_S, wait_max=0.5)
def _ends(reader: Consumer, place: TopicPartition) -> tuple[int, int]:
    """The first offset of a partition, and the one behind its last."""
    low, high = reader.get_watermark_offsets(place, timeout=_TIMEOUT_S)
    return low, high


def _timed_out() -> KafkaError:
    return KafkaError(KafkaError._TIMED_OUT)


def _stored(message: Message) -> Stored:
    error = message.error()
    if error is not None:
        raise KafkaException(error)
    pairs: Iterable[tuple[str, Any]] = message.headers() or []  # type: ignore[assignment]
    return Stored(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1] / 1000,
        message.value() or b"",
        [(name, value or b"") for name, value in pairs],
    )
