"""`/backtest`: another threshold tried on what has been, before anybody is called by it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from nicegui import background_tasks, ui

from streams.backtest_desk import RECORDED
from streams.console.backtest_rows import (
    FIGURE_COLUMNS,
    PART_COLUMNS,
    WHOM_COLUMNS,
    figure_rows,
    part_rows,
    whom_rows,
)
from streams.console.curves import curves
from streams.console.elements import Field, LiveTable, Words, panel
from streams.console.frame import Console, LivePage
from streams.console.policy_room import PolicyRoom
from streams.console.trials import Trials
from streams.console.units import percent
from streams.console.words import risk_words
from streams.errors import UserError

_HORIZONS = [("", "any time later"), ("6", "6 hours"), ("12", "12 hours"), ("24", "24 hours")]
_HELP = (
    "The worker's own rule and lifecycle run over each trajectory; nobody acknowledges anything. "
    "Intervals are 95 %, by patients. Right and wrong of recorded alerts are the outcomes that the "
    "care team has marked."
)


class BacktestPage(LivePage):
    """One slider: what the threshold would have meant."""

    path = "/backtest"

    def __init__(self, console: Console, policy: PolicyRoom, trials: Trials, risk: str) -> None:
        super().__init__(console)
        self._policy, self._trials = policy, trials
        risks = trials.risks
        self._computing = False
        self._wanted: tuple[str, ...] = ()  # what the figures on screen are to be of
        self._shown: tuple[str, ...] = ()
        first = risk if risk in risks else risks[0]
        with ui.element("div").props("id=main tabindex=-1").classes("page lists"):
            with ui.element("div").classes("head"):
                Words("h1", "Back-test")
                with ui.element("div").classes("filters"):
                    names = [(r, risk_words(r).name) for r in risks]
                    self._risk = Field("Risk", first, self._other_risk, names)
                    self._source = Field("Over", RECORDED, self._changed, self._sources(first))
                    self._horizon = Field(
                        "Right if the event comes within", "", self._changed, _HORIZONS
                    )
            with panel("Threshold on trial"):
                self._fire = Field(
                    "Alerts from this risk on", "", self._changed, kind="range", help="%"
                )
                self._state = Words("p", "Computing …").classes("result").props('role="status"')
                self._propose = Words("a", "Propose this threshold").classes("button strong")
            with ui.element("div").classes("columns even"):
                with panel("In force against on trial"):
                    Words("p", _HELP).classes("help")
                    self._figures = LiveTable(FIGURE_COLUMNS, "In force against on trial", "…")
                with panel("Curves"), _drawing("Curves by threshold"):
                    self._chart = ui.plotly({}).classes("chart")
                with panel("On trial, by ward and group"):
                    self._parts = LiveTable(PART_COLUMNS, "On trial, by part", "…")
                with panel("Whom the two differ about"):
                    self._whom = LiveTable(WHOM_COLUMNS, "Whom the two differ about", "…")

    def _sources(self, risk: str) -> list[tuple[str, str]]:
        cohort = self._trials.cohort(risk)
        recorded = [(RECORDED, "What has been recorded here")]
        return recorded + ([("cohort", f"Cohort: {cohort}")] if cohort else [])

    def _other_risk(self, risk: str) -> None:
        self._source.offer(self._sources(risk))
        self._source.put(RECORDED)
        self._fire.put("")
        self._changed("")

    def _changed(self, _: str) -> None:
        self.wake()

    async def refresh(self) -> None:
        """Compute when something was chosen that is not on the screen."""
        if self._policy.newest is not None:
            if not self._fire.value:
                now = self._trials.fire(self._risk.value, self._policy.book())
                self._fire.put(f"{100 * now:.0f}")
            fields = (self._risk, self._source, self._horizon, self._fire)
            self._wanted = tuple(field.value for field in fields)
            if self._wanted != self._shown and not self._computing:
                self._computing = True
                self._state.text = "Computing …"
                background_tasks.create(self._compute(self._wanted), name="back-test")
        self.show_status("Back-test – Tocsin", self._policy.problem)

    async def _compute(self, wanted: tuple[str, ...]) -> None:
        risk, source, horizon, fire = wanted
        horizon_s = float(horizon) * 3_600 if horizon else None
        book = self._policy.book()
        try:
            found = await self._trials.trial(risk, source, book, float(fire) / 100, horizon_s)
        except UserError as error:
            with self.client:
                self._state.text = str(error)
        else:
            whom = [one["patient"] for some in found["differences"].values() for one in some]
            await self.names.learn(p for p in whom if p in self.console.board.patients)
            with self.client:
                self._show(found, risk, float(fire) / 100, self._trials.fire(risk, book))
        finally:
            self._shown, self._computing = wanted, False
            self.wake()

    def _show(self, found: dict[str, Any], risk: str, fire: float, now: float) -> None:
        self._state.text = f"On trial: {percent(fire)}. In force: {percent(now)}."
        self._figures.show(figure_rows(found["before"], found["after"]), "Nothing to compare.")
        self._parts.show(part_rows(found["parts"]), "There is one ward only.")
        rows = whom_rows(found["differences"], self.console.times, self.names.get)
        self._whom.show(rows, "They call for the same patients.")
        self._chart.update_figure(curves(found["curve"], fire, now))
        query = urlencode({"risk": risk, "fire": f"{fire:g}"})
        self._propose.props(f'href="/thresholds?{query}"')


def _drawing(words: str) -> ui.element:
    """Of a chart: the tables say the same to those who do not see it."""
    return ui.element("div").props(f'role="img" aria-label="{words}"')
