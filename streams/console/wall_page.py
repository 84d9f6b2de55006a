"""`/wall?ward=`: the open alerts of a ward in large type, by bed; no names, nothing to press."""

from __future__ import annotations

from nicegui import ui

from connectors.clock import from_iso
from connectors.contract import Alert, AlertState, Score
from streams.console.diff import Row
from streams.console.elements import LiveTable, Words
from streams.console.evidence import reasons
from streams.console.frame import Console, LivePage
from streams.console.rows import badge, counts, tone
from streams.console.times import HospitalTime, duration
from streams.console.units import percent
from streams.console.words import contribution_words, is_open, risk_words

COLUMNS = (
    {"id": "bed", "label": "Bed", "kind": "text"},
    {"id": "state", "label": "Alert", "kind": "badge"},
    {"id": "risk", "label": "Risk", "kind": "text"},
    {"id": "why", "label": "Main reasons", "kind": "list"},
    {"id": "since", "label": "For", "kind": "text"},
)


class WallPage(LivePage):
    """What a ward sees from across the room."""

    section = "/"

    def __init__(self, console: Console, ward: str) -> None:
        self.path = f"/wall?ward={ward}"
        super().__init__(console)
        self._ward = ward
        where = f"Ward {ward}" if ward else "All wards"
        with ui.element("div").props("id=main tabindex=-1").classes("page lists wall"):
            with ui.element("div").classes("head"):
                Words("h1", where)
                self._summary = Words("p").classes("summary")
            self._table = LiveTable(COLUMNS, f"Open alerts, {where}", "Loading the alerts …")

    async def refresh(self) -> None:
        """The open alerts as they are now; those that are held back are not for the wall."""
        listed = self.console.lists.alerts(self._ward, "wall", _shown).alerts
        shown = sorted(listed, key=attended)
        if self.console.board.status().loaded:
            self._table.show([self._row(alert) for alert in shown], "No open alerts.")
            self._summary.text = counts(shown).capitalize()
        self.show_status(f"{counts(shown)} – Tocsin")

    def _row(self, alert: Alert) -> Row:
        board, ward = self.console.board, self._ward
        return self.console.lists.row(
            (alert.alert_id, f"wall {ward}"),
            board.stamp(alert.alert_id),
            lambda: wall_row(alert, board.score_of(alert), ward, self.console.times),
        )


def attended(alert: Alert) -> bool:
    """A wall is not scrolled: what somebody has taken gives place to what waits for one."""
    return alert.state in (AlertState.ACKNOWLEDGED, AlertState.SNOOZED)


def _shown(alert: Alert) -> bool:
    return is_open(alert) and alert.state is not AlertState.PENDING


def wall_row(alert: Alert, score: Score, ward: str, times: HospitalTime) -> Row:
    """One line; the bed stands for the patient."""
    chance = "no score" if score.probability is None else percent(score.probability)
    where = alert.bed or "?"
    return Row(
        key=alert.alert_id,
        tone=tone(alert),
        cells=[
            {"v": where if ward else f"{alert.ward} {where}"},
            badge(alert, times),
            {"v": chance, "sub": risk_words(alert.risk).name},
            {"v": [contribution_words(c) for c in reasons(score, most=2)]},
            {"v": duration(from_iso(score.as_of) - from_iso(alert.since))},
        ],
    )
