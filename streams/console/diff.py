"""What changed in a table since the browser was last told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

Cell = dict[str, Any]


class Row(TypedDict, total=False):
    """One row of `static/live_table.js`."""

    key: str
    tone: str  # critical, warning, ended, strong: a class of the row
    revision: int  # of the alert that the row shows
    cells: list[Cell]


class Patch(TypedDict):
    """What the browser applies: rows by key, keys that went, and the order when it changed."""

    upsert: list[Row]
    remove: list[str]
    order: list[str] | None


class Differ:
    """Remembers what one browser shows of one table."""

    def __init__(self) -> None:
        self._sent: dict[str, Row] = {}
        self._order: list[str] = []

    def patch(self, rows: Sequence[Row]) -> Patch | None:
        """The difference to what was sent, which counts as sent from now on; None when equal."""
        upsert = [row for row in rows if self._differs(row)]
        order = [row["key"] for row in rows]
        kept = set(order)
        remove = [key for key in self._order if key not in kept]
        moved = order != self._order
        if not (upsert or remove or moved):
            return None
        self._sent = {row["key"]: row for row in rows}
        self._order = order
        return Patch(upsert=upsert, remove=remove, order=order if moved else None)

    def _differs(self, row: Row) -> bool:
        old = self._sent.get(row["key"])
        return old is not row and old != row
