"""`/quarantine/{id}`: one item: what is wrong, the message, and what can be done about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import background_tasks, ui

from connectors.quarantine_log import Item, State
from streams.console.elements import Button, Field, Words, panel
from streams.console.frame import Console, LivePage
from streams.console.quarantine_page import STATES
from streams.console.quarantine_room import QuarantineRoom
from streams.console.words import plain
from streams.errors import UserError
from streams.quarantine_desk import Look
from streams.roles import SEES_MESSAGES

_MOST_LINES = 400
_MASKED = (
    "Letters and digits of everything that could name a person are hidden; the shape of the "
    "message stays."
)


class QuarantineItemPage(LivePage):
    """Everything about one item."""

    section = "/quarantine"

    def __init__(self, console: Console, room: QuarantineRoom, name: str) -> None:
        self.path = f"/quarantine/{name}"
        super().__init__(console)
        self._room = room
        self._name = name
        self._item: Item | None = None
        self._seen: tuple[State, int] | None = None
        self._looking = False
        with ui.element("div").props("id=main tabindex=-1").classes("page"):
            with ui.element("div").classes("identity"):
                self._title = Words("h1", "Quarantine")
                self._about = Words("p")
                self._state = Words("p").classes("muted")
            self._note = Words("p", "Reading the quarantine …").classes("state-note")
            self._note.props('role="status"')
            self._body = ui.element("div").classes("columns")
        with self._body:
            with ui.element("div"):
                self._build_findings()
                self._build_actions()
            self._build_message()
        self._body.set_visibility(False)

    # ── building ────────────────────────────────────────────────────────────────────────────

    def _build_findings(self) -> None:
        with panel("What is wrong"):
            self._detail = Words("p")
            self._findings = ui.element("ul")
            self._outcome = Words("p").classes("facts")

    def _build_actions(self) -> None:
        with panel("What to do"):
            self._done = Words("p").classes("result").props('role="status"')
            self._why = Field(
                "Why (kept in the audit)", "", kind="text", help="e.g. the number was missing"
            )
            self._change = Field(
                "A field anew", "", kind="text", help="PID-3=4711^^^HOSP^MR or OBX[2]-5=4.1"
            )
            self._force = Field("Send even if it is still refused", "", kind="check")
            with ui.element("div").classes("buttons"):
                Button("Mend the field and send", self._mend, "strong")
                self._as_is = Button("Send again as it is", self._redrive)
                Button("Discard", self._discard)

    def _build_message(self) -> None:
        with panel("The message"):
            self._help = Words("p", _MASKED).classes("help")
            self._lines = ui.element("ol").classes("message").props("tabindex=0")
            self._editor = ui.element("div")
            with self._editor:
                self._text = Field("The message as received", "", kind="lines", rows=16)
                with ui.element("div").classes("buttons"):
                    Button("Send the edited message", self._rewrite, "strong")
            self._editor.set_visibility(False)
            if self.person.may(SEES_MESSAGES):
                with ui.element("div").classes("buttons"):
                    Button("Show patient data to edit it (audited)", self._unmask)

    # ── keeping up ──────────────────────────────────────────────────────────────────────────

    async def refresh(self) -> None:
        """Look again when the item has changed."""
        item = self._room.item(self._name)
        if item is not None and (item.state, item.times) != self._seen and not self._looking:
            self._looking = True
            background_tasks.create(self._look(item), name="look at a quarantine item")
        elif item is None and self._room.loaded:
            self._note.text = "There is no such item (any more)."
        self.show_status(f"{self._title.text} – Tocsin", self._room.problem)

    async def _look(self, item: Item) -> None:
        try:
            look = await self._room.look(item)
        except UserError as error:
            self._note.text = str(error)
            self._note.set_visibility(True)
        else:
            with self.client:
                self._show(look)
            self._seen = (item.state, item.times)
        finally:
            self._looking = False

    def _show(self, look: Look) -> None:
        record, self._item = look.item.record, look.item
        self._title.text = f"Quarantine: {plain(record.reason).lower()}"
        kind, source = record.message_type or "unknown message", record.source or "unknown source"
        self._about.text = f"{kind} from {source}, received {record.received_at}"
        again = f", seen {look.item.times} times" if look.item.times > 1 else ""
        self._state.text = f"{STATES[look.item.state]}{again}"
        where = f" ({record.location})" if record.location else ""
        self._detail.text = f"{record.detail[:1].upper()}{record.detail[1:]}{where}."
        self._show_list(look.findings)
        self._outcome.text = (
            f"It cannot be sent again as it is: {look.obstacle}."
            if look.obstacle
            else f"Sent again now it would give: {look.outcome}."
        )
        self._as_is.set_visibility(not look.obstacle)
        self._show_message(look)
        self._note.set_visibility(False)
        self._body.set_visibility(True)

    def _show_list(self, findings: list[str]) -> None:
        self._findings.clear()
        with self._findings:
            for finding in findings:
                Words("li", finding)

    def _show_message(self, look: Look) -> None:
        self._lines.clear()
        if not look.text:
            self._help.text = f"{look.size} bytes of {look.content_type}: not shown here."
            return
        lines = look.text.split("\n")
        with self._lines:
            for number, line in enumerate(lines[:_MOST_LINES]):
                shown = Words("li", line)
                if number == look.marked:
                    shown.classes("marked").props('aria-label="Here is what is wrong"')
        if len(lines) > _MOST_LINES:
            self._help.text = f"{_MASKED} The first {_MOST_LINES} of {len(lines)} lines."

    # ── what people do ──────────────────────────────────────────────────────────────────────

    async def _mend(self) -> None:
        async def step(item: Item) -> str:
            if not self._change.value.strip():
                raise UserError("Say which field and its value, e.g. PID-3=4711^^^HOSP^MR.")
            force = bool(self._force.value)
            changes = [self._change.value.strip()]
            gives = await self._room.mend(item, changes, self._who, self._why.value, force=force)
            return f"Sent again: {gives}."

        await self._do(step)

    async def _rewrite(self) -> None:
        async def step(item: Item) -> str:
            force = bool(self._force.value)
            text = self._text.value
            gives = await self._room.mend(item, text, self._who, self._why.value, force=force)
            return f"Sent again: {gives}."

        await self._do(step)

    async def _redrive(self) -> None:
        async def step(item: Item) -> str:
            await self._room.redrive(item, self._who, self._why.value)
            return "Sent again as it was received."

        await self._do(step)

    async def _discard(self) -> None:
        async def step(item: Item) -> str:
            await self._room.discard(item, self._who, self._why.value)
            return "Discarded. The bytes stay in the log."

        await self._do(step)

    async def _unmask(self) -> None:
        async def step(item: Item) -> str:
            self._text.put(await self._room.text(item, self._who, self._why.value))
            self._editor.set_visibility(True)
            return "Shown, and noted in the audit."

        await self._do(step)

    async def _do(self, step: Callable[[Item], Awaitable[str]]) -> None:
        if self._item is None:
            return
        try:
            self._done.text = await step(self._item)
        except UserError as error:
            self._done.text = str(error)
        self.wake()

    @property
    def _who(self) -> str:
        return self.person.subject
