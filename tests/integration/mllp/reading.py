"""Topics for a test, and everything that is in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.unit.mllp.fakes import Record

_PARTITIONS = 2


def create_topics(bootstrap: str, names: Iterable[str], *, max_bytes: int = 1_048_588) -> None:
    """Topics that take records of the size that brokers take by default."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    config = {"max.message.bytes": str(max_bytes)}
    futures = admin.create_topics([NewTopic(n, _PARTITIONS, 1, config=config) for n in names])
    for future in futures.values():
        future.result(timeout=60)


def read_all(bootstrap: str, topic: str) -> list[Record]:
    """Every record that is in a topic now; in order within a partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "read-all",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 10,
        }
    )
    try:
        records = []
        for number in range(_PARTITIONS):
            records += _read(consumer, TopicPartition(topic, number, 0))
        return records
    finally:
        consumer.close()


def _read(consumer: Consumer, partition: TopicPartition) -> list[Record]:
    _, end = consumer.get_watermark_offsets(partition, timeout=60)
    consumer.assign([partition])
    records: list[Record] = []
    while len(records) < end:  # plain topics: every offset holds a record
        message = consumer.poll(60)
        assert message is not None, "the broker does not give what it says it has"
        value, headers = message.value(), message.headers()
        assert message.error() is None, message.error()
        assert value is not None
        # confluent-kafka types headers as whatever `produce` takes; read, they are pairs
        pairs = cast(list[tuple[str, bytes]], headers or [])
        records.append(Record(partition.topic, value, {k: v.decode() for k, v in pairs}))
    return records
