"""The sequencer as a process: Kafka in, Kafka out, the vault beside, the clock on top."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from redis import Redis

from connectors import facts, metrics, record_size, topics, unmapped, wire
from connectors.ahead import Ahead, Positions
from connectors.backlog_line import BacklogLine
from connectors.clock import Clock
from connectors.decisions import Decided, Decisions
from connectors.facts import FactRecord
from connectors.feeds import Feeds
from connectors.identity import Identity, IdentityKey
from connectors.interpret import interpret
from connectors.interpretation import StudyToFetch
from connectors.lanes import Lanes
from connectors.raw_log import RawLog
from connectors.sequencer import Sequenced, Sequencer, headers_of, to_heard
from connectors.settings import KafkaSettings, SequencerSettings
from connectors.site import Site
from connectors.trace import checked
from connectors.urgency import is_urgent
from connectors.vault_keeping import VaultKeeping, whole_log
from connectors.wire import WireMessage

log = logging.getLogger("tocsin.sequencer")

GROUP = "tocsin-sequencer"
MAX_RECORD_BYTES = 16_000_000  # of the wire log, which may hold what an engine put there
_MUCH_BYTES = 1_000_000  # so much is worth an answer of its own
_WIRE = (topics.WIRE_HL7, topics.WIRE_IMAGING, topics.WIRE_GENOMICS)
_DECIDED = (topics.FEEDBACK, topics.CONFIG)  # by people
_LOOK_S = 2.0  # between looks at the site file, and counts written
_CLOCK = (topics.WIRE_HL7, 0)  # whoever reads this partition also writes the ticks


class SequencerProcess:
    """Runs until stopped. Fail-stop: what it does not expect ends the process, uncommitted."""

    def __init__(
        self,
        settings: SequencerSettings,
        kafka: KafkaSettings,
        redis: Redis,
        key: IdentityKey,
        site: Site,
        clock: Clock,
        positions: Positions,
        *,
        two_person: bool = False,
    ) -> None:
        self._settings = settings
        # Half a batch: the workers have enough to do while the next batch is mapped.
        self._ahead = Ahead(settings.batch_messages // 2, positions)
        self._kafka = kafka
        self._clock = clock
        self._key, self._site = key, site
        self._redis = redis
        self._vault = VaultKeeping(redis, key, self._everyone)
        self._lanes = Lanes(_goes_first)
        self._backlog = BacklogLine(redis, self._ahead, self._lanes, clock)
        self._next_tick = 0.0
        self._next_look = 0.0
        self._unmapped = unmapped.Counts()
        self._feeds = Feeds(redis, site)
        self._keeps_clock = False
        self._failure: KafkaError | None = None
        self._producer = Producer(
            kafka.client()
            | {
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 5,  # a batch is flushed: nothing waits, each partition goes as a whole
                "message.max.bytes": 2 * record_size.MOST,  # the broker says what it takes
                "message.timeout.ms": 0,  # wait for the broker for ever: nothing is lost meanwhile
                # No compression: Faust's transport reads lz4 and zstd only with further libraries.
            }
        )
        self._partitions = self._count_partitions()
        size = record_size.largest(kafka, topics.FACTS)
        self._sequencer = Sequencer(
            key, site, self._partitions, settings.record_messages, clock, size
        )
        self._decisions = Decisions(self._partitions, two_person=two_person)

    def run(self, stop: threading.Event, on_ready: Callable[[], None]) -> None:
        """Read, map, write, commit, until `stop`."""
        consumer = Consumer(
            self._kafka.client()
            | {
                "group.id": GROUP,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": 10_000,
                # The broker collects, and answers once for all: not for each message.
                "fetch.min.bytes": _MUCH_BYTES,
                "fetch.wait.max.ms": self._settings.linger_ms,
                "fetch.message.max.bytes": MAX_RECORD_BYTES,
            }
        )
        batch = self._settings.batch_messages
        raw_log = RawLog(consumer, self._lanes, batch, self._came, self._went)
        raw_log.subscribe([*_WIRE, *_DECIDED])
        ready = False
        try:
            while not stop.is_set():
                raw_log.read(self._ahead.too_far)
                if not ready and consumer.assignment():
                    ready = True
                    on_ready()
                messages = self._next()
                if messages:
                    self._process(messages)
                    raw_log.processed()
                self._backlog.tell_when_due(consumer)
                raw_log.commit_when_due()
                self._keep_house_when_due()
                self._tick_when_due()
            raw_log.commit_when_due(at_once=True)
        finally:
            self._unmapped.flush(self._redis)
            consumer.close()

    def _came(self, partitions: list[TopicPartition]) -> None:
        self._keeps_clock |= any((p.topic, p.partition) == _CLOCK for p in partitions)
        for partition in partitions:
            if partition.topic == topics.CONFIG:  # what is in force is a fold of all of it
                partition.offset = OFFSET_BEGINNING
                self._decisions.start_over()
        log.info("reading %d partitions", len(partitions))

    def _went(self, partitions: list[TopicPartition]) -> None:
        if any((p.topic, p.partition) == _CLOCK for p in partitions):
            self._keeps_clock = False

    def _next(self) -> list[Message]:
        """What is to be mapped now: nothing while the workers are too far behind."""
        held = self._ahead.too_far()
        if held and self._ahead.too_far(urgent=True):
            return []
        return self._lanes.take(self._ahead.batch, urgent_only=held)

    def _process(self, batch: list[Message]) -> None:
        started = time.perf_counter()
        heard = (message for message in batch if message.topic() not in _DECIDED)
        sequenced = self._sequencer.sequence(self._to_wire(message) for message in heard)
        decided = self._decide(batch)
        self._vault.keep(sequenced.identities)
        for by_partition in (sequenced.records, decided.records):
            for partition, records in by_partition.items():
                for record in records:
                    self._write(partition, record)
        for key, quarantined in [*sequenced.quarantine, *decided.quarantine]:
            self._produce(topics.QUARANTINE, quarantined, key=key)
        for source, study in sequenced.fetch:
            self._ask_archive(source, study)
        self._flush()
        self._unmapped.add(sequenced.unmapped)
        self._tell_feeds(sequenced)
        _count(sequenced, decided)
        metrics.histogram("tocsin_sequencer_batch_seconds").record(time.perf_counter() - started)

    def _decide(self, batch: list[Message]) -> Decided:
        return self._decisions.take(
            [m.value() or b"" for m in batch if m.topic() == topics.FEEDBACK],
            [(m.offset() or 0, m.value() or b"") for m in batch if m.topic() == topics.CONFIG],
            self._clock(),
        )

    def _to_wire(self, message: Message) -> WireMessage:
        headers = headers_of(message.headers())  # type: ignore[arg-type]
        now = self._clock()
        topic = message.topic() or ""
        return WireMessage(
            raw=message.value() or b"",
            position=f"{topic}/{message.partition()}/{message.offset()}",
            heard=to_heard(headers, message.timestamp()[1] / 1000, now),
            source=headers.get(topics.HEADER_SOURCE, ""),
            trace=checked(headers.get(topics.HEADER_TRACEPARENT, "")),
            redriven=topics.HEADER_REDRIVE_OF in headers,
            content_type=headers.get(topics.HEADER_CONTENT_TYPE) or wire.OF_TOPIC[topic],
            subject=headers.get(topics.HEADER_SUBJECT, ""),
        )

    # ── Kafka ───────────────────────────────────────────────────────────────────────────────

    def _count_partitions(self) -> int:
        found = self._producer.list_topics(topics.FACTS, timeout=30).topics[topics.FACTS]
        if found.error is not None or not found.partitions:
            raise KafkaException(found.error)
        return len(found.partitions)

    def _tell_feeds(self, sequenced: Sequenced) -> None:
        now = self._clock()
        for source, quarantined in sequenced.of_sources:
            self._feeds.heard(source, now)
            self._feeds.outcome(source, quarantined)

    def _ask_archive(self, source: str, study: StudyToFetch) -> None:
        """Write down what has to be fetched. Identifiers of studies stay on `tocsin.wire.*`."""
        headers = {
            topics.HEADER_CONTENT_TYPE: wire.FETCH,
            topics.HEADER_SOURCE: source,
            topics.HEADER_RECEIVED_AT: f"{self._clock():.6f}",
        }
        asked = msgspec.json.encode(study._asdict())
        self._produce(topics.WIRE_IMAGING, asked, key=study.study_uid or None, headers=headers)

    def _write(self, partition: int, record: FactRecord) -> None:
        heard = min((m.heard for m in record.messages), default=0.0)
        on_delivery = partial(self._on_written, len(record.messages), heard)
        raw = facts.encode(record)
        self._produce(topics.FACTS, raw, partition=partition, on_delivery=on_delivery)

    def _on_written(
        self, messages: int, heard: float, error: KafkaError | None, record: Message
    ) -> None:
        self._on_delivery(error, record)
        place, offset = record.partition(), record.offset()
        if messages and error is None and place is not None and offset is not None:
            self._ahead.wrote(place, offset, messages, heard)

    def _produce(
        self,
        topic: str,
        value: bytes,
        *,
        partition: int = -1,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        on_delivery: Callable[[KafkaError | None, Message], None] | None = None,
    ) -> None:
        while True:
            try:
                self._producer.produce(
                    topic,
                    value,
                    key=key,
                    partition=partition,
                    headers=headers,  # type: ignore[arg-type]
                    on_delivery=on_delivery or self._on_delivery,
                )
            except BufferError:  # the queue is full: wait for the broker
                self._producer.poll(0.1)
            else:
                return

    def _on_delivery(self, error: KafkaError | None, _: Message) -> None:
        self._failure = self._failure or error

    def _flush(self) -> None:
        """Wait until the broker has confirmed everything. Raises what made it refuse."""
        while self._producer.flush(1.0):
            pass
        if self._failure is not None:
            raise KafkaException(self._failure)

    def _keep_house_when_due(self) -> None:
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_S
            self._site.refresh()
            self._unmapped.flush(self._redis)
            alerts = self._feeds.flush(self._clock())
            for record in alerts:
                self._produce(topics.AUDIT, record)
            if alerts:
                self._flush()

    def _tick_when_due(self) -> None:
        now = time.monotonic()  # a wall clock that was put back would stop the ticks
        if not self._keeps_clock or now < self._next_tick:
            return
        self._next_tick = now + self._settings.tick_s
        tick = facts.encode(self._sequencer.tick(self._feeds.silent()))
        for partition in range(self._partitions):
            self._produce(topics.FACTS, tick, partition=partition)
        self._flush()

    def _everyone(self) -> Iterator[tuple[str, Identity]]:
        """Whoever was ever named, from the wire log."""
        for message in whole_log(self._kafka, f"{GROUP}-vault", _WIRE):
            for read in interpret(self._to_wire(message), self._key, self._site):
                yield from read.identities()


def _goes_first(message: Message, crowded: bool) -> bool:
    """What people decide, always: it keeps its order. Urgent messages, where others wait."""
    if message.topic() in _DECIDED:
        return True
    return crowded and message.topic() == topics.WIRE_HL7 and is_urgent(message.value() or b"")


def _count(sequenced: Sequenced, decided: Decided) -> None:
    messages = metrics.counter("tocsin_sequencer_messages")
    for (outcome, reason), count in sequenced.outcomes.items():
        messages.add(count, {"outcome": outcome, "reason": reason})
    metrics.counter("tocsin_sequencer_facts").add(sequenced.facts)
    written = [*sequenced.records.values(), *decided.records.values()]
    metrics.counter("tocsin_sequencer_records").add(sum(len(records) for records in written))
    for reason, count in [*sequenced.reasons.items(), *decided.reasons.items()]:
        metrics.counter("tocsin_quarantined").add(count, {"reason": reason})
    for action, count in decided.actions.items():
        metrics.counter("tocsin_feedback").add(count, {"action": action})
