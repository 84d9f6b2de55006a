"""What the console reads beside the workers' state (`streams.state_reader`): names from the vault,
live records from Kafka; and where it writes its audit."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from redis import Redis as SyncRedis
from redis import exceptions

from connectors import contract, topics
from connectors.clock import iso
from connectors.contract import Alert, FeedbackAnswer, Score
from connectors.identity import Identifier, Identity, IdentityKey
from connectors.settings import KafkaSettings
from connectors.vault import VaultReader
from streams.console.ports import Unavailable
from streams.event_log import finished

log = logging.getLogger("tocsin.console")

_answer = msgspec.json.Decoder(FeedbackAnswer)
_FEEDBACK = b'"event":"feedback"'


class KafkaAudit:
    """`ports.Audit`: a record counts as written when the broker has it."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._producer = Producer(kafka.client() | {"acks": "all", "enable.idempotence": True})

    async def note(self, event: str, who: str, more: Mapping[str, Any]) -> None:
        """Write a record. Raises `Unavailable`."""
        record = {"event": event, "who": who, "at": iso(time.time()), **more}
        await asyncio.to_thread(self.write, msgspec.json.encode(record))

    def write(self, record: bytes) -> None:
        """As `note`, of a record that is made already; waits."""
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            failures.extend([error] if error is not None else [])

        self._producer.produce(topics.AUDIT, record, on_delivery=delivered)
        if self._producer.flush(5.0) or failures:
            raise Unavailable("the audit log does not take records, so nothing is shown")


class AuditedNames:
    """`ports.Names` on the vault; the audit record is in Kafka before a name is shown."""

    def __init__(self, url: str, key: IdentityKey, audit: KafkaAudit) -> None:
        self._vault = VaultReader(SyncRedis.from_url(url), key, audit.write, time.time)
        self._key = key

    async def names(self, pseudonyms: Sequence[str], *, who: str) -> dict[str, Identity]:
        """Those that the vault knows. Raises `Unavailable` when the vault or the audit is away."""
        try:
            return await asyncio.to_thread(
                self._vault.names, list(pseudonyms), who=who, purpose="console"
            )
        except exceptions.RedisError as error:
            raise Unavailable("the identity vault does not answer") from error
        except ValueError:
            raise Unavailable("the identity vault was written with another key") from None

    async def resolve(self, identifier: Identifier, *, who: str) -> str | None:
        """The pseudonym of whom a number belongs to, where the vault knows the number.

        Raises `Unavailable` when the vault or the audit is away.
        """
        pseudonym = self._key.pseudonym(identifier)
        found = await self.names([pseudonym], who=who)
        known = found.get(pseudonym)
        return pseudonym if known is not None and identifier in known.identifiers else None


class KafkaFeed:
    """`ports.Feed` on `tocsin.alerts` and `tocsin.scores`, with the ticks as a sign of life."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._config: dict[str, str | int | bool] = {
            **kafka.client(),
            "group.id": "tocsin-console",  # never joined: every console reads everything
            "enable.auto.commit": False,
            "auto.offset.reset": "latest",
            # The broker answers when there is much, or after this: not for each record. A page
            # that is a tenth of a second behind is current.
            "fetch.min.bytes": 1_000_000,
            "fetch.wait.max.ms": 100,
        }
        self._last = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since any record of facts, scores or alerts."""
        return time.monotonic() - self._last

    async def subscribe(self) -> AsyncIterator[Alert | Score | FeedbackAnswer]:
        """Records from now on."""
        consumer = Consumer(self._config)
        try:
            await finished(asyncio.to_thread(_assign_ends, consumer))
            while True:
                for message in await finished(asyncio.to_thread(consumer.consume, 500, 0.1)):
                    if message.error() is not None:
                        continue
                    if message.topic() != topics.AUDIT:  # that is us as well
                        self._last = time.monotonic()
                    record = _read_record(message)
                    if record is not None:
                        yield record
        except (KafkaException, KeyError) as error:
            raise Unavailable("Kafka does not answer") from error
        finally:
            consumer.close()


def _read_record(message: Message) -> Alert | Score | FeedbackAnswer | None:
    """None for other topics, for scores of bundles on trial, and for bytes that are no record of
    ours: those are only logged."""
    value = message.value() or b""
    try:
        if message.topic() == topics.ALERTS:
            return contract.decode_alert(value)
        if message.topic() == topics.SCORES:
            score = contract.decode_score(value)
            return None if score.shadow else score
        if message.topic() == topics.AUDIT and _FEEDBACK in value:
            return _answer.decode(value)
    except msgspec.MsgspecError:
        log.warning("a record of %s cannot be read", message.topic())
    return None


def _assign_ends(consumer: Consumer) -> None:
    known = consumer.list_topics(timeout=30).topics
    places = []
    for topic in (topics.ALERTS, topics.SCORES, topics.FACTS, topics.AUDIT):
        all_of = known[topic].partitions
        # Of facts the ticks count, as a sign of life, and each partition has them.
        for partition in sorted(all_of)[:1] if topic == topics.FACTS else all_of:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
            places.append(TopicPartition(topic, partition, end))
    consumer.assign(places)
