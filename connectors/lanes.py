"""Messages that were read from the raw log and are not mapped yet: urgent ones first.

Order decides nothing about what follows from messages (facts fold in any order), so one may
overtake another. What waits here is read again after a restart: of each partition only what lies
before the oldest of it counts as done.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from confluent_kafka import Message

from connectors import metrics

MOST: Final = 20_000  # messages that are read ahead
MOST_BYTES: Final = 32_000_000
_TOGETHER: Final = 200  # so few are mapped in no time, and not apart
PATIENCE_S: Final = 1.0  # after so long of urgent ones alone, others come along, however many

Place = tuple[str, int]  # topic and partition


class Lanes:
    """Two queues: the urgent, and the others."""

    def __init__(
        self,
        goes_first: Callable[[Message, bool], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`goes_first` is asked of each message; also, whether it could overtake any."""
        self._goes_first, self._clock = goes_first, clock
        self._urgent_alone_since: float | None = None
        self._queues: tuple[deque[Message], deque[Message]] = (deque(), deque())
        self._offsets: dict[Place, tuple[deque[int], deque[int]]] = {}  # of what waits
        self._read: dict[Place, int] = {}  # up to which offset each was read
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._queues[0]) + len(self._queues[1])

    @property
    def full(self) -> bool:
        """Should no more be read for now?"""
        return len(self) >= MOST or self._bytes >= MOST_BYTES

    @property
    def oldest(self) -> Message | None:
        """The one that waits longest, as the log has it."""
        firsts = (queue[0] for queue in self._queues if queue)
        return min(firsts, key=lambda message: message.timestamp()[1], default=None)

    def put(self, messages: Sequence[Message], *, held: bool) -> None:
        """What was read, each partition in order; `held`: none is to be mapped at once."""
        crowded = held or bool(self) or len(messages) > _TOGETHER
        for message in messages:
            place, offset = _place(message), message.offset() or 0
            lane = 0 if self._goes_first(message, crowded) else 1
            self._queues[lane].append(message)
            self._offsets.setdefault(place, (deque(), deque()))[lane].append(offset)
            self._read[place] = offset + 1
            self._bytes += len(message.value() or b"")

    def take(self, most: int, *, urgent_only: bool = False) -> list[Message]:
        """The next to be mapped together: the urgent ones, and with them others if there are few
        of these."""
        urgent, others = self._queues
        taken = self._take_from(0, most)
        if taken and others:
            metrics.counter("tocsin_sequencer_urgent").add(len(taken))
        if urgent_only or (taken and (urgent or len(others) > _TOGETHER) and self._patient()):
            return taken
        self._urgent_alone_since = None
        return taken + self._take_from(1, max(most - len(taken), most // 4))

    def _patient(self) -> bool:
        """May the others wait? A stream of urgent messages must not keep them waiting for ever."""
        now = self._clock()
        if self._urgent_alone_since is None:
            self._urgent_alone_since = now
        return now - self._urgent_alone_since < PATIENCE_S

    def _take_from(self, lane: int, most: int) -> list[Message]:
        queue = self._queues[lane]
        taken = [queue.popleft() for _ in range(min(most, len(queue)))]
        for message in taken:
            self._offsets[_place(message)][lane].popleft()
            self._bytes -= len(message.value() or b"")
        return taken

    def done(self) -> dict[Place, int]:
        """The offset of each partition from which on is to be read after a restart."""
        return {place: self._oldest_of(place, end) for place, end in self._read.items()}

    def forget(self, places: Iterable[Place]) -> None:
        """These partitions belong to somebody else, who reads them again."""
        gone = set(places)
        for queue in self._queues:
            left = [message for message in queue if _place(message) not in gone]
            queue.clear()
            queue.extend(left)
        for place in gone:
            self._offsets.pop(place, None)
            self._read.pop(place, None)
        self._bytes = sum(len(m.value() or b"") for queue in self._queues for m in queue)

    def _oldest_of(self, place: Place, end: int) -> int:
        return min((waiting[0] for waiting in self._offsets[place] if waiting), default=end)


def _place(message: Message) -> Place:
    return message.topic() or "", message.partition() or 0
