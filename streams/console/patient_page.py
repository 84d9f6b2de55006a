"""`/patient/{pseudonym}`: the score and why, trends on one time axis, results, alert history."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from nicegui import ui

from connectors.clock import from_iso
from connectors.contract import Alert, Threshold
from connectors.facts import PersonDetail
from connectors.identity import Identity
from models.record import EVER, PatientRecord, Presence, Stay
from streams.console.acts import Acts
from streams.console.charts import trends
from streams.console.course import course_words
from streams.console.elements import LiveTable, Words, panel
from streams.console.frame import Console, LivePage
from streams.console.genome_and_images import (
    STUDY_COLUMNS,
    VARIANT_COLUMNS,
    study_rows,
    variant_rows,
)
from streams.console.history import HISTORY_COLUMNS, history_rows
from streams.console.ports import PatientView, Unavailable
from streams.console.results import RESULT_COLUMNS, UNUSED_COLUMNS, result_rows, unused_rows
from streams.console.score_section import ScoreSection
from streams.console.times import HospitalTime, duration
from streams.console.words import (
    PATIENT_CLASSES,
    SEXES,
    birth_words,
    full_name,
    is_open,
    place,
    risk_words,
)

RELOAD_S = 2.0  # a record is read again at most this often while it changes
RANGES = (("6 h", 6.0), ("24 h", 24.0), ("3 days", 72.0), ("All", None))
_DEFAULT_HOURS = 24.0


class PatientPage(LivePage):
    """Everything about one patient."""

    section = "/patients"

    def __init__(self, console: Console, pseudonym: str) -> None:
        self.path = f"/patient/{pseudonym}"
        super().__init__(console)
        self._pseudonym = pseudonym
        self._view: PatientView | None = None
        self._loaded_stamp = -1
        self._loaded_at = float("-inf")
        self._hours: float | None = _DEFAULT_HOURS
        self._drawn = ""  # the time range that the chart shows
        self._problem = ""
        self._sections: dict[str, ScoreSection] = {}
        with ui.element("div").props("id=main tabindex=-1").classes("page"):
            self._build_identity()
            self._note = Words("p").classes("state-note").props('role="status"')
            self._note.text = "Loading the patient …"
            self._body = ui.element("div")
        self._acts = Acts(
            console.board, console.feedback, self.person, console.clock, self._title_of, self.wake
        )
        self._acts.build()
        with self._body:
            self._build_body()
        self._body.set_visibility(False)

    # ── building ────────────────────────────────────────────────────────────────────────────

    def _build_identity(self) -> None:
        with ui.element("div").classes("identity"):
            self._name = Words("h1")
            self._person = Words("p")
            self._place = Words("p")
            self._stay = Words("p").classes("muted")
            self._numbers = Words("p").classes("muted")

    def _build_body(self) -> None:
        with ui.element("div").classes("columns"):
            self._scores = ui.element("div").classes("risks")
            with ui.element("section").classes("panel").props('aria-label="Trends"'):
                Words("h2", "Trends")
                self._build_ranges()
                words = "Trends of the score, vital signs and laboratory; the results list them"
                with ui.element("div").props(f'role="img" aria-label="{words}"'):
                    self._chart = ui.plotly({}).classes("chart")
        with ui.element("div").classes("columns even"):
            with ui.element("div"):
                with panel("Alert history"):
                    self._history = LiveTable(HISTORY_COLUMNS, "Alert history", "")
                with panel("Received and not used"):
                    self._unused = LiveTable(UNUSED_COLUMNS, "Received and not used", "")
            with ui.element("div"):
                with panel("Results"):
                    self._results = LiveTable(RESULT_COLUMNS, "Newest results", "")
                with panel("Imaging") as self._imaging:
                    self._studies = LiveTable(STUDY_COLUMNS, "Imaging studies", "")
                with panel("Genes") as self._genome:
                    self._variants = LiveTable(VARIANT_COLUMNS, "Variants", "")

    def _build_ranges(self) -> None:
        self._buttons: dict[float | None, ui.element] = {}
        with ui.element("div").classes("ranges").props('role="group" aria-label="Time range"'):
            for label, hours in RANGES:
                button = Words("button").props('type="button"')
                button.text = label
                button.on("click", partial(self._choose_range, hours), args=[])
                self._buttons[hours] = button
        self._press()

    def _choose_range(self, hours: float | None) -> None:
        self._hours = hours
        self._press()
        if self._view is not None:
            self._draw_trends(self._as_in_force(self._view, now_of(self._view)))

    def _press(self) -> None:
        for hours, button in self._buttons.items():
            pressed = "true" if hours == self._hours else "false"
            button.props(f"aria-pressed={pressed}")

    # ── keeping up ──────────────────────────────────────────────────────────────────────────

    async def refresh(self) -> None:
        """Read the patient again when something changed, at most every `RELOAD_S`."""
        board = self.console.board
        stamp = board.patient_stamp(self._pseudonym)
        now = asyncio.get_running_loop().time()
        if stamp != self._loaded_stamp and now - self._loaded_at >= RELOAD_S:
            self._loaded_at = now
            await self._load(stamp)
        for risk, section in self._sections.items():
            mine = [a for a in board.alerts_of(self._pseudonym) if a.risk == risk]
            section.show_care(newest_alert(mine, risk))
        name = self._name.text or "Patient"
        self.show_status(f"{name} – Tocsin", self._problem)

    def _title_of(self, alert: Alert) -> str:
        return f"{risk_words(alert.risk).name}: {self._name.text}"

    async def _load(self, stamp: int) -> None:
        try:
            view = await self.console.reader.patient(self._pseudonym)
        except Unavailable as reason:
            self._problem = str(reason)
            return
        self._problem = ""
        self._loaded_stamp = stamp
        if view is None:
            self._note.text = "No patient is known under this address."
            return
        self._view = view
        await self.names.learn([self._pseudonym])
        self._show(view)

    def _show(self, view: PatientView) -> None:
        times, now = self.console.times, now_of(view)
        view = self._as_in_force(view, now)
        self._show_identity(view, now)
        self._note.set_visibility(False)
        self._body.set_visibility(True)
        for risk in view.scores.keys() - self._sections.keys():
            with self._scores:
                self._sections[risk] = ScoreSection(risk, times, self._acts)
        for risk, score in view.scores.items():
            alert = newest_alert(view.alerts, risk)
            course = course_words(risk, view.record, times)
            self._sections[risk].show(score, alert, threshold_of(view, risk), now, course)
            self._sections[risk].stand(first=alert is not None and is_open(alert))
        self._draw_trends(view)
        results = result_rows(view.record, times, view.scores)
        self._results.show(results, "No results yet.")
        studied, genes = study_rows(view.record, times), variant_rows(view.record, times)
        self._imaging.set_visibility(bool(studied))
        self._genome.set_visibility(bool(genes))
        self._studies.show(studied, "No studies.")
        self._variants.show(genes, "No variants.")
        unused = unused_rows(view.record, times, view.scores)
        self._unused.show(unused, "Every result received is used.")
        self._history.show(history_rows(view.alerts, times, now), "No alerts yet.")

    def _as_in_force(self, view: PatientView, now: float) -> PatientView:
        """With the thresholds of the policy in force for the patient's ward."""
        policy = self.console.policy
        if policy is None or policy.newest is None:
            return view
        stay = view.record.stay(now)
        return replace(view, thresholds=policy.thresholds(stay.ward if stay else ""))

    def _draw_trends(self, view: PatientView) -> None:
        now = now_of(view)
        first = min(first_time(view, now), now - 3600)
        start = first if self._hours is None else max(first, now - self._hours * 3600)
        thresholds = {
            risk: threshold.value
            for risk in view.history
            if (threshold := threshold_of(view, risk)) is not None
        }
        self._chart.update_figure(trends(view, self.console.times, start, now, thresholds))

    def _show_identity(self, view: PatientView, now: float) -> None:
        record, identity = view.record, self.names.get(self._pseudonym)
        stay = record.stay(now)
        self._name.text = full_name(identity, self._pseudonym)
        self._person.text = person_words(record, identity, now)
        self._place.text = place(stay.ward, stay.bed) if stay else "No location"
        self._stay.text = stay_words(record, stay, self.console.times, now)
        self._numbers.text = numbers_words(identity)


def now_of(view: PatientView) -> float:
    """The newest time known of this patient: the clock of the record, or of a score."""
    ends = [t for points in view.history.values() for t, _ in points[-1:]]
    scored = [from_iso(score.as_of) for score in view.scores.values()]
    known = [t for t in (view.record.clock, *ends, *scored) if t > EVER]
    return max(known, default=0.0)


def first_time(view: PatientView, now: float) -> float:
    """When this stay's data begin."""
    stay = view.record.stay(now)
    starts = [points[0][0] for points in view.history.values() if points]
    if stay is not None:
        starts.append(stay.start)
    return min(starts, default=now)


def newest_alert(alerts: list[Alert], risk: str) -> Alert | None:
    """The highest revision of the risk's latest episode."""
    of_risk = [a for a in alerts if a.risk == risk]
    return max(of_risk, key=lambda a: (from_iso(a.since), a.revision), default=None)


def threshold_of(view: PatientView, risk: str) -> Threshold | None:
    """The threshold in force, else that of the newest alert."""
    if risk in view.thresholds:
        return view.thresholds[risk]
    alert = newest_alert(view.alerts, risk)
    return alert.threshold if alert else None


def person_words(record: PatientRecord, identity: Identity | None, now: float) -> str:
    """`72 years, female, born 12 Mar 1954`."""
    age = record.age(now)
    sex = record.person(PersonDetail.SEX)
    parts = [f"{age:.0f} years"] if age is not None else []
    if isinstance(sex, str) and sex:
        parts.append(SEXES.get(sex, sex))
    if identity and identity.birth_date:
        parts.append(f"born {birth_words(identity.birth_date)}")
    return ", ".join(parts)


def stay_words(record: PatientRecord, stay: Stay | None, times: HospitalTime, now: float) -> str:
    """`Inpatient since 21 Nov 09:10 (2 d 5 h)`."""
    presence = record.presence(now)
    if presence is Presence.MERGED:
        return "Merged: goes on under another number"
    if presence is Presence.DIED:
        return "Died"
    if stay is None:
        return "No stay is known" if presence is Presence.UNKNOWN else "Stay cancelled or to come"
    if stay.end is not None and presence is Presence.DISCHARGED:
        return f"Discharged {times.moment(stay.end, now)}"
    kind = PATIENT_CLASSES.get(stay.patient_class, "in hospital").capitalize()
    return f"{kind} since {times.moment(stay.start, now)} ({duration(now - stay.start)})"


def numbers_words(identity: Identity | None) -> str:
    """The patient's numbers with their issuers: `MR 4711 (CITY)`."""
    if identity is None:
        return ""
    return ", ".join(f"{i.type} {i.number} ({i.authority})" for i in identity.identifiers)
