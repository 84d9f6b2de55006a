"""What a desk knows, for pages: asynchronous, read once for all who look, one step at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from nicegui import background_tasks

from streams.errors import UserError

READ_S = 2.0  # the log is read at most this often while somebody looks

T = TypeVar("T")
U = TypeVar("U")


class Room(Generic[T]):
    """The newest picture of a desk. Desks wait for the log, so they are called in threads."""

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._newest: T | None = None
        self._one_at_a_time = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        self._read_at = float("-inf")
        self.problem = ""  # why it cannot be read, "" when it can

    @property
    def newest(self) -> T | None:
        """As read last, None before the first time; whoever asks keeps it current."""
        now = asyncio.get_running_loop().time()
        idle = self._reading is None or self._reading.done()
        if idle and now - self._read_at >= READ_S:
            self._reading = background_tasks.create(self.read(), name="read for a page")
        return self._newest

    async def read(self) -> None:
        """Read what is new now. A desk that cannot is told by `problem`."""
        try:
            self._newest = await self.call(self._read)
        except UserError as error:
            self.problem = str(error)
        else:
            self.problem = ""
        self._read_at = asyncio.get_running_loop().time()

    async def call(self, step: Callable[[], U]) -> U:
        """A call of the desk, alone. May raise `UserError`."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(step)

    async def step(self, step: Callable[[], U]) -> U:
        """As `call`, and the picture is read anew afterwards."""
        done = await self.call(step)
        await self.read()
        return done
