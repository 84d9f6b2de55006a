"""Keeps the identity vault complete: what messages say of people goes in, and a vault that was
emptied is filled again from the wire log, beside everything else."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import stamina
from confluent_kafka import Consumer, Message, TopicPartition
from redis import Redis
from redis import exceptions as redis_errors

from connectors.identity import Identity, IdentityKey, merged
from connectors.settings import KafkaSettings
from connectors.vault import VaultWriter

log = logging.getLogger("tocsin.sequencer")

_LOOK_S = 1.0  # between looks whether the vault was emptied


class VaultKeeping:
    """See the module. `everyone` gives whoever was ever named, from the log."""

    def __init__(
        self, redis: Redis, key: IdentityKey, everyone: Callable[[], Iterable[tuple[str, Identity]]]
    ) -> None:
        self._vault = VaultWriter(redis, key)
        self._everyone = everyone
        self._rebuilding: threading.Thread | None = None
        self._next_look = 0.0

    @stamina.retry(on=redis_errors.RedisError, attempts=None, timeout=None, wait_max=2.0)
    def keep(self, identities: Mapping[str, Identity]) -> None:
        """Store what is new in them. Waits for a store that is away."""
        now = time.monotonic()
        look = now >= self._next_look
        complete = self._vault.put(identities, look=look)
        if look:
            self._next_look = now + _LOOK_S
        if not complete and (self._rebuilding is None or not self._rebuilding.is_alive()):
            self._vault.forget()
            self._vault.put(identities)
            self._rebuilding = threading.Thread(target=self._rebuild, daemon=True)
            self._rebuilding.start()

    def _rebuild(self) -> None:
        log.info("the identity vault is not complete: reading identities from the wire log")
        identities: dict[str, Identity] = {}
        for pseudonym, identity in self._everyone():
            identities[pseudonym] = merged(identities.get(pseudonym), identity)
        self._vault.put_missing(identities)
        self._vault.mark_complete()
        log.info("the identity vault is complete: %d patients", len(identities))


def whole_log(kafka: KafkaSettings, group: str, names: Iterable[str]) -> Iterator[Message]:
    """Topics from their beginning to their end as of now. `group` is never joined."""
    reader = Consumer(kafka.client() | {"group.id": group, "enable.auto.commit": False})
    try:
        for topic in names:
            for number in reader.list_topics(topic, timeout=30).topics[topic].partitions:
                yield from _all_of(reader, TopicPartition(topic, number))
    finally:
        reader.close()


def _all_of(reader: Consumer, partition: TopicPartition) -> Iterator[Message]:
    low, high = reader.get_watermark_offsets(partition, timeout=30)
    partition.offset = at = low
    reader.assign([partition])
    while at < high:
        message = reader.poll(1.0)
        if message is not None and message.error() is None:
            at = (message.offset() or 0) + 1
            yield message
