"""`/deliveries`: alerts that a receiver could not be told of, and what is decided about them."""

from __future__ import annotations

from typing import Any

from nicegui import background_tasks, ui

from connectors.clock import from_iso
from connectors.sinks.deliveries import DeadReason, Delivery
from streams.console.dead_letter_room import DeadLetterRoom
from streams.console.diff import Row
from streams.console.elements import Field, LiveTable, Words
from streams.console.frame import Console, LivePage
from streams.console.rows import href
from streams.console.times import HospitalTime
from streams.console.words import STATES, plain, risk_words
from streams.errors import UserError

COLUMNS = (
    {"id": "receiver", "label": "Receiver", "kind": "text"},
    {"id": "patient", "label": "Alert", "kind": "person"},
    {"id": "why", "label": "Why not", "kind": "text"},
    {"id": "attempts", "label": "Attempts", "kind": "text"},
    {"id": "at", "label": "Given up", "kind": "text"},
    {"id": "care", "label": "What to do", "kind": "care"},
)
REASONS = {
    DeadReason.REFUSED: "The receiver does not want it",
    DeadReason.GAVE_UP: "The receiver could not be reached",
    DeadReason.QUEUE_FULL: "Too many waited, and this was the oldest",
    DeadReason.UNKNOWN_RECEIVER: "The routing names a receiver that is not set up",
    DeadReason.FAILED: "An error in Tocsin itself",
}
_BUTTONS = [["retry", "Try again"], ["discard", "Discard"]]


class DeliveriesPage(LivePage):
    """Dead letters, oldest first."""

    path = "/deliveries"

    def __init__(self, console: Console, room: DeadLetterRoom) -> None:
        super().__init__(console)
        self._room = room
        with ui.element("div").props("id=main tabindex=-1").classes("page lists"):
            with ui.element("div").classes("head"):
                Words("h1", "Not delivered")
                self._summary = Words("p").classes("summary")
                with ui.element("div").classes("filters"):
                    self._why = Field("Why (kept in the audit)", "", kind="text")
            self._done = Words("p").classes("result").props('role="status"')
            self._table = LiveTable(COLUMNS, "Dead letters", "Reading …", self._act)

    async def refresh(self) -> None:
        """As the log has them."""
        letters = self._room.newest
        if letters is not None:
            rows = [letter_row(letter, self.console.times) for letter in letters]
            self._table.show(rows, "Every alert has reached its receivers.")
            self._summary.text = f"{len(letters)} wait for a decision" if letters else ""
        self.show_status("Not delivered – Tocsin", self._room.problem)

    def _act(self, event: dict[str, Any]) -> None:
        letter = next((x for x in self._room.newest or () if x.id == event.get("key")), None)
        if letter is not None and event.get("action") in ("retry", "discard"):
            again = event["action"] == "retry"
            background_tasks.create(self._decide(letter, again=again), name="dead letter")

    async def _decide(self, letter: Delivery, *, again: bool) -> None:
        who, why = self.person.subject, self._why.value
        try:
            await self._room.decide(letter, who=who, why=why, again=again)
        except UserError as error:
            said = str(error).replace("--why", "above:")
        else:
            said = f"{letter.receiver}: {'will be tried again' if again else 'discarded'}."
        with self.client:
            self._done.text = said
        self.wake()


def letter_row(letter: Delivery, times: HospitalTime) -> Row:
    """One alert revision that one receiver does not have."""
    known = letter.reason in set(DeadReason)
    why = REASONS[DeadReason(letter.reason)] if known else plain(letter.reason)
    return Row(
        key=letter.id,
        tone="warning",
        revision=letter.revision,
        cells=[
            {"v": letter.receiver},
            {
                "v": f"{risk_words(letter.risk).name}, {STATES[letter.state].lower()}",
                "href": href(letter.patient),
                "sub2": f"revision {letter.revision}",
            },
            {"v": why, "sub": letter.detail},
            {"v": str(letter.attempts)},
            {"v": times.stamp(from_iso(letter.at))},
            {"note": "", "acts": _BUTTONS},
        ],
    )
