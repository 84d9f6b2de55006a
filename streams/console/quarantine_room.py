"""The quarantine desk for pages and the API. The desk audits; who acts is given to each step."""

from __future__ import annotations

from connectors.quarantine_log import Item
from streams.console.room import Room
from streams.quarantine_desk import Desk, Look


class QuarantineRoom(Room[list[Item]]):
    """What lies in quarantine, as read last. Steps may raise `UserError`."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk.items)
        self._desk = desk

    @property
    def loaded(self) -> bool:
        """Has it been read at all?"""
        return self.newest is not None

    def items(self) -> list[Item]:
        """Newest first."""
        return sorted(self.newest or (), key=lambda item: (-item.last, item.record.id))

    def item(self, name: str) -> Item | None:
        """The item of that id; None when there is none (yet)."""
        return next((i for i in self.newest or () if i.record.id == name), None)

    async def look(self, item: Item) -> Look:
        """The item, masked, with what is wrong and what it would give."""
        return await self.call(lambda: self._desk.look(item))

    async def text(self, item: Item, who: str, why: str) -> str:
        """The message as text that can be edited; noted before it is given."""
        return await self.call(lambda: self._desk.text(item, who, why))

    async def mend(
        self, item: Item, how: list[str] | str, who: str, why: str, *, force: bool = False
    ) -> str:
        """Send it again with fields anew, or as edited text; what it gives."""
        if isinstance(how, str):
            return await self.step(lambda: self._desk.rewrite(item, how, who, why, force=force))
        return await self.step(lambda: self._desk.mend(item, how, who, why, force=force))

    async def redrive(self, item: Item, who: str, why: str) -> None:
        """Send it again as it was received."""
        await self.step(lambda: list(self._desk.redrive([item], who, why)))

    async def discard(self, item: Item, who: str, why: str) -> None:
        """Decide that nothing of it is needed."""
        await self.step(lambda: self._desk.discard(item, who, why))
