"""`/quarantine`: what could not be understood, by reason and feed."""

from __future__ import annotations

from nicegui import ui

from connectors.clock import from_iso
from connectors.quarantine_log import Item, State
from streams.console.diff import Row
from streams.console.elements import Field, LiveTable, Words
from streams.console.frame import Console, LivePage
from streams.console.quarantine_room import QuarantineRoom
from streams.console.times import HospitalTime
from streams.console.words import plain
from streams.quarantine_desk import fits

COLUMNS = (
    {"id": "state", "label": "State", "kind": "badge"},
    {"id": "what", "label": "What is wrong", "kind": "person"},
    {"id": "where", "label": "Where", "kind": "text"},
    {"id": "message", "label": "Message", "kind": "text"},
    {"id": "source", "label": "Source", "kind": "text"},
    {"id": "received", "label": "Received", "kind": "text"},
)
OPEN, ALL = "", "all"
STATES = {State.OPEN: "Open", State.REDRIVEN: "Sent again", State.DISCARDED: "Discarded"}
_OPTIONS = [
    (OPEN, "Open"),
    (ALL, "All"),
    (State.REDRIVEN.value, "Sent again"),
    (State.DISCARDED.value, "Discarded"),
]
_ICONS = {State.OPEN: "warning", State.REDRIVEN: "check", State.DISCARDED: "cross"}
_MOST = 300  # rows; filters find the rest


class QuarantinePage(LivePage):
    """Items, newest first."""

    path = "/quarantine"

    def __init__(
        self, console: Console, room: QuarantineRoom, reason: str, source: str, state: str
    ) -> None:
        super().__init__(console)
        self._room = room
        self._state = state if state in dict(_OPTIONS) else OPEN
        with ui.element("div").props("id=main tabindex=-1").classes("page lists"):
            with ui.element("div").classes("head"):
                Words("h1", "Quarantine")
                self._summary = Words("p").classes("summary")
                with ui.element("div").classes("filters"):
                    self._reason = Field("Reason", reason, self._choose, [(reason, reason)])
                    self._source = Field("Source", source, self._choose, [(source, source)])
                    self._shown = Field("Show", self._state, self._choose, _OPTIONS)
            self._table = LiveTable(COLUMNS, "Quarantine, newest first", "Reading the quarantine …")

    def _choose(self, _: str) -> None:
        self.remember(reason=self._reason.value, source=self._source.value, state=self._shown.value)
        self.wake()

    async def refresh(self) -> None:
        """The list as it was read last."""
        items = self._room.items()
        if self._room.loaded:
            found = [item for item in items if self._wanted(item)]
            rows = [item_row(item, self.console.times) for item in found[:_MOST]]
            self._table.show(rows, self._empty())
            self._summary.text = _counts(len(found), items)
        self._offer(items)
        self.show_status("Quarantine – Tocsin", self._room.problem)

    def _wanted(self, item: Item) -> bool:
        shown = self._shown.value
        return fits(item, self._reason.value, self._source.value, every=shown != OPEN) and (
            shown in (OPEN, ALL) or item.state == shown
        )

    def _offer(self, items: list[Item]) -> None:
        reasons = {i.record.reason for i in items} | {self._reason.value}
        sources = {i.record.source for i in items} | {self._source.value}
        self._reason.offer([("", "Any reason"), *((r, plain(r)) for r in sorted(reasons - {""}))])
        self._source.offer([("", "Any source"), *((s, s) for s in sorted(sources - {""}))])

    def _empty(self) -> str:
        if self._reason.value or self._source.value or self._shown.value != OPEN:
            return "Nothing in quarantine fits the filter."
        return "Nothing waits in quarantine. New items appear here by themselves."


def item_row(item: Item, times: HospitalTime) -> Row:
    """One line of the list."""
    record = item.record
    open_ = item.state is State.OPEN
    tone = "warning" if open_ else "ended"
    where = record.location or ("a part of it" if record.partial else "all of it")
    again = f"{item.times} times" if item.times > 1 else ""
    return Row(
        key=record.id,
        tone=tone,
        cells=[
            {"icon": _ICONS[item.state], "tone": tone, "v": STATES[item.state]},
            {
                "v": plain(record.reason),
                "href": f"/quarantine/{record.id}",
                "sub2": record.detail,
            },
            {"v": where},
            {"v": record.message_type or "–"},
            {"v": record.source or "–"},
            {"v": _moment(record.received_at, times), "sub": again},
        ],
    )


def _moment(text: str, times: HospitalTime) -> str:
    try:
        return times.stamp(from_iso(text))
    except ValueError:
        return text


def _counts(shown: int, items: list[Item]) -> str:
    waiting = sum(item.state is State.OPEN for item in items)
    text = f"{waiting} open"
    return text + (f"; the newest {_MOST} of {shown} are listed" if shown > _MOST else "")
