"""`/`: the live list of alerts."""

from __future__ import annotations

from nicegui import ui

from connectors.contract import Alert, AlertState
from streams.console.acts import Acts
from streams.console.care import KEYS_HELP
from streams.console.diff import Row
from streams.console.elements import Field, LiveTable, Words
from streams.console.frame import Console, LivePage, ward_options
from streams.console.rows import ALERT_COLUMNS, alert_row, announcement
from streams.console.words import STATES, full_name, is_open, place, risk_words

OPEN, ALL = "", "all"
_CALLS = frozenset({AlertState.FIRING, AlertState.ESCALATED})  # states that somebody must hear
_STATE_OPTIONS = [(OPEN, "Open alerts"), (ALL, "All, last 24 h")] + [
    (state.value, words) for state, words in STATES.items()
]
_MOST_ANNOUNCED = 3


class AlertsPage(LivePage):
    """Alerts by severity and time, filtered by ward and state."""

    path = "/"

    def __init__(self, console: Console, ward: str, state: str) -> None:
        super().__init__(console)
        self._ward = ward
        self._state = state if state in {key for key, _ in _STATE_OPTIONS} else OPEN
        self._heard: dict[str, AlertState] | None = None
        with ui.element("div").props("id=main tabindex=-1").classes("page lists"):
            with ui.element("div").classes("head"):
                Words("h1", "Alerts")
                self._summary = Words("p").classes("summary")
                with ui.element("div").classes("filters"):
                    self._wards = Field("Ward", ward, self._choose_ward, [(ward, ward)])
                    Field("Show", self._state, self._choose_state, _STATE_OPTIONS)
            self._acts = Acts(
                console.board,
                console.feedback,
                self.person,
                console.clock,
                self._title_of,
                self.wake,
            )
            on_act = self._acts.pressed if self._acts.allowed else None
            self._table = LiveTable(
                ALERT_COLUMNS, "Alerts, most urgent first", "Loading the alerts …", on_act
            )
            if self._acts.allowed:
                Words("p", KEYS_HELP).classes("help keys")
            self._acts.build()

    def _choose_ward(self, ward: str) -> None:
        self._ward = ward
        self._filtered()

    def _choose_state(self, state: str) -> None:
        self._state = state
        self._filtered()

    def _filtered(self) -> None:
        self._heard = None  # what a filter brings up is not news
        self.remember(ward=self._ward, state=self._state)
        self.wake()

    async def refresh(self) -> None:
        """The list as it is now."""
        lists = self.console.lists
        listed = lists.alerts(self._ward, self._state, self._wanted)
        if self.console.board.status().loaded:
            await self.names.learn(a.patient for a in listed.alerts)
            rows = [self._row(alert) for alert in listed.alerts]
            self._table.show(rows, self._empty(), self._news(listed.alerts))
            self._summary.text = listed.counts.capitalize()
        self._wards.offer(ward_options(lists.wards(), self._ward))
        self.show_status(f"{listed.counts} – Tocsin")

    def _wanted(self, alert: Alert) -> bool:
        if self._state == OPEN:
            return is_open(alert)
        return self._state in (ALL, alert.state)

    def _row(self, alert: Alert) -> Row:
        """Shared with the pages that show the same; made again only when that has changed."""
        board, identity = self.console.board, self.names.get(alert.patient)
        note = self._acts.words(alert.alert_id)
        look = f"alerts {identity is not None} {self._acts.allowed} {note}"
        return self.console.lists.row(
            (alert.alert_id, look),
            (board.stamp(alert.alert_id), identity),
            lambda: alert_row(
                alert,
                board.score_of(alert),
                identity,
                self.console.times,
                self._acts.cell(alert),
            ),
        )

    def _title_of(self, alert: Alert) -> str:
        name = full_name(self.names.get(alert.patient), alert.patient)
        return f"{risk_words(alert.risk).name}: {name}, {place(alert.ward, alert.bed)}"

    def _news(self, shown: list[Alert]) -> tuple[list[str], str] | None:
        """Alerts that have come to call for somebody since the last look."""
        before, self._heard = self._heard, {a.alert_id: a.state for a in shown}
        if before is None:
            return None
        new = [a for a in shown if a.state in _CALLS and before.get(a.alert_id) is not a.state]
        if not new:
            return None
        score_of, name_of = self.console.board.score_of, self.names.get
        said = [announcement(a, score_of(a), name_of(a.patient)) for a in new[:_MOST_ANNOUNCED]]
        if len(new) > _MOST_ANNOUNCED:
            said.append(f"and {len(new) - _MOST_ANNOUNCED} more")
        return [a.alert_id for a in new], "; ".join(said)

    def _empty(self) -> str:
        where = f" in ward {self._ward}" if self._ward else ""
        what = "open alerts" if self._state == OPEN else "alerts of this kind"
        return f"No {what}{where}. New ones appear here by themselves."
