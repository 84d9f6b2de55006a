"""Alerts from the log, and what became of them back into it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import stamina
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.kafka import AppendError, KafkaLog
from connectors.settings import KafkaSettings
from streams.delivery.dispatcher import Record
from streams.delivery.progress import Place

_AT_ONCE: Final = 500
_IDLE_S: Final = 0.2
_REVOKE_S: Final = 30.0
# A consumer that begins anew, with no commit to go on from, tells what comes from now on: a year
# of old alerts would bury the new one.
_WITHOUT_COMMIT: Final = "latest"


class LogReader:
    """A member of the consumer group. Used in one event loop; librdkafka works beside it."""

    def __init__(
        self,
        kafka: KafkaSettings,
        group: str,
        topics: Sequence[str],
        revoked: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`revoked` is awaited before partitions go to another process."""
        self._loop = asyncio.get_running_loop()
        self._topics, self._revoked = list(topics), revoked
        self._consumer = Consumer(
            kafka.client()
            | {
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": _WITHOUT_COMMIT,
                "session.timeout.ms": 10_000,
                "fetch.wait.max.ms": 50,
            }
        )

    def start(self) -> None:
        """Join the group."""
        self._consumer.subscribe(self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke)

    @property
    def assigned(self) -> bool:
        """Is there something to read from?"""
        return bool(self._consumer.assignment())

    async def read(self) -> list[Record]:
        """What has come, within a moment. Raises `KafkaException` for what will not pass."""
        return [_to_record(m) for m in await asyncio.to_thread(self._consume)]

    async def commit(self, offsets: Mapping[Place, int]) -> None:
        """Everything before these has been dealt with."""
        if offsets:
            places = [TopicPartition(topic, n, at) for (topic, n), at in offsets.items()]
            await asyncio.to_thread(self._commit, places)

    async def close(self) -> None:
        """Leave the group."""
        await asyncio.to_thread(self._consumer.close)

    def _consume(self) -> list[Message]:
        first = self._consumer.poll(_IDLE_S)  # the first as soon as it is there
        if first is None:
            return []
        batch = [first, *self._consumer.consume(_AT_ONCE, 0)]
        for message in batch:
            error = message.error()
            if error is None or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                continue  # a topic that nobody has created yet is waited for
            if error.fatal() or not error.retriable():
                raise KafkaException(error)
        return [message for message in batch if message.error() is None]

    def _commit(self, places: list[TopicPartition]) -> None:
        try:
            self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            # Lost partitions, or a broker that is away: what was told is in the ledger.
            if error.args[0].fatal():
                raise

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Without a commit, begin at the end as of now, and write that down.

        Otherwise the end would be looked up anew after a restart, and what came between lost.
        """
        # A new topic has no leader for a moment.
        for attempt in stamina.retry_context(
            on=KafkaException, attempts=None, timeout=_REVOKE_S, wait_max=1.0
        ):
            with attempt:
                committed = consumer.committed(partitions, timeout=_REVOKE_S)
                for place in committed:
                    if place.offset < 0:
                        _, place.offset = consumer.get_watermark_offsets(place, timeout=_REVOKE_S)
                consumer.commit(offsets=committed, asynchronous=False)
        consumer.assign(committed)

    def _on_revoke(self, _: Consumer, __: list[TopicPartition]) -> None:
        if self._revoked is not None:
            asyncio.run_coroutine_threadsafe(_done(self._revoked), self._loop).result(_REVOKE_S)


async def _done(what: Callable[[], Awaitable[None]]) -> None:
    await what()


def _to_record(message: Message) -> Record:
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1] / 1000,
        message.value() or b"",
    )


class LogWriter:
    """`Writer` on a broker, for as long as it takes."""

    def __init__(self, log: KafkaLog) -> None:
        self._log = log

    async def write(self, topic: str, key: str, value: bytes) -> None:
        """Append a record. Raises `AppendError` for one that the broker will never take."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def confirmed(error: AppendError | None) -> None:
            if written.done():
                return
            if error is None:
                written.set_result(None)
            else:
                written.set_exception(error)

        headers: Any = ()
        self._log.append(topic, value, headers, confirmed, key=key)
        await written
