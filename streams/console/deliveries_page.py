"""`/deliveries`: what waits and what was told, by receiver; and what could not be told, and what is
decided about it."""

from __future__ import annotations

from typing import Any

from nicegui import background_tasks, ui

from connectors.clock import from_iso
from connectors.sinks.deliveries import DeadReason, Delivery
from streams.console.deliveries_room import DeliveriesRoom, ReceiverView
from streams.console.diff import Cell, Row
from streams.console.elements import Field, LiveTable, Words, panel
from streams.console.frame import Console, LivePage
from streams.console.rows import href
from streams.console.times import HospitalTime, duration
from streams.console.words import STATES, plain, risk_words
from streams.errors import UserError

RECEIVER_COLUMNS = (
    {"id": "receiver", "label": "Receiver", "kind": "text"},
    {"id": "state", "label": "State", "kind": "badge"},
    {"id": "waiting", "label": "Under way", "kind": "text"},
    {"id": "told", "label": "Told, last 24 h", "kind": "text"},
    {"id": "dead", "label": "Not told", "kind": "text"},
)
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


_SILENT = "tocsin sinks says nothing: what waits to be told is not known."


class DeliveriesPage(LivePage):
    """Receivers, then dead letters, oldest first."""

    path = "/deliveries"

    def __init__(self, console: Console, room: DeliveriesRoom) -> None:
        super().__init__(console)
        self._room = room
        with ui.element("div").props("id=main tabindex=-1").classes("page lists"):
            with ui.element("div").classes("head"):
                Words("h1", "Deliveries")
                self._summary = Words("p").classes("summary")
            with panel("Receivers"):
                self._receivers = LiveTable(RECEIVER_COLUMNS, "Receivers", "Reading …")
            with panel("Not delivered"):
                with ui.element("div").classes("filters"):
                    self._why = Field("Why (kept in the audit)", "", kind="text")
                self._done = Words("p").classes("result").props('role="status"')
                self._table = LiveTable(COLUMNS, "Dead letters", "Reading …", self._act)

    async def refresh(self) -> None:
        """As log and store have them."""
        view = self._room.newest
        problem = self._room.problem
        if view is not None:
            now, times = self.console.clock(), self.console.times
            rows = [receiver_row(r, now, times) for r in view.receivers]
            self._receivers.show(rows, "Nobody is told of alerts: sinks.receivers is empty.")
            letters = [letter_row(letter, times) for letter in view.letters]
            self._table.show(letters, "Nothing has been given up.")
            self._summary.text = _summary(view.receivers, spoken=view.spoken)
            problem = problem or ("" if view.spoken or not view.receivers else _SILENT)
        self.show_status("Deliveries – Tocsin", problem)

    def _act(self, event: dict[str, Any]) -> None:
        letter = next((x for x in self._letters() if x.id == event.get("key")), None)
        if letter is not None and event.get("action") in ("retry", "discard"):
            again = event["action"] == "retry"
            background_tasks.create(self._decide(letter, again=again), name="dead letter")

    def _letters(self) -> list[Delivery]:
        return self._room.newest.letters if self._room.newest else []

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


def _summary(receivers: list[ReceiverView], *, spoken: bool) -> str:
    waiting = sum(r.standing.waiting for r in receivers if r.standing)
    told, dead = sum(r.told.delivered for r in receivers), sum(r.dead for r in receivers)
    under_way = f"{waiting} under way, " if spoken else ""
    return f"{under_way}{told} told in the last 24 h, {dead} wait for a decision"


def receiver_row(view: ReceiverView, now: float, times: HospitalTime) -> Row:
    """One receiver: what waits, what it was told, what it was not."""
    standing, told = view.standing, view.told
    waiting: Cell = {"v": "Not known"}
    state: Cell = {"v": "Not known", "tone": "", "icon": "clock"}
    if standing is not None:
        waiting = {"v": str(standing.waiting)}
        if standing.waiting:
            waiting["sub"] = f"the oldest for {duration(now - standing.oldest)}"
        state = {"v": "Answers", "tone": "", "icon": "check"}
        if standing.paused:
            state = {"v": "Does not answer", "tone": "warning", "icon": "warning"}
    newest = f"newest {times.stamp(told.newest)}" if told.newest else ""
    more = f"{told.superseded} overtaken by a newer revision" if told.superseded else ""
    return Row(
        key=view.name,
        tone="warning" if (standing and standing.paused) or view.dead else "",
        cells=[
            {"v": view.name},
            state,
            waiting,
            {"v": str(told.delivered), "sub": ", ".join(x for x in (newest, more) if x)},
            {"v": str(view.dead)},
        ],
    )


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
