"""Scores and alerts to Kafka; facts read back from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from connectors import topics
from connectors.kafka import AppendError, KafkaLog
from connectors.settings import KafkaSettings
from streams.partition import Output

# Nobody is called for a score, and each batch of records costs the broker a request.
_SCORES_LINGER_MS = 100.0
_PATIENCE_S = 5.0
HEADER_HEARD = "heard-at"  # epoch seconds: when the message that caused the record came in


class KafkaPublisher:
    """`Publisher` on a real broker. Made and used in one running event loop."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._log = KafkaLog(kafka, client_id="tocsin-worker")
        self._scores = KafkaLog(
            kafka, client_id="tocsin-worker-scores", linger_ms=_SCORES_LINGER_MS
        )
        self._kafka = kafka
        self._partitions = 0  # of facts; asked for when the first facts are handed on

    def publish(self, partition: int, outputs: Sequence[Output]) -> asyncio.Future[None]:
        """Done when the broker has confirmed them all; fails with `AppendError` otherwise."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        left = len(outputs)

        def confirmed(error: AppendError | None) -> None:
            nonlocal left
            left -= 1
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            elif not left:
                future.set_result(None)

        for output in outputs:
            headers = ((HEADER_HEARD, repr(output.heard)),)
            is_facts = output.topic == topics.FACTS  # for a patient of any partition
            place = partition if output.topic in topics.BY_PATIENT else -1
            log = self._scores if output.topic == topics.SCORES else self._log
            log.append(
                output.topic,
                output.value,
                headers,
                confirmed,
                key=output.key,
                partition=self._partition_of(output.key) if is_facts else place,
            )
        return future

    def _partition_of(self, patient: str) -> int:
        if not self._partitions:
            found = Producer(self._kafka.client()).list_topics(topics.FACTS, timeout=30)
            self._partitions = len(found.topics[topics.FACTS].partitions)
        return topics.partition_of(patient, self._partitions)

    async def close(self) -> None:
        """Wait a little for what is on its way; the outbox keeps the rest."""
        logs = (self._log, self._scores)
        await asyncio.gather(*(log.flush(5.0) for log in logs))
        await asyncio.gather(*(log.close() for log in logs))


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

    async def end(self, partition: int) -> int | None:
        """The offset that the next record will get; None while the broker does not answer."""
        consumer = Consumer(self._config)
        try:
            place = TopicPartition(topics.FACTS, partition)
            _, end = await asyncio.to_thread(consumer.get_watermark_offsets, place, _PATIENCE_S)
        except KafkaException:
            return None
        finally:
            consumer.close()
        return int(end)

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
