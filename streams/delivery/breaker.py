"""A circuit breaker: a receiver that fails again and again is left alone for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import IntEnum


class Position(IntEnum):
    """As the metric shows it."""

    CLOSED = 0  # attempts go through
    HALF_OPEN = 1  # one attempt finds out whether the receiver is back
    OPEN = 2  # no attempts


class Breaker:
    """`enter` before each attempt, then `succeeded`, `failed` or `left`.

    After `failures` in a row it opens for `pause_s`; then one attempt may try, and decides.
    """

    def __init__(
        self,
        failures: int,
        pause_s: float,
        clock: Callable[[], float],
        changed: Callable[[Position], None] = lambda _: None,
    ) -> None:
        self.position = Position.CLOSED
        self._limit, self._pause, self._clock, self._changed = failures, pause_s, clock, changed
        self._in_a_row = 0
        self._until = 0.0
        self._trying = False
        self._moved = asyncio.Event()

    async def enter(self) -> None:
        """Wait until an attempt may be made."""
        while not self._admits():
            left = self._until - self._clock()
            try:
                async with asyncio.timeout(left if left > 0 else None):
                    await self._moved.wait()
            except TimeoutError:
                continue

    def _admits(self) -> bool:
        if self.position is Position.OPEN and self._clock() >= self._until:
            self._move(Position.HALF_OPEN)
        if self.position is Position.CLOSED:
            return True
        if self.position is Position.HALF_OPEN and not self._trying:
            self._trying = True
            return True
        return False

    def succeeded(self) -> None:
        """The receiver answers."""
        self._in_a_row, self._trying = 0, False
        self._move(Position.CLOSED)

    def failed(self) -> None:
        """It does not."""
        self._in_a_row += 1
        tried, self._trying = self._trying, False
        if tried or self._in_a_row >= self._limit:
            self._until = self._clock() + self._pause
            self._move(Position.OPEN)

    def left(self) -> None:
        """The attempt was given up without an answer either way: the next may try."""
        self._trying = False
        self._wake()

    def _move(self, to: Position) -> None:
        if to is not self.position:
            self.position = to
            self._changed(to)
        self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
