"""How far the log may be committed: everything before has been dealt with, by every receiver."""

from __future__ import annotations

from collections import OrderedDict

Place = tuple[str, int]  # topic, partition


class Progress:
    """Counts what is open of each record. One slow receiver holds the commit, and nobody else."""

    def __init__(self) -> None:
        self._open: dict[Place, OrderedDict[int, int]] = {}
        self._next: dict[Place, int] = {}
        self._committed: dict[Place, int] = {}

    def begin(self, place: Place, offset: int, parts: int) -> None:
        """A record was read, and `parts` things follow from it."""
        self._next[place] = offset + 1
        if parts:
            self._open.setdefault(place, OrderedDict())[offset] = parts

    def finish(self, place: Place, offset: int) -> None:
        """One of them is done; nothing for a record that has been forgotten."""
        left = self._open.get(place)
        if left is not None and offset in left:
            left[offset] -= 1
            if not left[offset]:
                del left[offset]

    def committable(self) -> dict[Place, int]:
        """The offsets to go on from, of every partition where that has changed since last time."""
        news = {}
        for place, following in self._next.items():
            open_ = self._open.get(place)
            offset = next(iter(open_)) if open_ else following
            if offset != self._committed.get(place):
                news[place] = self._committed[place] = offset
        return news

    def forget(self) -> None:
        """The partitions were taken away: whoever has them now reads on from the last commit."""
        self._open.clear()
        self._next.clear()
        self._committed.clear()
