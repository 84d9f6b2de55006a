"""How far the sequencer may run ahead of the workers.

A worker scores a patient once for each record of facts, and a record is large when many messages
wait together. So while the workers have enough to do, messages wait in the wire log, where they can
still be put together, and not as small records of facts, where they no longer can.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

# Of some partitions of facts: the offset of the last record that was applied. One of which nothing
# is known is left out.
Positions = Callable[[Iterable[int]], Mapping[int, int]]

# Without any progress: a worker that is gone must not stop the log from growing, and one that is
# merely slow must not be run away from. A pass of a thousand messages may take a second.
MOST_HELD_S = 2.0
_LOOK_S = 0.01  # between looks at the positions while messages are held back


class Ahead:
    """Counts messages that were written and are not known to be applied.

    The positions are looked at only when more than `most` were written since the last look, so at a
    rate that the workers keep up with it costs nothing.
    """

    def __init__(
        self, most: int, positions: Positions, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._positions, self._clock = most, positions, clock
        self._written: dict[int, deque[tuple[int, int]]] = {}  # partition → (offset, messages)
        self._messages = 0
        self._held_since: float | None = None
        self._next_look = 0.0

    def wrote(self, partition: int, offset: int, messages: int) -> None:
        """The log has a record with so many messages."""
        self._written.setdefault(partition, deque()).append((offset, messages))
        self._messages += messages

    def too_far(self) -> bool:
        """Should nothing be written for now? To be asked again soon."""
        if self._messages <= self._most:
            return False
        now = self._clock()
        if self._held_since is None:
            self._held_since = now
        elif now < self._next_look:
            return True
        self._next_look = now + _LOOK_S
        if self._look():
            self._held_since = now
        if self._messages > self._most and now - self._held_since < MOST_HELD_S:
            return True
        self._held_since = None
        if self._messages > self._most:  # nobody applies them: stop counting, go on
            self._written.clear()
            self._messages = 0
        return False

    def _look(self) -> bool:
        """Has anything been applied since the last look?"""
        before = self._messages
        for partition, applied in self._positions(list(self._written)).items():
            written = self._written[partition]
            while written and written[0][0] <= applied:
                self._messages -= written.popleft()[1]
        return self._messages < before
