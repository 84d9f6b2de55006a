"""`/thresholds/{version}`: one version: what it changes, who did what, and what may be done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from connectors.configuration import TRANSITIONS, ConfigEvent, Step, Version, VersionState
from streams.console.elements import Button, Field, Words, panel
from streams.console.frame import Console, LivePage
from streams.console.policy_room import PolicyRoom
from streams.console.thresholds_page import STATES, DiffView
from streams.console.times import HospitalTime
from streams.errors import UserError
from streams.roles import Role

_DONE = {
    Step.PROPOSED: "proposed it",
    Step.APPROVED: "approved it",
    Step.REJECTED: "rejected it",
    Step.ACTIVATED: "put it into force",
    Step.ROLLED_BACK: "rolled it back",
}


class VersionPage(LivePage):
    """Everything about one version."""

    section = "/thresholds"

    def __init__(self, console: Console, room: PolicyRoom, name: str) -> None:
        self.path = f"/thresholds/{name}"
        super().__init__(console)
        self._room = room
        self._name = name
        self._shown: tuple[VersionState, int] | None = None
        with ui.element("div").props("id=main tabindex=-1").classes("page"):
            with ui.element("div").classes("identity"):
                Words("h1", f"Version {name}")
                self._state = Words("p")
                self._why = Words("p").classes("muted")
            self._note = Words("p", "Reading the versions …").classes("state-note")
            self._note.props('role="status"')
            self._body = ui.element("div").classes("columns even")
        with self._body:
            with ui.element("div"):
                with panel("What it changes"):
                    self._base = Words("p").classes("help")
                    self._diff = DiffView()
                with panel("The whole of it"):
                    self._policy = Words("pre").classes("message").props("tabindex=0")
            with ui.element("div"):
                with panel("What was done"):
                    self._events = ui.element("ul")
                if self.person.may(Role.APPROVER):
                    self._build_steps()
        self._body.set_visibility(False)

    def _build_steps(self) -> None:
        with panel("What to do"):
            self._done = Words("p").classes("result").props('role="status"')
            self._reason = Field("Why (kept in the audit)", "", kind="text")
            with ui.element("div").classes("buttons"):
                self._buttons = {
                    Step.APPROVED: Button("Approve", self._approve, "strong"),
                    Step.ACTIVATED: Button("Put into force", self._activate, "strong"),
                    Step.REJECTED: Button("Reject", self._reject),
                    Step.ROLLED_BACK: Button("Roll back", self._roll_back),
                }

    async def refresh(self) -> None:
        """As the log has it."""
        version = self._room.version(self._name)
        if version is not None and (version.state, len(version.events)) != self._shown:
            self._shown = (version.state, len(version.events))
            self._show(version)
        elif version is None and self._room.newest is not None:
            self._note.text = "There is no version of this name."
        self.show_status(f"Version {self._name} – Tocsin", self._room.problem)

    def _show(self, version: Version) -> None:
        self._state.text = STATES[version.state][0]
        self._why.text = version.reason
        base = f"version {version.base}" if version.base else "what the models ship with"
        self._base.text = f"Against {base}, which was in force when it was written."
        self._diff.show(version.diff)
        self._policy.text = version.policy
        self._events.clear()
        with self._events:
            for event in version.events:
                Words("li", event_words(event, self.console.times))
        if self.person.may(Role.APPROVER):
            for step, button in self._buttons.items():
                button.set_visibility((version.state, step) in TRANSITIONS)
        self._note.set_visibility(False)
        self._body.set_visibility(True)

    # ── what people do ──────────────────────────────────────────────────────────────────────

    async def _approve(self) -> None:
        await self._do(self._room.approve, "Approved.")

    async def _activate(self) -> None:
        await self._do(self._room.activate, "In force from now on.")

    async def _reject(self) -> None:
        await self._do(self._room.reject, "Rejected.")

    async def _roll_back(self) -> None:
        await self._do(self._room.roll_back, "Rolled back.")

    async def _do(self, step: Callable[..., Awaitable[object]], done: str) -> None:
        who, reason = self.person.subject, self._reason.value
        try:
            await step(self._name, who=who, reason=reason)
        except UserError as error:
            self._done.text = str(error)
        else:
            self._done.text = done
        self.wake()


def event_words(event: ConfigEvent, times: HospitalTime) -> str:
    """`23 Nov 14:03: ann approved it: looks right.`"""
    why = f": {event.reason}" if event.reason else ""
    return f"{times.stamp(event.at)}: {event.who} {_DONE[event.step]}{why}."
