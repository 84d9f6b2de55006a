"""What open pages have in common, made once for all of them: orders, counts and rows.

A page that may show names asks with the identities that it has looked up itself; the rows without
names are others.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from connectors.contract import Alert
from streams.console.board import Board
from streams.console.diff import Row
from streams.console.rows import counts, order

_MOST_LISTS: Final = 500  # addresses may name any ward
_SPARE_ROWS: Final = 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of alerts in order, and what is said of all that it was chosen from."""

    alerts: list[Alert]
    counts: str


@dataclass(slots=True)
class _Kept:
    basis: Hashable
    row: Row


@dataclass(slots=True)
class Lists:
    """Orders are made anew when the board has news, rows when their `basis` is another."""

    board: Board
    _news: int = -1
    _lists: dict[tuple[str, str, str], object] = field(default_factory=dict)
    _rows: dict[tuple[str, str], _Kept] = field(default_factory=dict)

    def alerts(self, ward: str, kind: str, wanted: Callable[[Alert], bool]) -> Listed:
        """Alerts of a ward ("": of all), most urgent first; `kind` names what is wanted."""

        def make() -> Listed:
            there = [a for a in self.board.alerts.values() if ward in ("", a.ward)]
            return Listed(sorted(filter(wanted, there), key=order), counts(there))

        return self._once(("alerts", ward, kind), make)

    def patients(self, ward: str) -> list[str]:
        """Pseudonyms of a ward ("": of all), by ward and bed."""

        def make() -> list[str]:
            there = [p for p in self.board.patients.values() if ward in ("", p.ward)]
            there.sort(key=lambda p: (p.ward, _bed_order(p.bed), p.pseudonym))
            return [p.pseudonym for p in there]

        return self._once(("patients", ward, ""), make)

    def wards(self) -> list[str]:
        """Every ward that has a patient or an alert."""

        def make() -> list[str]:
            board = self.board
            wards = {a.ward for a in board.alerts.values()}
            return sorted((wards | {p.ward for p in board.patients.values()}) - {""})

        return self._once(("wards", "", ""), make)

    def row(self, key: tuple[str, str], basis: Hashable, make: Callable[[], Row]) -> Row:
        """The row of that key: (id, look). Made again when `basis`, what it shows, is another."""
        kept = self._rows.get(key)
        if kept is None or kept.basis != basis:
            kept = self._rows[key] = _Kept(basis, make())
        return kept.row

    def _once(self, key: tuple[str, str, str], make: Callable[[], T]) -> T:
        if self._news != self.board.news or len(self._lists) > _MOST_LISTS:
            self._news = self.board.news
            self._lists.clear()
            self._prune()
        if key not in self._lists:
            self._lists[key] = make()
        return self._lists[key]  # type: ignore[return-value]  # a key has one maker

    def _prune(self) -> None:
        known = len(self.board.alerts) + len(self.board.patients)
        if len(self._rows) > 4 * known + _SPARE_ROWS:
            there = self.board.alerts.keys() | self.board.patients.keys()
            self._rows = {key: kept for key, kept in self._rows.items() if key[0] in there}


def _bed_order(bed: str) -> tuple[int, str]:
    """Bed 2 before bed 10."""
    digits = "".join(c for c in bed if c.isdigit())
    return (int(digits) if digits else 0, bed)
