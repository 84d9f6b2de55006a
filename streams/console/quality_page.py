"""`/quality`: how alerts do, ward by ward, and whether scores and inputs look as they did."""

from __future__ import annotations

import asyncio
from collections import Counter

from nicegui import ui

from connectors.contract import Alert
from streams.console.diff import Cell, Row
from streams.console.elements import Field, LiveTable, Words, panel
from streams.console.frame import Console, LivePage
from streams.console.ports import Unavailable
from streams.console.quality import DAY_S, Group, Spent, groups, spent, wilson
from streams.console.room import Room
from streams.console.units import NO_BREAK, display_value, percent, percent_range
from streams.console.words import risk_words
from streams.drift import Drift, Report
from streams.inputs import InputDrift
from streams.stability import CHANGED, STEADY

GROUP_COLUMNS = (
    {"id": "ward", "label": "Ward", "kind": "text"},
    {"id": "risk", "label": "Risk", "kind": "text"},
    {"id": "alerts", "label": "Alerts", "kind": "text"},
    {"id": "load", "label": "A patient-day", "kind": "text"},
    {"id": "acknowledged", "label": "Acknowledged", "kind": "text"},
    {"id": "dismissed", "label": "Dismissed", "kind": "text"},
    {"id": "right", "label": "Right", "kind": "text"},
    {"id": "expected", "label": "Expected", "kind": "text"},
)
BUDGET_COLUMNS = (
    {"id": "state", "label": "State", "kind": "badge"},
    {"id": "what", "label": "Budget", "kind": "text"},
    {"id": "calls", "label": "Calls", "kind": "text"},
    {"id": "most", "label": "At most", "kind": "text"},
)
DRIFT_COLUMNS = (
    {"id": "state", "label": "State", "kind": "badge"},
    {"id": "risk", "label": "Risk", "kind": "text"},
    {"id": "psi", "label": "Change of scores (PSI)", "kind": "text"},
    {"id": "abstained", "label": "No score", "kind": "text"},
    {"id": "inputs", "label": "Inputs that are missing", "kind": "list"},
)
INPUT_COLUMNS = (
    {"id": "state", "label": "State", "kind": "badge"},
    {"id": "input", "label": "Input", "kind": "text"},
    {"id": "psi", "label": "Change of values (PSI)", "kind": "text"},
    {"id": "mean", "label": "Mean", "kind": "text"},
    {"id": "refused", "label": "Not used", "kind": "text"},
)
WINDOWS = [("1", "Last 24 hours"), ("7", "Last 7 days"), ("30", "Last 30 days")]
RELOAD_S = 5.0
_MOST_INPUTS = 4
_HELP = (
    "Right are alerts whose outcome the care team marked as happened or averted, of all marked, "
    "with a 95 % interval. Expected is what the scores promised for the same alerts: far from "
    "Right means that the model is not calibrated here. Before is the same "
    "length of time just before."
)


class QualityPage(LivePage):
    """What operations watch."""

    path = "/quality"

    def __init__(self, console: Console, drift: Room[Report], days: str) -> None:
        super().__init__(console)
        self._drift = drift
        self._alerts: list[Alert] = []
        self._loaded_at = float("-inf")
        self._problem = ""
        with ui.element("div").props("id=main tabindex=-1").classes("page lists"):
            with ui.element("div").classes("head"):
                Words("h1", "Quality")
                with ui.element("div").classes("filters"):
                    chosen = days if days in dict(WINDOWS) else "7"
                    self._days = Field("Alerts of", chosen, self._choose, WINDOWS)
            with panel("Alerts by ward and risk"):
                Words("p", _HELP).classes("help")
                self._groups = LiveTable(GROUP_COLUMNS, "Alerts by ward and risk", "Reading …")
            with panel("Budgets: calls of the last hour"):
                self._budgets = LiveTable(BUDGET_COLUMNS, "Budgets of calls", "Reading …")
            with panel("Drift: the last day against those before"):
                Words(
                    "p", f"PSI below {STEADY} is steady; above {CHANGED} somebody should look."
                ).classes("help")
                self._drifts = LiveTable(DRIFT_COLUMNS, "Drift by risk", "Reading …")
            with panel("Inputs: values of the last day against those before"):
                self._inputs = LiveTable(INPUT_COLUMNS, "Drift by input", "Reading …")

    def _choose(self, days: str) -> None:
        self.remember(days=days)
        self.wake()

    async def refresh(self) -> None:
        """Alerts as the store has them, drift as the log has it."""
        board = self.console.board
        await self._load()
        now = board.hospital_time
        if now is not None and board.status().loaded:
            patients = Counter(p.ward for p in board.patients.values())
            window = float(self._days.value) * DAY_S
            found = groups(self._alerts, patients, now, window)
            self._groups.show([group_row(g) for g in found], "No alert has called anybody yet.")
        self._show_budgets()
        drifts = self._drift.newest
        if drifts is not None:
            self._drifts.show([drift_row(d) for d in drifts.risks], "Nothing has been scored yet.")
            self._inputs.show([input_row(i) for i in drifts.inputs], "Too little has come in yet.")
        self.show_status("Quality – Tocsin", self._problem or self._drift.problem)

    def _show_budgets(self) -> None:
        policy = self.console.policy
        if policy is None or policy.newest is not None:
            budgets = policy.book().policy.budget if policy else ()
            now = asyncio.get_running_loop().time()
            rows = [budget_row(s) for s in spent(budgets, self.console.board.calls, now)]
            self._budgets.show(rows, "The policy sets no budget.")

    async def _load(self) -> None:
        now = self.console.clock()
        if now - self._loaded_at < RELOAD_S:
            return
        self._loaded_at = now
        try:
            self._alerts = await self.console.reader.alerts(ended_within_s=31 * DAY_S)
            self._problem = ""
        except Unavailable as reason:
            self._problem = str(reason)


def group_row(group: Group) -> Row:
    """One ward and risk."""
    return Row(
        key=f"{group.ward}/{group.risk}",
        tone="",
        cells=[
            {"v": group.ward or "no ward"},
            {"v": risk_words(group.risk).name},
            {"v": str(group.alerts)},
            _load(group),
            _acknowledged(group),
            _share(group.dismissed, group.alerts),
            _right(group),
            _expected(group),
        ],
    )


def _load(group: Group) -> Cell:
    cell: Cell = {"v": "–" if group.per_day is None else f"{group.per_day:.2f}"}
    if group.per_day_before is not None:
        cell["sub"] = f"{group.per_day_before:.2f} before"
    return cell


def _acknowledged(group: Group) -> Cell:
    cell = _share(group.acknowledged, group.alerts)
    if group.before:
        cell["sub"] += f", {_rate(group.acknowledged_before / group.before)} before"
    return cell


def _share(count: int, of: int) -> Cell:
    return {"v": _rate(count / of) if of else "–", "sub": f"{count} of {of}"}


def _right(group: Group) -> Cell:
    if not group.judged:
        return {"v": "–", "sub": "no outcome marked"}
    interval = percent_range(wilson(group.right, group.judged))
    sub = f"{group.right} of {group.judged}, {interval}"
    return {"v": _rate(group.right / group.judged), "sub": sub}


def _expected(group: Group) -> Cell:
    return {"v": percent(group.expected / group.judged) if group.judged else "–"}


def budget_row(spent: Spent) -> Row:
    """One budget of the policy in force."""
    budget = spent.budget
    state = {"v": "Within", "tone": "calm", "icon": "check"}
    if spent.exceeded:
        state = {"v": "Exceeded", "tone": "critical", "icon": "critical"}
    return Row(
        key=budget.name,
        tone="critical" if spent.exceeded else "",
        cells=[
            state,
            {"v": budget.name, "sub": ", ".join(budget.wards) or "all wards"},
            {"v": str(spent.calls)},
            {"v": f"{budget.calls_per_hour:g}"},
        ],
    )


def drift_row(drift: Drift) -> Row:
    """One risk."""
    before, now = drift.abstained
    inputs = [
        f"{one.name}: {_rate(one.before)} → {_rate(one.now)}" for one in drift.inputs[:_MOST_INPUTS]
    ]
    psi = "–" if drift.psi is None else f"{drift.psi:.2f}"
    return Row(
        key=drift.risk,
        tone="",
        cells=[
            _state(drift.psi),
            {"v": risk_words(drift.risk).name},
            {"v": psi, "sub": f"{drift.scores[1]} scores against {drift.scores[0]}"},
            {"v": f"{_rate(before)} → {_rate(now)}"},
            {"v": inputs},
        ],
    )


def input_row(one: InputDrift) -> Row:
    """One variable."""
    psi = "–" if one.psi is None else f"{one.psi:.2f}"
    mean = "–" if one.mean is None else " → ".join(display_value(m) for m in one.mean)
    before, now = one.refused
    return Row(
        key=one.name,
        tone="",
        cells=[
            _state(one.psi),
            {"v": one.name},
            {"v": psi, "sub": f"{one.values[1]} values against {one.values[0]}"},
            {"v": mean, "sub": one.unit},
            {"v": f"{_rate(before)} → {_rate(now)}", "sub": one.why.replace("_", " ")},
        ],
    )


def _rate(share: float) -> str:
    """A rate may be none at all, where a chance never is."""
    return percent(share) if share else f"0{NO_BREAK}%"


def _state(psi: float | None) -> Cell:
    if psi is None:
        return {"v": "Too few yet", "tone": "ended", "icon": "clock"}
    if psi < STEADY:
        return {"v": "Steady", "tone": "calm", "icon": "check"}
    if psi < CHANGED:
        return {"v": "Moving", "tone": "warning", "icon": "warning"}
    return {"v": "Changed", "tone": "critical", "icon": "critical"}
