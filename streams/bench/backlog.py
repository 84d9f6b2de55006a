"""How much of what was sent still waits: before the sequencer, and before the workers."""

from __future__ import annotations

import asyncio
import time

from confluent_kafka import Consumer, TopicPartition
from redis import Redis

from connectors import topics
from connectors.sequencer_process import GROUP
from connectors.settings import KafkaSettings
from streams.bench.watcher import ends
from streams.positions import applied

_WIRE = (topics.WIRE_HL7, topics.WIRE_IMAGING, topics.WIRE_GENOMICS)
_LOOK_S = 0.1
_PATIENCE_S = 300.0


class Backlog:
    """Looks at the log's ends, the sequencer's commits and the positions in the store."""

    def __init__(self, kafka: KafkaSettings, redis: Redis) -> None:
        self._redis = redis
        self._consumer = Consumer(
            kafka.client() | {"group.id": GROUP, "enable.auto.commit": False}
        )  # asks for the group's commits and never joins it

    def messages(self) -> int:
        """Records of the wire log that the sequencer has not committed."""
        there = [place for topic in _WIRE for place in ends(self._consumer, topic)]
        asked = [TopicPartition(p.topic, p.partition) for p in there]
        done = self._consumer.committed(asked, timeout=30)
        return sum(
            end.offset - max(0, place.offset) for end, place in zip(there, done, strict=True)
        )

    def records(self) -> int:
        """Records of facts that are not in the store."""
        there = ends(self._consumer, topics.FACTS)
        done = applied(self._redis, [place.partition for place in there])
        return sum(place.offset - 1 - done.get(place.partition, -1) for place in there)

    async def drained(self) -> None:
        """Until nothing waits. Raises `TimeoutError`."""
        end = time.monotonic() + _PATIENCE_S
        while self.messages() or self.records():
            if time.monotonic() > end:
                raise TimeoutError(f"messages still wait after {_PATIENCE_S:g} s")
            await asyncio.sleep(_LOOK_S)

    def close(self) -> None:
        """Let go."""
        self._consumer.close()
