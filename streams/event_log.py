"""`ports.EventLog` on Kafka: every stream reads the log on its own, from wherever it likes.

A place is written `a0.12-s0.1871`: the next offset of each partition of alerts (`a`) and scores.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable
from typing import Final, TypeVar

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from connectors import topics
from connectors.contract import is_shadow
from connectors.settings import KafkaSettings
from streams.console.ports import Event, PlaceError

_LETTERS: Final = {"a": topics.ALERTS, "s": topics.SCORES}
_KINDS: Final = {topics.ALERTS: "alert", topics.SCORES: "score"}
_PLACE: Final = re.compile(r"[as]\d{1,5}\.\d{1,18}(?:-[as]\d{1,5}\.\d{1,18})*")
_TIMEOUT_S = 10.0
_QUIET_S = 5.0  # None is given this often while nothing comes
_WAIT_S = 0.25

T = TypeVar("T")
Place = dict[tuple[str, int], int]  # (topic, partition) → next offset


def parse(text: str) -> Place:
    """The place that a text names. Raises `PlaceError`."""
    if not text:
        return {}
    if not _PLACE.fullmatch(text):
        raise PlaceError(text)
    place: Place = {}
    for part in text.split("-"):
        partition, _, offset = part[1:].partition(".")
        place[_LETTERS[part[0]], int(partition)] = int(offset)
    return place


def written(place: Place) -> str:
    """The inverse of `parse`."""
    letters = {topic: letter for letter, topic in _LETTERS.items()}
    ordered = sorted(place.items())
    return "-".join(f"{letters[topic]}{number}.{offset}" for (topic, number), offset in ordered)


class KafkaEvents:
    """A consumer of its own for each stream; none of them joins a group."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._config: dict[str, str | int | bool] = {
            **kafka.client(),
            "group.id": "tocsin-events",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",  # of what was asked for and is gone
        }

    def events(self, after: str) -> AsyncIterator[Event | None]:
        """Records behind a place, or from now on; see `ports.EventLog`."""
        return self._follow(parse(after))

    async def _follow(self, asked: Place) -> AsyncIterator[Event | None]:
        consumer = Consumer(self._config)
        try:
            place, gap = await finished(asyncio.to_thread(_begin, consumer, asked))
            if gap:
                yield Event(written(place), "gap", b"{}")
            quiet = 0.0
            while True:
                found = await finished(asyncio.to_thread(consumer.consume, 500, _WAIT_S))
                for message in found:
                    if message.error() is None and not is_shadow(message.value() or b""):
                        yield _event(message, place)
                quiet = 0.0 if found else quiet + _WAIT_S
                if quiet >= _QUIET_S:
                    quiet = 0.0
                    yield None
        except KafkaException:
            return  # the reader comes back with the id that it saw last
        finally:
            consumer.close()


async def finished(call: Awaitable[T]) -> T:
    """Wait for a call in another thread, to its end even when nobody waits any more: a consumer
    must not be closed while somebody consumes."""
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _begin(consumer: Consumer, asked: Place) -> tuple[Place, bool]:
    """Assign every partition; where it begins, and whether something asked for is gone."""
    place: Place = {}
    gap = False
    known = consumer.list_topics(timeout=_TIMEOUT_S).topics
    for topic in _KINDS:
        for number in known[topic].partitions:
            spot = TopicPartition(topic, number)
            low, high = consumer.get_watermark_offsets(spot, timeout=_TIMEOUT_S)
            wanted = asked.get((topic, number), low if asked else high)
            gap |= not low <= wanted <= high
            place[topic, number] = min(max(wanted, low), high)
    consumer.assign([TopicPartition(t, number, at) for (t, number), at in place.items()])
    return place, gap


def _event(message: Message, place: Place) -> Event:
    topic, number, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None and number is not None and offset is not None  # noqa: S101
    place[topic, number] = offset + 1
    return Event(written(place), _KINDS[topic], message.value() or b"")
