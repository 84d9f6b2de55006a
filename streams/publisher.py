"""Scores and alerts to Kafka, confirmations back to the event loop in batches."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from connectors import topics
from connectors.settings import KafkaSettings
from streams.partition import Output

HEADER_HEARD = "heard-at"  # epoch seconds: when the message that caused the record came in


class _Pending:
    """A batch of records on their way."""

    __slots__ = ("error", "future", "left")

    def __init__(self, future: asyncio.Future[None], left: int) -> None:
        self.future = future
        self.left = left
        self.error: KafkaError | None = None


class KafkaPublisher:
    """An idempotent producer; one thread polls it and hands confirmations over together."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._producer = Producer(
            kafka.client()
            | {
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 1,
                "message.timeout.ms": 0,  # the outbox keeps what is not confirmed: wait for ever
            }
        )
        self._loop = asyncio.get_running_loop()
        self._finished: deque[_Pending] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True, name="publisher")
        self._thread.start()

    def publish(self, partition: int, outputs: Sequence[Output]) -> asyncio.Future[None]:
        """Done when the broker has confirmed them all; fails with `KafkaException` otherwise."""
        pending = _Pending(self._loop.create_future(), len(outputs))

        def on_delivery(error: KafkaError | None, _: Message) -> None:
            pending.error = pending.error or error
            pending.left -= 1
            if not pending.left:
                self._finished.append(pending)

        for output in outputs:
            self._produce(partition, output, on_delivery)
        return pending.future

    def _produce(self, partition: int, output: Output, on_delivery: object) -> None:
        while True:
            try:
                self._producer.produce(
                    output.topic,
                    output.value,
                    key=output.key,
                    partition=partition,
                    headers={HEADER_HEARD: repr(output.heard).encode()},
                    on_delivery=on_delivery,  # type: ignore[arg-type]
                )
            except BufferError:  # the queue is full: let the polling thread make room
                self._producer.flush(0.1)
            else:
                return

    def _poll(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(0.05)
            finished = [self._finished.popleft() for _ in range(len(self._finished))]
            if finished:
                self._loop.call_soon_threadsafe(_settle, finished)

    def close(self) -> None:
        """Wait a little for what is on its way; the outbox keeps the rest."""
        self._producer.flush(5.0)
        self._stop.set()
        self._thread.join(2.0)


def _settle(finished: list[_Pending]) -> None:
    for pending in finished:
        if pending.future.done():
            continue
        if pending.error is None:
            pending.future.set_result(None)
        else:
            pending.future.set_exception(KafkaException(pending.error))


class KafkaFactsLog:
    """Reads a stretch of `tocsin.facts` outside any consumer group."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._config: dict[str, str | int | bool] = {
            **kafka.client(),
            "group.id": "tocsin-rebuild",  # never joined: partitions are assigned by hand
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": 16_000_000,
        }

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[tuple[int, bytes]]:
        """Records with start <= offset < end, in order, from the oldest that the log still has."""
        consumer = Consumer(self._config)
        try:
            place = TopicPartition(topics.FACTS, partition)
            oldest, newest = await asyncio.to_thread(consumer.get_watermark_offsets, place, 30)
            at, end = max(start, oldest), min(end, newest)
            consumer.assign([TopicPartition(topics.FACTS, partition, at)])
            while at < end:
                for message in await asyncio.to_thread(consumer.consume, 500, 0.2):
                    error, offset = message.error(), message.offset()
                    if error is not None or offset is None:
                        raise KafkaException(error)
                    at = offset + 1
                    if offset < end:
                        yield offset, message.value() or b""
        finally:
            consumer.close()
