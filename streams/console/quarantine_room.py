"""The quarantine desk for pages: asynchronous, and read once for all who look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from nicegui import background_tasks

from connectors.quarantine_log import Item
from streams.errors import UserError
from streams.quarantine_desk import Desk, Look

READ_S = 2.0  # the log is read at most this often while somebody looks

T = TypeVar("T")


class QuarantineRoom:
    """What lies in quarantine, as read last. The desk audits; who acts is given to each step."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._items: dict[str, Item] = {}
        self._reading: asyncio.Task[None] | None = None
        self._read_at = float("-inf")
        self.loaded = False
        self.problem = ""  # why it cannot be read, "" when it can

    def items(self) -> list[Item]:
        """Newest first; whoever asks keeps them current."""
        self._keep_current()
        return sorted(self._items.values(), key=lambda item: (-item.last, item.record.id))

    def item(self, name: str) -> Item | None:
        """The item of that id; None when there is none (yet)."""
        self._keep_current()
        return self._items.get(name)

    async def read(self) -> None:
        """Read what is new now. A desk that cannot is told by `problem`."""
        try:
            found = await asyncio.to_thread(self._desk.items)
        except UserError as error:
            self.problem = str(error)
        else:
            self.problem, self.loaded = "", True
            self._items = {item.record.id: item for item in found}
        self._read_at = asyncio.get_running_loop().time()

    def _keep_current(self) -> None:
        now = asyncio.get_running_loop().time()
        idle = self._reading is None or self._reading.done()
        if idle and now - self._read_at >= READ_S:
            self._reading = background_tasks.create(self.read(), name="read the quarantine")

    # ── what people do. Each may raise `UserError`. ─────────────────────────────────────────

    async def look(self, item: Item) -> Look:
        """The item, masked, with what is wrong and what it would give."""
        return await asyncio.to_thread(self._desk.look, item)

    async def text(self, item: Item, who: str, why: str) -> str:
        """The message as text that can be edited; noted before it is given."""
        return await asyncio.to_thread(self._desk.text, item, who, why)

    async def mend(
        self, item: Item, how: list[str] | str, who: str, why: str, *, force: bool = False
    ) -> str:
        """Send it again with fields anew, or as edited text; what it gives."""
        if isinstance(how, str):
            return await self._step(lambda: self._desk.rewrite(item, how, who, why, force=force))
        return await self._step(lambda: self._desk.mend(item, how, who, why, force=force))

    async def redrive(self, item: Item, who: str, why: str) -> None:
        """Send it again as it was received."""
        await self._step(lambda: list(self._desk.redrive([item], who, why)))

    async def discard(self, item: Item, who: str, why: str) -> None:
        """Decide that nothing of it is needed."""
        await self._step(lambda: self._desk.discard(item, who, why))

    async def _step(self, step: Callable[[], T]) -> T:
        done = await asyncio.to_thread(step)
        await self.read()
        return done
