"""Reading the raw log as a member of a consumer group, into lanes; and saying what is done.

What is done is what was read and no longer waits. While partitions come or go, nobody can tell
which of the messages just read were read before: then all is read again, from the last commit on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from connectors.lanes import Lanes

_IDLE_S: Final = 0.1
_UNPACK_S: Final = 0.001  # until all of an answer is there, when its first message is
_HELD_S: Final = 0.002  # between looks whether the workers have come nearer
_COMMIT_S: Final = 0.2  # between commits of what was read

Partitions = list[TopicPartition]


class RawLog:
    """One consumer. `came` is told of partitions that are to be read from now on, and may set where
    from; `went` of those that belong to others now."""

    def __init__(
        self,
        consumer: Consumer,
        lanes: Lanes,
        at_once: int,
        came: Callable[[Partitions], None],
        went: Callable[[Partitions], None],
    ) -> None:
        self._consumer, self._lanes = consumer, lanes
        self._at_once = at_once
        self._came, self._went = came, went
        self._changes = 0  # how often partitions came or went
        self._paused_at: int | None = None  # that number, when fetching was paused last
        self._next_commit = 0.0
        self._uncommitted = False

    def subscribe(self, names: Sequence[str]) -> None:
        """To these topics."""
        self._consumer.subscribe(list(names), on_assign=self._on_assign, on_revoke=self._on_revoke)

    def read(self, held: Callable[[], bool]) -> None:
        """What the broker collected, as soon as it is there.

        `held`: will none of it be mapped at once? Raises `KafkaException`.
        """
        self._pause_or_resume()
        changes = self._changes
        first = self._consumer.poll(_HELD_S if self._lanes else _IDLE_S)
        if first is None:
            return
        more = 0 if self._lanes.full else self._at_once - 1
        read = [first, *(self._consumer.consume(more, _UNPACK_S) if more else ())]
        if changes != self._changes:
            self._read_again()
            return
        for message in read:
            error = message.error()
            if error is not None and (error.fatal() or not error.retriable()):
                raise KafkaException(error)
        self._lanes.put([message for message in read if message.error() is None], held=held())

    def _pause_or_resume(self) -> None:
        """Nothing more is fetched while the lanes are full. The group is still listened to, or it
        would wait for this member, and then go on without it."""
        if self._lanes.full:
            if self._paused_at != self._changes:
                self._paused_at = self._changes
                self._consumer.pause(self._consumer.assignment())
        elif self._paused_at is not None:
            self._paused_at = None
            self._consumer.resume(self._consumer.assignment())

    def processed(self) -> None:
        """What was taken from the lanes is written."""
        self._uncommitted = True

    def commit_when_due(self, *, at_once: bool = False) -> None:
        """Not after every batch: what is read again after a crash changes nothing."""
        now = time.monotonic()
        if self._uncommitted and (at_once or now >= self._next_commit):
            self._uncommitted, self._next_commit = False, now + _COMMIT_S
            done = [TopicPartition(*place, offset) for place, offset in self._lanes.done().items()]
            if done:  # otherwise all that was read is somebody else's by now
                self._consumer.commit(offsets=done, asynchronous=True)

    def _on_assign(self, consumer: Consumer, partitions: Partitions) -> None:
        self._changes += 1
        self._came(partitions)
        consumer.assign(partitions)

    def _on_revoke(self, _: Consumer, partitions: Partitions) -> None:
        self._changes += 1
        self._lanes.forget((p.topic, p.partition) for p in partitions)
        self._went(partitions)

    def _read_again(self) -> None:
        ours = [TopicPartition(p.topic, p.partition) for p in self._consumer.assignment()]
        self._lanes.forget((p.topic, p.partition) for p in ours)
        if ours:
            self._on_assign(self._consumer, ours)
