"""How far the sequencer may run ahead of the workers, and how fast they come after.

A worker scores a patient once for each record of facts, and a record is large when many messages
wait together. So while the workers have enough to do, messages wait in the wire log, where they can
still be put together and urgent ones can still overtake, and not as small records of facts.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

# Of some partitions of facts: the offset of the last record that was applied. One of which nothing
# is known is left out.
Positions = Callable[[Iterable[int]], Mapping[int, int]]

# Without any progress: a worker that is gone must not stop the log from growing, and one that is
# merely slow, or is just being replaced, must not be run away from.
STANDING_S: Final = 10.0
AGAIN_S: Final = 2.0  # from then on one batch goes out each time
LEAST: Final = 500  # messages that they are always given, however slow they are
_AHEAD_S: Final = 0.7  # of their work that they are given at once
_BATCH_S: Final = 2.5  # likewise, of what is mapped in one go
_LOOK_S: Final = 0.05  # between looks at the positions while there is enough to do
_REST_S: Final = 0.5  # otherwise: each costs the store a request
_RATE_S: Final = 4.0  # over which the rate is measured: some passes of a worker under load
_MOST_RECORDS: Final = 10_000  # of a partition, remembered one by one


class _Written(NamedTuple):
    """Records that follow one another, the last of them at this offset."""

    offset: int
    messages: int
    heard: float  # the oldest of them, epoch seconds


class Ahead:
    """Counts messages that were written and are not known to be applied."""

    def __init__(
        self, most: int, positions: Positions, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._positions, self._clock = most, positions, clock
        self._written: dict[int, deque[_Written]] = {}  # by partition
        self.messages = 0  # not known to be applied
        self.rate = 0.0  # messages a second that workers apply when they have enough to do
        self._given_up = 0  # of the messages: those that nobody seemed to apply
        self._at: dict[int, int] = {}  # where the workers stood at the last look
        self._applied: deque[tuple[float, int]] = deque()  # of late: when, how many
        self._busy_since = self._progress_at = self._looked_at = clock()
        self._gave_up_at = -AGAIN_S

    @property
    def oldest(self) -> float | None:
        """When the oldest of those messages was heard."""
        return min((w[0].heard for w in self._written.values() if w), default=None)

    @property
    def standing(self) -> bool:
        """Has nothing been applied for so long that nobody seems to be there?"""
        return self.messages > 0 and self._clock() - self._progress_at >= STANDING_S

    @property
    def batch(self) -> int:
        """Messages that may be mapped in one go."""
        most = 2 * self._most
        return most if self.standing else min(most, max(LEAST, int(_BATCH_S * self.rate)))

    def wrote(self, partition: int, offset: int, messages: int, heard: float) -> None:
        """The log has a record with so many messages, the oldest of them heard then."""
        if not self.messages:
            self._busy_since = self._progress_at = self._clock()
            self._applied.clear()
        records = self._written.setdefault(partition, deque())
        if len(records) >= _MOST_RECORDS:
            before = records.pop()
            records.append(_Written(offset, before.messages + messages, before.heard))
        else:
            records.append(_Written(offset, messages, heard))
        self.messages += messages

    def too_far(self, *, urgent: bool = False) -> bool:
        """Should nothing be written for now? To be asked again soon.

        Urgent messages may go twice as far: however many there are, they end in large records, too.
        """
        self.look()
        most = min(self._most, max(LEAST, int(_AHEAD_S * self.rate)))
        if self.messages - self._given_up <= (2 * most if urgent else most):
            return False
        now = self._clock()
        if now < max(self._progress_at + STANDING_S, self._gave_up_at + AGAIN_S):
            return True
        self._given_up, self._gave_up_at = self.messages, now
        return False

    def look(self) -> None:
        """Where the workers stand, when it is time to look."""
        now = self._clock()
        passed = now - self._looked_at
        enough = self.messages >= min(LEAST, self._most)
        if not self.messages or passed < (_LOOK_S if enough else _REST_S):
            return
        self._looked_at = now
        applied, moved = self._count_applied()
        if moved:
            self._progress_at, self._given_up = now, 0
        if applied:
            self._applied.append((now, applied))
        self._measure(now, passed if enough else 0.0)

    def _count_applied(self) -> tuple[int, bool]:
        """Messages that are applied by now; and whether anything is, also of what another sequencer
        wrote, or this one before it was started again."""
        before = self.messages
        found = self._positions(list(self._written))
        moved = any(at > self._at.get(partition, at) for partition, at in found.items())
        self._at.update(found)
        for partition, at in found.items():
            records = self._written[partition]
            while records and records[0].offset <= at:
                self.messages -= records.popleft().messages
        applied = before - self.messages
        return applied, moved or applied > 0

    def _measure(self, now: float, passed: float) -> None:
        """They can do at least what they did of late, and no more when they had enough to do
        (which they had for so many seconds)."""
        while self._applied and self._applied[0][0] < now - _RATE_S:
            self._applied.popleft()
        over = min(_RATE_S, max(1.0, now - self._busy_since))
        measured = sum(number for _, number in self._applied) / over
        if measured > self.rate:
            self.rate = measured
        else:
            self.rate += (measured - self.rate) * min(1.0, passed / _RATE_S)
