"""The picture that all open pages share: newest alerts and scores, kept current by the feed.

The feed is followed first and the store read afterwards, so nothing falls between; the store is
read again now and then, which drops what ended long ago and heals whatever the feed missed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace

from connectors.clock import from_iso
from connectors.contract import Alert, FeedbackAnswer, Score
from streams.console.ports import Feed, PatientSummary, Reader, Unavailable

RECONCILE_S = 30.0
RETRY_S = 2.0
CALLS = 20_000  # newest calls that the feed has brought
ANSWERS = 2_000  # newest answers to actions that are kept
TRAIL = 48  # scores of a patient and risk kept for the small curve in the list of patients


@dataclass(frozen=True, slots=True)
class Status:
    """How fresh the picture is."""

    loaded: bool
    problem: str  # why the store cannot be read, "" when it can
    feed_age_s: float
    feed_down: bool
    hospital_time: float | None  # newest time of a patient's clock, epoch seconds


def is_newer(new: Score, old: Score | None) -> bool:
    """Does `new` follow `old`? Within a partition the log position says so, else the time."""
    if old is None:
        return True
    if (new.log.topic, new.log.partition) == (old.log.topic, old.log.partition):
        return new.log.offset > old.log.offset
    return new.as_of > old.as_of


class Board:
    """Newest revision of each alert and newest score of each patient and risk."""

    def __init__(self, reader: Reader, feed: Feed, *, feed_down_s: float) -> None:
        self._reader = reader
        self._feed = feed
        self._feed_down_s = feed_down_s
        self.alerts: dict[str, Alert] = {}
        self.scores: dict[tuple[str, str], Score] = {}
        self.patients: dict[str, PatientSummary] = {}
        self.answers: dict[str, FeedbackAnswer] = {}  # by the id of the action
        self.calls: deque[tuple[float, str]] = deque(maxlen=CALLS)  # (loop's time, ward)
        self.hospital_time: float | None = None
        self.trails: dict[tuple[str, str], deque[tuple[float, float]]] = {}
        self._alerts_of: dict[tuple[str, str], set[str]] = {}
        self._alerts_by_patient: dict[str, set[str]] = {}
        self._stamps: dict[str, int] = {}  # alert id → version of its last change
        self._patient_stamps: dict[str, int] = {}
        self.version = 0  # of everything
        self.news = 0  # changes but those of a score alone: what a page is told at once
        self._loaded = False
        self._problem = ""
        self._changed = asyncio.Event()

    # ── what pages ask ──────────────────────────────────────────────────────────────────────

    def status(self) -> Status:
        """How fresh the picture is now."""
        age = self._feed.age
        return Status(self._loaded, self._problem, age, age > self._feed_down_s, self.hospital_time)

    def stamp(self, alert_id: str) -> int:
        """Version of the alert's last change: a cached row of that version is still right."""
        return self._stamps.get(alert_id, 0)

    def patient_stamp(self, pseudonym: str) -> int:
        """Version of the patient's last change."""
        return self._patient_stamps.get(pseudonym, 0)

    def score_of(self, alert: Alert) -> Score:
        """The newest score of the alert's patient and risk."""
        current = self.scores.get((alert.patient, alert.risk))
        return current if current and is_newer(current, alert.score) else alert.score

    def alerts_of(self, pseudonym: str) -> list[Alert]:
        """The patient's alerts, any risk, any order."""
        ids = self._alerts_by_patient.get(pseudonym, ())
        return [self.alerts[i] for i in ids]

    async def changed(self, since: int, timeout_s: float) -> None:
        """Returns when there is news past `since` (an earlier `news`), or after `timeout_s`."""
        if self.news > since:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return

    # ── how it stays current ────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Follows the feed and the store until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._reconcile())

    async def _follow(self) -> None:
        while True:
            try:
                async for item in self._feed.subscribe():
                    self._count(item)
                    self.take(item)
            except Unavailable:
                pass  # the feed's age tells, and pages show it
            await asyncio.sleep(RETRY_S)

    def _count(self, item: Alert | Score | FeedbackAnswer) -> None:
        if isinstance(item, Alert) and item.calls:
            known = self.alerts.get(item.alert_id)
            if known is None or known.revision < item.revision:
                self.calls.append((asyncio.get_running_loop().time(), item.ward))

    async def _reconcile(self) -> None:
        while True:
            try:
                await self.load()
            except Unavailable as reason:
                self._set_problem(str(reason))
                await asyncio.sleep(RETRY_S)
            else:
                self._set_problem("")
                await asyncio.sleep(RECONCILE_S)

    async def load(self) -> None:
        """Read the store. Alerts that the feed brought meanwhile stay. Raises `Unavailable`."""
        before = self.version
        alerts = await self._reader.alerts()
        patients = await self._reader.patients()
        listed = {a.alert_id for a in alerts}
        for alert in alerts:
            self.take(alert)
        for alert_id in [i for i in self.alerts if i not in listed and self.stamp(i) <= before]:
            self._forget(alert_id)
        for summary in patients:
            self._take_summary(summary)
        for pseudonym in set(self.patients) - {p.pseudonym for p in patients}:
            if self.patient_stamp(pseudonym) <= before:
                del self.patients[pseudonym]
                self._tell()
        if not self._loaded:
            self._loaded = True
            self._tell()

    def take(self, item: Alert | Score | FeedbackAnswer) -> None:
        """One record of the feed, or of the store: older ones change nothing."""
        match item:
            case Alert():
                self._take_alert(item)
            case Score():
                self._take_score(item)
            case FeedbackAnswer():
                self._take_answer(item)

    def _take_answer(self, answer: FeedbackAnswer) -> None:
        first = self.answers.get(answer.id)
        if first is not None and first.who != answer.who:  # an id belongs to whoever used it first
            return
        while len(self.answers) >= ANSWERS:
            del self.answers[next(iter(self.answers))]
        self.answers[answer.id] = answer
        self._tell()

    def _take_alert(self, alert: Alert) -> None:
        old = self.alerts.get(alert.alert_id)
        if old is not None and old.revision >= alert.revision:
            return
        self.alerts[alert.alert_id] = alert
        self._alerts_of.setdefault((alert.patient, alert.risk), set()).add(alert.alert_id)
        self._alerts_by_patient.setdefault(alert.patient, set()).add(alert.alert_id)
        self._saw(from_iso(alert.at))
        self._take_score(alert.score)
        self._stamps[alert.alert_id] = self._tell()
        self._patient_stamps[alert.patient] = self.version

    def _take_score(self, score: Score) -> None:
        key = (score.patient, score.risk)
        if not is_newer(score, self.scores.get(key)):
            return
        self.scores[key] = score
        as_of = from_iso(score.as_of)
        self._saw(as_of)
        if score.probability is not None:
            trail = self.trails.setdefault(key, deque(maxlen=TRAIL))
            trail.append((as_of, score.probability))
        version = self._bump()
        self._patient_stamps[score.patient] = version
        for alert_id in self._alerts_of.get(key, ()):
            self._stamps[alert_id] = version
        summary = self.patients.get(score.patient)
        if summary is not None:
            latest = {**summary.probability, score.risk: score.probability}
            self.patients[score.patient] = replace(summary, probability=latest, as_of=as_of)

    def _take_summary(self, summary: PatientSummary) -> None:
        old = self.patients.get(summary.pseudonym)
        if old == summary:
            return
        if old and old.as_of and summary.as_of and old.as_of > summary.as_of:
            # The feed was ahead of the store: keep its figures, take the store's place.
            summary = replace(summary, probability=old.probability, as_of=old.as_of)
        self.patients[summary.pseudonym] = summary
        if summary.as_of is not None:
            self._saw(summary.as_of)
        moved = old is None or (old.ward, old.bed) != (summary.ward, summary.bed)
        self._patient_stamps[summary.pseudonym] = self._tell() if moved else self._bump()

    def _forget(self, alert_id: str) -> None:
        alert = self.alerts.pop(alert_id)
        self._alerts_of[(alert.patient, alert.risk)].discard(alert_id)
        self._alerts_by_patient[alert.patient].discard(alert_id)
        self._stamps.pop(alert_id, None)
        self._tell()

    def _saw(self, at: float) -> None:
        if self.hospital_time is None or at > self.hospital_time:
            self.hospital_time = at

    def _set_problem(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._tell()

    def _bump(self) -> int:
        self.version += 1
        return self.version

    def _tell(self) -> int:
        """A change that somebody waits for: pages wake at once."""
        self.news += 1
        waiting, self._changed = self._changed, asyncio.Event()
        waiting.set()
        return self._bump()
