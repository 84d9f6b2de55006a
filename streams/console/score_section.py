"""One risk on the patient page: the score now, and the evidence that adds up to it."""

from __future__ import annotations

import secrets
from functools import partial

from nicegui import ui

from connectors.clock import from_iso
from connectors.contract import Alert, Score, Threshold
from connectors.feedback import Action
from streams.console.acts import Acts
from streams.console.care import ACTIONS, care_words
from streams.console.charts import waterfall
from streams.console.diff import Cell, Row
from streams.console.elements import Button, LiveTable, Words
from streams.console.evidence import Kind, Line, lines, probability_of
from streams.console.times import HospitalTime, duration
from streams.console.units import percent, percent_range, signed
from streams.console.words import (
    REASONS,
    SEVERITIES,
    STATES,
    abstention_words,
    is_open,
    missing_words,
    moved_words,
    risk_words,
    set_aside_words,
    stand_in_words,
    what_if_words,
)

EVIDENCE_COLUMNS = (
    {"id": "finding", "label": "Finding", "kind": "text"},
    {"id": "effect", "label": "Moves the log-odds by", "kind": "effect"},
)
_TONES = {Kind.MODALITY: "strong", Kind.SUM: "total"}


class ScoreSection:
    """Built once for a risk; `show` brings it up to date."""

    def __init__(self, risk: str, times: HospitalTime, acts: Acts) -> None:
        self._times = times
        self._acts = acts
        self._alert_now: Alert | None = None
        words = risk_words(risk)
        self._section = ui.element("section").classes("panel").props(f'id="{risk}"')
        with self._section.props(f'aria-label="{words.name}"'):
            Words("h2", f"{words.name}: {words.question}")
            with ui.element("div").classes("score-now"):
                self._big = Words("p").classes("big")
                with ui.element("div"):
                    self._interval = Words("p")
                    self._against = Words("p").classes("muted")
                    self._as_of = Words("p").classes("muted")
                    self._course = Words("p").classes("muted")
            with ui.element("div").classes("facts"):
                self._alert = Words("p")
                self._build_care()
                self._why = Words("p")
                self._next = Words("p")
                self._missing = Words("p")
                self._rejected = Words("p")
                self._what_if = Words("p")
            self._sum = ui.element("div")
            with self._sum:
                Words("h2", "Why: the evidence adds up")
                self._help = Words("p").classes("help")
                with ui.element("div").classes("waterfall").props('aria-hidden="true"'):
                    # The table says the same, to screen readers and on narrow screens.
                    self._chart = ui.plotly({}).classes("chart")
                with ui.element("div").classes("sums"):
                    self._table = LiveTable(EVIDENCE_COLUMNS, "The sum, line by line", "")

    def _build_care(self) -> None:
        self._note = Words("p").classes("care-note").props('role="status"')
        self._buttons: dict[str, ui.element] = {}
        self._care = ui.element("div").classes("acts")
        if not self._acts.allowed:
            return
        with self._care:
            for action in (Action.ACKNOWLEDGE.value, Action.SNOOZE.value, "more"):
                words = "More …" if action == "more" else ACTIONS[Action(action)]
                self._buttons[action] = Button(words, partial(self._press, action), "small")

    async def _press(self, action: str) -> None:
        if self._alert_now is not None:
            self._acts.press(self._alert_now, action, secrets.token_hex(16))

    def stand(self, *, first: bool) -> None:
        """Risks that call stand above those that do not."""
        self._section.style(f"order: {0 if first else 1}")

    def show_care(self, alert: Alert | None) -> None:
        """The buttons of the risk's newest alert, and what became of the last press."""
        self._alert_now = alert
        cell: Cell = self._acts.cell(alert) if alert is not None else {"note": ""}
        self._note.text = cell["note"]
        self._note.set_visibility(bool(cell["note"]))
        offered = {action for action, _ in cell.get("acts", ())}
        for action, button in self._buttons.items():
            button.set_visibility(action in offered)

    def show(
        self,
        score: Score,
        alert: Alert | None,
        threshold: Threshold | None,
        now: float,
        course: str = "",
    ) -> None:
        """The newest score, the risk's newest alert, the patient's own "now", and from when to
        when the question is asked, where it is about no stay."""
        self._headline(score, threshold, now)
        self._course.text = course
        self._course.set_visibility(bool(course))
        self._facts(score, alert, now)
        added = lines(score)
        self._sum.set_visibility(bool(score.evidence))
        if score.evidence:
            baseline = percent(probability_of(score.baseline))
            self._help.text = (
                f"It starts from {baseline}, the share among comparable patients. Each finding "
                "raises (+) or lowers (−) the log-odds; their sum gives the estimate."
            )
            self._chart.update_figure(waterfall(added))
            self._table.show(evidence_rows(added, score, self._times, now), "No evidence.")

    def _headline(self, score: Score, threshold: Threshold | None, now: float) -> None:
        if score.probability is None:
            why = abstention_words(score.abstained or "", score.risk)
            self._big.text = "No score"
            self._interval.text = f"Tocsin gives none: {why}."
        else:
            self._big.text = percent(score.probability)
            span = score.interval
            words = [f"90 % interval {percent_range(span)}" if span else "", stand_in_words(score)]
            self._interval.text = " · ".join(filter(None, words))
        # A rule alarms by its own triggers.
        against = threshold if score.fall_back is None else None
        self._against.text = f"Alerts from {percent(against.value)} on" if against else ""
        at = from_iso(score.as_of)
        self._as_of.text = f"as of {self._times.moment(at, now)}"

    def _facts(self, score: Score, alert: Alert | None, now: float) -> None:
        self._alert.text = alert_words(alert, self._times, now)
        self._why.text = why_now_words(alert)
        missing = score.missing
        unknown = missing_words(missing, most=8)
        label = "Also not known" if missing.next_datum else "Not known"
        self._missing.text = f"{label}: {unknown}." if unknown else ""
        self._next.text = next_words(score)
        refused = set_aside_words(missing)
        self._rejected.text = f"Came and cannot be used: {refused}." if refused else ""
        self._what_if.text = what_if_words(missing)
        for line in (self._why, self._next, self._missing, self._rejected, self._what_if):
            line.set_visibility(bool(line.text))


def alert_words(alert: Alert | None, times: HospitalTime, now: float) -> str:
    """`Critical alert since 12:40 (1 h 20 min): acknowledged.`"""
    if alert is None:
        return "No alert in the last 24 hours."
    since = from_iso(alert.since)
    care = care_words(alert, times)
    if not is_open(alert):
        return f"Last alert {STATES[alert.state].lower()} {times.moment(from_iso(alert.at), now)}."
    return (
        f"{SEVERITIES[alert.severity]} alert since {times.moment(since, now)} "
        f"({duration(now - since)}): {STATES[alert.state].lower()}{f' {care}' if care else ''}. "
        f"{REASONS[alert.reason].capitalize()}."
    )


def why_now_words(alert: Alert | None) -> str:
    """What changed since the score before: `Why now: lactate 4.2 mmol/L (+0.2 → +1.4)`."""
    if alert is None or not is_open(alert) or not alert.why_now:
        return ""
    return f"Why now: {'; '.join(moved_words(m) for m in alert.why_now[:3])}."


def next_words(score: Score) -> str:
    """Which datum to get, and how far it is expected to move the score."""
    missing = score.missing
    if not missing.next_datum:
        return ""
    text = f"Most telling next: {missing.next_datum}"
    if missing.expected_change is None:
        return f"{text}."
    return f"{text}, expected to move the log-odds by about {missing.expected_change:.2f}."


def evidence_rows(added: list[Line], score: Score, times: HospitalTime, now: float) -> list[Row]:
    """The sum as a table: baseline, each modality with its findings, the sum, the probability."""
    largest = (
        max((abs(a.effect) for a in added if a.kind in (Kind.FEATURE, Kind.REST)), default=1.0)
        or 1.0
    )
    rows = [
        Row(
            key=f"{i}",
            tone=_TONES.get(line.kind, line.kind.value),
            cells=[_finding(line, times, now), _effect(line, largest)],
        )
        for i, line in enumerate(added)
    ]
    if score.probability is not None:
        result: list[Cell] = [{"v": "Estimate"}, {"v": percent(score.probability)}]
        rows.append(Row(key="estimate", tone="strong", cells=result))
    return rows


def _finding(line: Line, times: HospitalTime, now: float) -> Cell:
    label = line.words or line.label
    if line.as_of is None:
        return {"v": label}
    age = now - from_iso(line.as_of)
    return {"v": label, "sub": f"{times.moment(from_iso(line.as_of), now)}, {duration(age)} old"}


def _effect(line: Line, largest: float) -> Cell:
    cell: Cell = {"v": signed(line.shown), "title": f"{line.effect:+.6f}"}
    if line.kind in (Kind.FEATURE, Kind.REST):
        cell |= {
            "dir": "raises" if line.shown > 0 else "lowers" if line.shown < 0 else "",
            "size": round(line.effect / largest, 3),
        }
    return cell
