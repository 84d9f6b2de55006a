"""`/thresholds`: what counts now, every version so far, and a proposal of another."""

from __future__ import annotations

import yaml
from nicegui import ui

from connectors.configuration import Version, VersionState
from streams.console.diff import Row
from streams.console.elements import Button, Field, LiveTable, Words, panel
from streams.console.frame import Console, LivePage
from streams.console.policy_room import Counted, PolicyRoom
from streams.console.times import HospitalTime
from streams.console.units import percent
from streams.console.words import risk_words
from streams.errors import UserError
from streams.policy.desk import NOTHING
from streams.roles import Role

COUNTED_COLUMNS = (
    {"id": "risk", "label": "Risk", "kind": "text"},
    {"id": "wards", "label": "Wards", "kind": "text"},
    {"id": "fire", "label": "Alerts from", "kind": "text"},
    {"id": "clear", "label": "Ends below", "kind": "text"},
    {"id": "critical", "label": "Critical from", "kind": "text"},
    {"id": "confirm", "label": "Confirmed by", "kind": "text"},
)
VERSION_COLUMNS = (
    {"id": "state", "label": "State", "kind": "badge"},
    {"id": "version", "label": "Version", "kind": "person"},
    {"id": "why", "label": "Why", "kind": "text"},
    {"id": "author", "label": "By", "kind": "text"},
    {"id": "approved", "label": "Approved by", "kind": "text"},
    {"id": "at", "label": "Proposed", "kind": "text"},
)
STATES = {
    VersionState.PROPOSED: ("Waits for approval", "clock", "warning"),
    VersionState.APPROVED: ("Approved", "check", "warning"),
    VersionState.REJECTED: ("Rejected", "cross", "ended"),
    VersionState.ACTIVE: ("In force", "check", "calm"),
    VersionState.RETIRED: ("Retired", "check", "ended"),
    VersionState.ROLLED_BACK: ("Rolled back", "cross", "ended"),
}
_SHIPPED = "In force: the thresholds that the models ship with."
_SAME = "Nothing would change."


class ThresholdsPage(LivePage):
    """The policy of alerts, for those who tune it."""

    path = "/thresholds"

    def __init__(self, console: Console, room: PolicyRoom, risk: str = "", fire: str = "") -> None:
        super().__init__(console)
        self._room = room
        self._tried = (risk, fire)  # a threshold that comes from the back-test
        self._filled = False
        with ui.element("div").props("id=main tabindex=-1").classes("page lists"):
            with ui.element("div").classes("head"):
                Words("h1", "Thresholds")
                self._summary = Words("p").classes("summary")
            with panel("What counts now"):
                self._counted = LiveTable(COUNTED_COLUMNS, "What counts now", "Reading …")
                if self.person.may(Role.OPERATOR):
                    self._build_roll_back()
            with panel("Versions"):
                self._versions = LiveTable(VERSION_COLUMNS, "Versions, newest first", "Reading …")
            if self.person.may(Role.OPERATOR):
                self._build_proposal()

    def _build_roll_back(self) -> None:
        self._back = ui.element("div").classes("one-click")
        with self._back:
            self._back_why = Field("Why (kept in the audit)", "", kind="text")
            Button("Roll back", self._roll_back)
        self._back_done = Words("p").classes("result").props('role="status"')
        self._back.set_visibility(False)

    def _build_proposal(self) -> None:
        with panel("Propose another version"):
            Words(
                "p",
                "What is not said is as the models ship it. A version changes nothing until it is "
                "approved and activated.",
            ).classes("help")
            self._done = Words("p").classes("result").props('role="status"')
            self._text = Field("The policy (YAML)", "", kind="lines", rows=10)
            self._why = Field("Why (kept with the version)", "", kind="text")
            with ui.element("div").classes("buttons"):
                Button("Show what would change", self._check)
                Button("Propose", self._propose, "strong")
            self._diff = DiffView()

    # ── keeping up ──────────────────────────────────────────────────────────────────────────

    async def refresh(self) -> None:
        """As the log has it."""
        room = self._room
        if room.newest is not None:
            version = room.in_force()
            self._summary.text = f"In force: version {version.name}." if version else _SHIPPED
            self._counted.show([counted_row(c) for c in room.counted()], "No risks.")
            rows = [version_row(v, self.console.times) for v in room.versions()]
            self._versions.show(rows, "No version has been proposed yet.")
            if self.person.may(Role.OPERATOR):
                self._back.set_visibility(version is not None)
                self._fill(version)
        self.show_status("Thresholds – Tocsin", room.problem)

    def _fill(self, version: Version | None) -> None:
        """The editor begins with what is in force, once."""
        if not self._filled:
            self._filled = True
            text = version.policy if version else NOTHING
            risk, fire = self._tried
            self._text.put(with_fire(text, risk, float(fire)) if _is_tried(risk, fire) else text)

    # ── what people do ──────────────────────────────────────────────────────────────────────

    async def _check(self) -> None:
        try:
            checked = await self._room.check(self._text.value)
        except UserError as error:
            self._done.text = str(error)
            return
        self._done.text = " ".join([*checked.notes, *([] if checked.diff else [_SAME])])
        self._diff.show(checked.diff)

    async def _propose(self) -> None:
        who, text, why = self.person.subject, self._text.value, self._why.value
        try:
            version = await self._room.propose(text, who=who, reason=why)
        except UserError as error:
            self._done.text = str(error)
            return
        self._done.text = f"Proposed as version {version.name}."
        self._diff.show([])
        self.wake()

    async def _roll_back(self) -> None:
        version, who = self._room.in_force(), self.person.subject
        if version is None:
            return
        try:
            again = await self._room.roll_back(version.name, who=who, reason=self._back_why.value)
        except UserError as error:
            self._back_done.text = str(error)
            return
        counts = f"version {again.name}" if again else "what the models ship with"
        self._back_done.text = f"Version {version.name} is rolled back: {counts} is in force again."
        self.wake()


def _is_tried(risk: str, fire: str) -> bool:
    try:
        return bool(risk) and 0 < float(fire) < 1
    except ValueError:
        return False


def with_fire(text: str, risk: str, fire: float) -> str:
    """The policy with another firing threshold of a risk; comments are lost."""
    said = yaml.safe_load(text) or {}
    said.setdefault("risks", {}).setdefault(risk, {})["fire"] = round(fire, 4)
    return str(yaml.safe_dump(said, sort_keys=False, allow_unicode=True))


class DiffView:
    """Lines that come and go."""

    def __init__(self) -> None:
        self._lines = ui.element("ol").classes("message").props("tabindex=0")

    def show(self, lines: list[str]) -> None:
        """As `diff -u` has them; none: nothing is shown."""
        self._lines.clear()
        with self._lines:
            for line in lines:
                kind = {"+": "added", "-": "removed"}.get(line[:1], "")
                Words("li", line).classes(kind)


def counted_row(counted: Counted) -> Row:
    """One rule; what a version changed is said beside what ships."""
    rule, shipped = counted.rule, counted.shipped
    confirm = f"{rule.scores} of {rule.of} scores" if rule.of > 1 else "one score"
    if rule.lasting_s:
        confirm += f", {rule.lasting_s / 60:.0f} min"
    return Row(
        key=f"{counted.risk}/{counted.wards}",
        tone="",
        cells=[
            {"v": risk_words(counted.risk).name},
            {"v": counted.wards or "all others" if counted.wards else "all"},
            _level(rule.fire, shipped.fire),
            _level(rule.clear, shipped.clear),
            _level(rule.critical, shipped.critical),
            {"v": confirm},
        ],
    )


def _level(now: float, shipped: float) -> dict[str, str]:
    cell = {"v": percent(now)}
    return cell if now == shipped else cell | {"sub": f"shipped: {percent(shipped)}"}


def version_row(version: Version, times: HospitalTime) -> Row:
    """One line of the history."""
    words, icon, tone = STATES[version.state]
    return Row(
        key=version.name,
        tone="ended" if tone == "ended" else "",
        cells=[
            {"icon": icon, "tone": tone, "v": words},
            {"v": version.name, "href": f"/thresholds/{version.name}"},
            {"v": version.reason},
            {"v": version.author},
            {"v": ", ".join(version.approved_by) or "–"},
            {"v": times.stamp(version.proposed_at)},
        ],
    )
