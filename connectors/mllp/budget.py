"""What all connections together may hold: bytes that wait for the broker."""

from __future__ import annotations

from collections.abc import Callable

# What a waiting message costs beside its bytes: our own objects, librdkafka's, its headers.
MESSAGE_OVERHEAD = 2_000


class Budget:
    """A limit shared by connections. Those that find it used up are told when there is room."""

    def __init__(self, limit: int) -> None:
        self.used = 0
        self._limit = limit
        self._enough = limit * 3 // 4  # all stop at the limit; none goes on at limit - 1
        self._waiting: dict[Callable[[], None], None] = {}

    @property
    def has_room(self) -> bool:
        """May one more message be taken? The last one may exceed the limit by its own size."""
        return self.used < self._limit

    def take(self, size: int) -> int:
        """Book a message of this size; returns what to give back."""
        cost = size + MESSAGE_OVERHEAD
        self.used += cost
        return cost

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call once, when there is room again. First come, first served."""
        self._waiting[go_on] = None

    def give_back(self, cost: int) -> None:
        """A message is confirmed."""
        self.used -= cost
        if self._waiting and self.used <= self._enough:
            waiting, self._waiting = self._waiting, {}
            for go_on in waiting:
                go_on()
