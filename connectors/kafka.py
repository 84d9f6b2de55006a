"""Appending to Kafka from an event loop, each record confirmed by all replicas in sync.

What librdkafka is asked for, and why:
- `enable.idempotence`: its own repetitions are recognised by the broker (`acks=all` is implied).
- `message.timeout.ms=0`: it tries for ever. A record is confirmed, or it is still on its way: a
  dead broker is never turned into an error that somebody could mistake for a refusal.
- no limits on its queue: whoever appends must bound what is under way, in bytes (the MLLP server
  does). A second, smaller limit down here could only turn into an error.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.settings import KafkaSettings

_log = logging.getLogger(__name__)
_library_log = logging.getLogger(f"{__name__}.librdkafka")

Headers = Sequence[tuple[str, str | bytes]]
# Called in the event loop: None when the broker has the record for good.
Confirmed = Callable[["AppendError | None"], None]
_Batch = list[tuple[Confirmed, KafkaError | None]]

_POLL_S = 0.2
_UNLIMITED_KBYTES = 2_147_483_647
_LARGEST_RECORD = 1_000_000_000


class AppendError(Exception):
    """A record that is not in the log and will not get there."""

    def __init__(self, text: str, *, too_large: bool = False) -> None:
        super().__init__(text)
        self.too_large = too_large  # the broker takes no record of this size


class _Place(NamedTuple):
    topic: str
    partition: int
    key: str | None


class Log(Protocol):
    """Where records are appended."""

    def append(self, topic: str, value: bytes, headers: Headers, confirmed: Confirmed) -> None:
        """Take a record; `confirmed` is called once, later, in the event loop."""

    async def flush(self, timeout_s: float) -> bool:
        """Wait until everything is confirmed; False when the time is over before."""


class KafkaLog:
    """`Log` on a real broker. Made and used in one running event loop."""

    def __init__(self, kafka: KafkaSettings, *, client_id: str, linger_ms: float = 1.0) -> None:
        self._config: dict[str, Any] = {
            **kafka.client(),
            "client.id": client_id,
            "enable.idempotence": True,
            "acks": "all",
            "message.timeout.ms": 0,
            "linger.ms": linger_ms,
            "queue.buffering.max.messages": 0,
            "queue.buffering.max.kbytes": _UNLIMITED_KBYTES,
            "message.max.bytes": _LARGEST_RECORD,  # the broker knows its limit, and says so
            "batch.size": 512 * 1024,  # so that only a record too large by itself is refused
            "reconnect.backoff.max.ms": 1_000,
        }
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        self._all_confirmed = asyncio.Event()
        self._all_confirmed.set()
        self._line = self._connect()

    # ── Log ─────────────────────────────────────────────────────────────────────────────────

    def append(
        self,
        topic: str,
        value: bytes,
        headers: Headers,
        confirmed: Confirmed,
        *,
        key: str | None = None,
        partition: int = -1,
    ) -> None:
        """Take a record; `confirmed` is called once, later, in the event loop.

        With `partition` -1 the key chooses the partition, without a key any is as good.
        """
        self._under_way += 1
        self._all_confirmed.clear()
        place = _Place(topic, partition, key)
        try:
            self._line.produce(place, value, headers, confirmed)
        except KafkaException as error:
            self._loop.call_soon(self._confirm, [(confirmed, error.args[0])])

    async def flush(self, timeout_s: float) -> bool:
        """Wait until everything is confirmed; False when the time is over before."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._all_confirmed.wait()
        except TimeoutError:
            return False
        return True

    # ── life ────────────────────────────────────────────────────────────────────────────────

    async def topics(self, timeout_s: float) -> set[str]:
        """The topics that exist, from the broker itself. Raises `KafkaException`."""
        producer = self._line.producer
        metadata = await asyncio.to_thread(producer.list_topics, timeout=timeout_s)
        return set(metadata.topics)

    async def close(self) -> None:
        """Stop. What is not confirmed by now is given up; nobody was told that it was."""
        line = self._line
        await asyncio.to_thread(line.give_up)
        await asyncio.to_thread(line.thread.join)

    def _connect(self) -> _Line:
        return _Line(self._config, self._loop, self._confirm, self._replace)

    def _replace(self, broken: _Line) -> None:
        """librdkafka stopped this producer for good (the broker lost its place in a sequence).

        What was under way fails, its senders get no answer and send again, through a new producer.
        """
        if broken is self._line:
            self._line = self._connect()
            broken.give_up()

    def _confirm(self, batch: _Batch) -> None:
        """Each by itself: an error in one must not keep the others from being answered."""
        for confirmed, error in batch:
            self._loop.call_soon(confirmed, None if error is None else _append_error(error))
        self._loop.call_soon(self._settle, len(batch))

    def _settle(self, count: int) -> None:
        self._under_way -= count
        if not self._under_way:
            self._all_confirmed.set()


class _Line:
    """One librdkafka producer, and the thread that it calls back on."""

    def __init__(
        self,
        config: dict[str, Any],
        loop: asyncio.AbstractEventLoop,
        confirm: Callable[[_Batch], None],
        replace: Callable[[_Line], None],
    ) -> None:
        self._loop, self._confirm, self._replace = loop, confirm, replace
        self._delivered: _Batch = []
        self._given_up = threading.Event()
        self.producer = Producer({**config, "error_cb": self._trouble}, logger=_library_log)
        self.thread = threading.Thread(target=self._poll, name="kafka-poll", daemon=True)
        self.thread.start()

    def produce(self, place: _Place, value: bytes, headers: Headers, confirmed: Confirmed) -> None:
        """Raises `KafkaException` for what librdkafka refuses by itself."""

        def delivered(error: KafkaError | None, _: Message) -> None:
            self._delivered.append((confirmed, error))

        self.producer.produce(
            place.topic,
            value,
            key=place.key,
            partition=place.partition,
            headers=list(headers),
            on_delivery=delivered,
        )

    def give_up(self) -> None:
        """Fail what is under way; the thread ends when that is delivered."""
        self._given_up.set()
        self.producer.purge()

    def _poll(self) -> None:
        """Delivery reports, handed to the loop once for each turn and not one by one."""
        while not self._given_up.is_set() or len(self.producer):
            self.producer.poll(_POLL_S)
            if self._delivered:
                batch, self._delivered = self._delivered, []
                self._loop.call_soon_threadsafe(self._confirm, batch)
        self.producer.close()  # now: as part of a cycle it would live on, and go on connecting

    def _trouble(self, error: KafkaError) -> None:
        """librdkafka mends everything else by itself; it is worth a line in the log."""
        _log.warning("Kafka: %s", error.str())
        if error.code() == KafkaError._FATAL:
            self._loop.call_soon_threadsafe(self._replace, self)


def _append_error(error: KafkaError) -> AppendError:
    return AppendError(error.str(), too_large=error.code() == KafkaError.MSG_SIZE_TOO_LARGE)
