"""The floor: draining the topic of raw messages and splitting their bytes, and nothing else."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, TopicPartition

from connectors import topics
from connectors.settings import KafkaSettings


def messages_per_second(kafka: KafkaSettings, most: int) -> float:
    """Of one process that reads up to `most` raw messages and splits them into fields."""
    consumer = Consumer(
        kafka.client()
        | {
            "group.id": "tocsin-bench-floor",  # never joined
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        numbers = consumer.list_topics(topics.WIRE_HL7, timeout=30).topics[topics.WIRE_HL7]
        places = [TopicPartition(topics.WIRE_HL7, n, 0) for n in numbers.partitions]
        there = sum(consumer.get_watermark_offsets(p, timeout=30)[1] for p in places)
        consumer.assign(places)
        read, began = 0, time.perf_counter()
        while read < min(most, there):
            for message in consumer.consume(10_000, 1.0):
                if message.error() is None:
                    [segment.split(b"|") for segment in (message.value() or b"").split(b"\r")]
                    read += 1
        return read / (time.perf_counter() - began)
    finally:
        consumer.close()
