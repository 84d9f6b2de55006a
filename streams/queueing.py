"""Queues of what was read and is not yet applied, one for each partition.

All that waits in a queue is handed on at once, and what comes meanwhile waits for the next time. So
the more there is to do, the more is done in one go, and an item that comes alone is handed on
within a few turns of the event loop: nobody waits for time to pass.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

_TURNS = 4  # of the event loop without a new item, until those that wait are handed on

Item = TypeVar("Item")


class Queues(Generic[Item]):
    """See the module. `apply` gets a partition and its items in order, one call at a time for each
    partition; what it raises goes to `failed`, and that partition stands still.

    Items put in and not yet done with have together at most the size `most_under_way`; whoever
    brings more has to wait. One that is larger by itself goes alone.
    """

    def __init__(
        self,
        apply: Callable[[int, list[Item]], Awaitable[None]],
        failed: Callable[[BaseException], None],
        most_at_once: int,
        most_under_way: int,
        size: Callable[[Item], int] = lambda _: 1,
    ) -> None:
        self._apply, self._failed, self._most_at_once = apply, failed, most_at_once
        self._most_under_way, self._size = most_under_way, size
        self._under_way = 0
        self._room = asyncio.Event()
        self._waiting: dict[int, deque[Item]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._arrived = 0

    async def put(self, partition: int, item: Item) -> None:
        """Returns when there is room."""
        size = self._size(item)
        while self._under_way and self._under_way + size > self._most_under_way:
            self._room.clear()
            await self._room.wait()
        self._under_way += size
        self._waiting.setdefault(partition, deque()).append(item)
        self._arrived += 1
        if partition not in self._tasks:
            self._tasks[partition] = asyncio.create_task(self._drain(partition))

    def done(self, items: Iterable[Item]) -> None:
        """Items that were handed on are dealt with: there is room for others."""
        self._under_way -= sum(map(self._size, items))
        self._room.set()

    def drop(self, partition: int) -> list[Item]:
        """Forget what waits in a partition; what that was."""
        waiting = self._waiting.get(partition, deque())
        dropped = list(waiting)
        self.done(dropped)
        waiting.clear()
        return dropped

    async def close(self) -> None:
        """Stop handing on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _drain(self, partition: int) -> None:
        waiting = self._waiting[partition]
        try:
            while waiting:
                await self._gather(waiting)
                size = min(len(waiting), self._most_at_once)
                if size:
                    await self._apply(partition, [waiting.popleft() for _ in range(size)])
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  # whoever put them in has to know
            self._failed(error)
            return  # the task stays where it is: nothing behind the failure is handed on
        del self._tasks[partition]

    async def _gather(self, waiting: deque[Item]) -> None:
        """Let come what has been read already."""
        quiet = 0
        while quiet < _TURNS and len(waiting) < self._most_at_once:
            arrived = self._arrived
            await asyncio.sleep(0)
            quiet = quiet + 1 if arrived == self._arrived else 0
