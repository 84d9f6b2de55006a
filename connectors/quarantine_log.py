"""What lies in quarantine, and what is done about it.

The items are in `tocsin.quarantine`, what was done in `tocsin.audit`, the bytes in `tocsin.wire.*`
(or in the item, when they never got there). Nothing else is kept: an item is *open* unless it was
sent again or discarded after it was last seen.

To send a message again means to append it to its wire topic once more. Facts do not depend on the
order in which they are learnt, so whatever came after it needs no care; doing it twice is harmless.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from connectors import contract, topics
from connectors.clock import Clock, iso
from connectors.contract import Quarantined
from connectors.settings import KafkaSettings

HEADER_REDRIVE = "redrive-of"  # the quarantine item that a wire record comes from
_TIMEOUT_S = 10.0


class State(StrEnum):
    """What became of an item."""

    OPEN = "open"
    REDRIVEN = "redriven"  # sent again, as it was or mended
    DISCARDED = "discarded"  # somebody decided that nothing of it is needed


class Handled(msgspec.Struct, frozen=True, kw_only=True):
    """A record of `tocsin.audit`: who did what about an item, and why. Never the content."""

    event: str  # "quarantine_redriven", "quarantine_discarded", "quarantine_unmasked"
    who: str
    at: str
    item: str
    why: str = ""
    was: str = ""  # SHA-256 of the bytes as received
    now: str = ""  # of the bytes sent again, where they were mended


_STATE_OF_EVENT = {
    "quarantine_redriven": State.REDRIVEN,
    "quarantine_discarded": State.DISCARDED,
}


@dataclass(slots=True)
class Item:
    """One thing that could not be understood."""

    record: Quarantined
    seen: float  # when it was written last, epoch seconds
    times: int = 1  # how often
    state: State = State.OPEN

    def place(self) -> tuple[str, int, int]:
        """Where the bytes lie in the log: the order in which messages came."""
        topic, _, rest = self.record.wire.partition("/")
        partition, _, offset = rest.partition("/")
        return (topic, int(partition), int(offset)) if offset else ("", 0, 0)


class LostError(Exception):
    """The bytes are not in the log any more."""


class QuarantineLog:
    """Reads and writes the quarantine through a broker. Raises `KafkaException` when it is away."""

    def __init__(self, kafka: KafkaSettings, clock: Clock) -> None:
        self._kafka = kafka
        self._clock = clock

    def items(self) -> list[Item]:
        """All items, oldest first, each once."""
        found: dict[str, Item] = {}
        for message in self._everything(topics.QUARANTINE):
            record = contract.decode_quarantined(message.value() or b"")
            seen = message.timestamp()[1] / 1000
            known = found.get(record.id)
            found[record.id] = Item(record, seen, known.times + 1 if known else 1)
        for message in self._everything(topics.AUDIT):
            done = msgspec.json.decode(message.value() or b"{}")
            item = found.get(done.get("item", ""))
            state = _STATE_OF_EVENT.get(done.get("event", ""))
            if item and state and message.timestamp()[1] / 1000 >= item.seen:
                item.state = state
        return sorted(found.values(), key=lambda item: item.seen)

    def raw(self, item: Item) -> tuple[bytes, list[tuple[str, bytes]]]:
        """The bytes as received, and their headers. Raises `LostError`."""
        if item.record.raw_base64:
            return base64.b64decode(item.record.raw_base64), []
        topic, partition, offset = item.place()
        if not topic:
            raise LostError("the item says neither where its bytes lie nor what they are")
        consumer = self._consumer()
        try:
            place = TopicPartition(topic, partition, offset)
            low, high = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)
            if not low <= offset < high:
                raise LostError(f"{topic} no longer holds offset {offset} of partition {partition}")
            consumer.assign([place])
            while True:
                message = consumer.poll(_TIMEOUT_S)
                if message is None or message.error() is not None:
                    raise KafkaException(message.error() if message else KafkaError(-185))
                if message.offset() == offset:
                    headers = [(name, value or b"") for name, value in _headers(message)]
                    return message.value() or b"", headers
        finally:
            consumer.close()

    def redrive(
        self, items: Iterable[Item], who: str, why: str, mended: bytes | None = None
    ) -> Iterator[Item]:
        """Send again in the order in which the messages came; yields each item once it is stored.

        `mended` are other bytes in place of those received, of one item. The audit record follows
        the message: an interruption between the two sends it once more, which is harmless.
        """
        sent: set[tuple[str, int, int]] = set()
        for item in sorted(items, key=lambda i: (i.place(), i.seen)):
            raw, headers = self.raw(item)
            # Several items may come from one message: it is sent once.
            if not item.record.wire or item.place() not in sent:
                kept = [(n, v) for n, v in headers if n != HEADER_REDRIVE]
                kept = kept or [(topics.HEADER_SOURCE, item.record.source.encode())]
                topic = item.place()[0] or topics.WIRE_HL7
                value = raw if mended is None else mended
                self._append(topic, value, [*kept, (HEADER_REDRIVE, item.record.id.encode())])
                sent.add(item.place())
            now = "" if mended is None else _digest(mended)
            self._audit("quarantine_redriven", item, who, why, _digest(raw), now)
            item.state = State.REDRIVEN
            yield item

    def discard(self, item: Item, who: str, why: str) -> None:
        """Note that nothing of it is needed. The bytes stay in the log."""
        self._audit("quarantine_discarded", item, who, why)
        item.state = State.DISCARDED

    def note_unmasked(self, item: Item, who: str, why: str) -> None:
        """Note, before it happens, that somebody looks at patient data."""
        self._audit("quarantine_unmasked", item, who, why)

    # ── Kafka ───────────────────────────────────────────────────────────────────────────────

    def _audit(
        self, event: str, item: Item, who: str, why: str, was: str = "", now: str = ""
    ) -> None:
        record = Handled(
            event=event, who=who, at=iso(self._clock()), item=item.record.id, why=why, was=was,
            now=now,
        )  # fmt: skip
        self._append(topics.AUDIT, msgspec.json.encode(record), [])

    def _append(self, topic: str, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            failures.extend([error] if error is not None else [])

        producer = Producer(self._kafka.client() | {"acks": "all", "enable.idempotence": True})
        producer.produce(topic, value, headers=headers, on_delivery=delivered)  # type: ignore[arg-type]
        left = producer.flush(_TIMEOUT_S)
        if left or failures:
            raise KafkaException(failures[0] if failures else KafkaError(-185))

    def _consumer(self) -> Consumer:
        return Consumer(
            self._kafka.client()
            | {
                "group.id": "tocsin-quarantine",  # never joined: partitions are assigned by hand
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.message.max.bytes": 16_000_000,
            }
        )

    def _everything(self, topic: str) -> Iterator[Message]:
        """A topic from its beginning to its end as of now."""
        consumer = self._consumer()
        try:
            found = consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
            for number in found.partitions:
                place = TopicPartition(topic, number)
                low, high = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)
                place.offset = at = low
                consumer.assign([place])
                while at < high:
                    for message in consumer.consume(1_000, 0.5):
                        if message.error() is not None:
                            raise KafkaException(message.error())
                        at = (message.offset() or 0) + 1
                        if at <= high:
                            yield message
        finally:
            consumer.close()


def _headers(message: Message) -> Iterable[tuple[str, Any]]:
    return message.headers() or []  # type: ignore[return-value]


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
