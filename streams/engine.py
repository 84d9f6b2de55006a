"""Records of facts in; states, scores and alerts out. Deterministic: no clock, no I/O, no chance.

The worker, `tocsin reproduce`, back-testing and the tests all run this one state machine.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from connectors.clock import iso
from connectors.contract import Alert, AlertState, LogPosition, Score, Threshold
from connectors.facts import FactRecord, MessageFacts
from models.compartment import Meta
from models.patient import Patient
from models.record import EVER, PatientRecord, Presence, Stay
from models.risk import Assessment, RiskModel
from streams import alerting
from streams.alerting import Announcement, RiskState, Situation

TREND_STEP_S = 300.0  # the trend keeps one score for each such span of the patient's time
TREND_POINTS = 288
MERGED = "merged"  # abstained: the patient goes on under another identity
FEED_DOWN = "feed_down"  # abstained: data are lacking, and a feed of theirs is silent
_LACKING = frozenset({"no_data", "too_little_data", "stale_data"})  # what a silent feed explains
MOST_SOURCES = 32  # feeds remembered of one patient
# A version is offset × this + place in the record: more than a record has messages.
_PLACES = 10_000


@dataclass(slots=True)
class PatientState:
    """What a worker knows of one patient."""

    patient: Patient
    ahead: float | None = None  # most that a sender's clock was ahead of ours, seconds
    ticked: float | None = None  # the patient's time that a tick brought: it never goes back
    trace: str = ""
    risks: dict[str, RiskState] = field(default_factory=dict)
    trends: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # as_of, log-odds
    sources: list[str] = field(default_factory=list)  # feeds that spoke of the patient, sorted

    @property
    def record(self) -> PatientRecord:
        """What is known of the patient today."""
        return self.patient.record

    def now(self) -> float:
        """The patient's time: the newest message's, or what a tick has brought since."""
        return self.record.clock if self.ticked is None else max(self.record.clock, self.ticked)

    def at_tick(self, tick: float) -> float:
        """The patient's time at a tick: as far ahead of our clock as its newest sender was."""
        return max(self.now(), tick + (self.ahead or 0.0))

    def due(self, at: float) -> float:
        """The tick at which the patient's time reaches `at`."""
        return at - (self.ahead or 0.0)


@dataclass(slots=True)
class Touched:
    """A patient's part of one record."""

    state: PatientState
    slots: list[str] = field(default_factory=list)
    parts: set[tuple[str, str]] = field(default_factory=set)  # (compartment, slot) to store
    dropped: set[tuple[str, str]] = field(default_factory=set)  # … to forget
    caused_by: list[str] = field(default_factory=list)
    since: float | None = None
    heard: float = 0.0
    trends: set[str] = field(default_factory=set)  # risks whose trend has a new point

    def followed_by(self, later: Touched) -> Touched:
        """What is to be stored after this part of a record and a later one of the same patient."""
        return Touched(
            state=later.state,
            slots=list(dict.fromkeys([*self.slots, *later.slots])),
            parts=(self.parts - later.dropped) | later.parts,
            dropped=(self.dropped - later.parts) | later.dropped,
            trends=self.trends | later.trends,
        )


@dataclass(slots=True)
class Effects:
    """All that follows from one record."""

    touched: dict[str, Touched] = field(default_factory=dict)
    scores: list[Score] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    handed_on: list[MessageFacts] = field(default_factory=list)  # to be logged for other patients
    due: dict[str, float | None] = field(default_factory=dict)  # next tick of interest per patient


class Step(NamedTuple):
    """One record, where it stands in the log, and what is known when it is applied."""

    record: FactRecord
    log: LogPosition
    # Those whose time has come by the record's tick.
    expired: Sequence[str] = ()
    # Feeds that say nothing although they should: names or patterns.
    silent: Collection[str] = ()


@dataclass(slots=True)
class _Turn:
    """One patient's part of one record, and what follows from it."""

    step: Step
    patient: str
    touched: Touched
    messages: list[tuple[int, MessageFacts]] = field(default_factory=list)  # (place, message)
    ticked: bool = False
    scores: dict[str, Score] = field(default_factory=dict)  # by risk
    alerts: dict[str, list[Alert]] = field(default_factory=dict)
    handed_on: list[tuple[int, MessageFacts]] = field(default_factory=list)
    due: float | None = None

    def fold(self) -> None:
        """Take in what the record says of the patient."""
        first = self.step.log.offset * _PLACES
        for place, message in self.messages:
            handed_on = _fold(self.touched, message, first + place)
            self.handed_on += [(place, one) for one in handed_on]
        if self.ticked and self.step.record.tick is not None:
            state = self.touched.state
            state.ticked = state.at_tick(self.step.record.tick.at)


class Engine:
    """Folds, scores, decides."""

    def __init__(self, models: Sequence[RiskModel]) -> None:
        self.models = tuple(models)

    def apply(
        self,
        patients: Mapping[str, PatientState],
        record: FactRecord,
        log: LogPosition,
        expired: Sequence[str] = (),
        silent: Collection[str] = (),
    ) -> Effects:
        """Apply one record to the states of the patients that it touches (see `apply_all`)."""
        return self.apply_all(patients, [Step(record, log, expired, silent)])[0]

    def apply_all(
        self, patients: Mapping[str, PatientState], steps: Sequence[Step]
    ) -> list[Effects]:
        """Apply records in one pass: for each what it gives when they come one after the other.

        `patients` holds a state (new or loaded) for each patient of the records, and for each of
        those expired. States are changed in place.

        A score reads the state at its own record, so a patient's part of a record is folded only
        after the part in the record before has been scored. Patients know nothing of one another:
        the first parts of all are scored in one batch, then the second parts, and so on.
        """
        turns = [_turns(patients, step) for step in steps]
        for together in _in_turn(turns):
            for turn in together:
                turn.fold()
            for model in self.models:
                self._score(model, together)
            for turn in together:
                turn.due = self._due(turn.touched.state)
        return [self._effects(of_step) for of_step in turns]

    def _effects(self, turns: Sequence[_Turn]) -> Effects:
        """What follows from one record, in the order of its patients."""
        handed_on = [one for turn in turns for one in turn.handed_on]
        handed_on.sort(key=lambda one: one[0])
        risks = [model.risk for model in self.models]
        return Effects(
            touched={turn.patient: turn.touched for turn in turns},
            scores=[turn.scores[r] for r in risks for turn in turns if r in turn.scores],
            alerts=[a for r in risks for turn in turns for a in turn.alerts.get(r, ())],
            handed_on=[message for _, message in handed_on],
            due={turn.patient: turn.due for turn in turns},
        )

    def _score(self, model: RiskModel, turns: Sequence[_Turn]) -> None:
        """One score, and what it means for alerts, for each patient with a time whom the question
        concerns, or did before."""
        timed = [
            turn
            for turn in turns
            if (state := turn.touched.state).now() > EVER
            and (model.risk in state.risks or model.concerns(state.record))
        ]
        if not timed:
            return
        touched = [turn.touched for turn in timed]
        nows = [one.state.now() for one in touched]
        plans = [_plan(model, one, now) for one, now in zip(touched, nows, strict=True)]
        records = [one.state.record for one in touched]
        answers, scored = model.answer(
            list(zip(records, nows, strict=True)),
            [(r, t) for r, plan in zip(records, plans, strict=True) for t in plan.times],
        )
        left = iter(scored)
        for turn, one, plan, answer in zip(timed, touched, plans, answers, strict=True):
            points = [(time, _probability(next(left))) for time in plan.times]
            risk = one.state.risks[model.risk]
            alerting.walk(risk, plan.level, points, plan.before, model.expires_s, model.rule)
            score = _to_score(turn.patient, model, answer, one, turn.step.log, turn.step.silent)
            turn.scores[model.risk] = score
            _extend_trend(model.risk, one, answer)
            turn.alerts[model.risk] = [
                _to_alert(model, one.state, told, score)
                for told in _decide(turn.patient, model, one.state, answer)
            ]

    def _due(self, state: PatientState) -> float | None:
        """When something happens without a message, on the log's clock.

        An open alert's evidence expires; what is dated later than the patient's time comes true.
        """
        now, record = state.now(), state.record
        due: list[float] = []
        for model in self.models:
            coming = record.next_observation(model.codes, now)
            if coming is not None:
                due.append(coming)
            risk = state.risks.get(model.risk)
            if risk and risk.published and risk.published[-1].state is AlertState.FIRING:
                newest = record.newest(model.codes, math.nextafter(now, math.inf))
                due.append(newest + model.expires_s + 1.0)
        coming = record.next_event(now)
        if coming is not None:
            due.append(coming)
        return state.due(min(due)) if due and min(due) > EVER else None


def _turns(patients: Mapping[str, PatientState], step: Step) -> list[_Turn]:
    """A record's patients, in the order in which it names them."""
    turns: dict[str, _Turn] = {}
    for place, message in enumerate(step.record.messages):
        turn = turns.get(message.patient)
        if turn is None:
            touched = Touched(patients[message.patient], heard=message.heard)
            turn = turns[message.patient] = _Turn(step, message.patient, touched)
        turn.messages.append((place, message))
    for patient in step.expired if step.record.tick is not None else ():
        if patient not in turns:
            turns[patient] = _Turn(step, patient, Touched(patients[patient]))
        turns[patient].ticked = True
    return list(turns.values())


def _in_turn(turns: Sequence[Sequence[_Turn]]) -> Iterator[list[_Turn]]:
    """The first turns of all patients, then the second ones of those who have one, and so on."""
    queues: dict[str, list[_Turn]] = {}
    for of_step in turns:
        for turn in of_step:
            queues.setdefault(turn.patient, []).append(turn)
    waiting = list(queues.values())
    number = 0
    while waiting:
        yield [queue[number] for queue in waiting]
        number += 1
        waiting = [queue for queue in waiting if len(queue) > number]


def _fold(touched: Touched, message: MessageFacts, version: int) -> list[MessageFacts]:
    state = touched.state
    before = state.now()
    folded = state.patient.fold(message, version)
    if state.now() == EVER < before:  # all that was known has gone elsewhere: time goes on
        state.ticked = before
    touched.slots += folded.slots
    touched.parts.difference_update(folded.dropped)
    touched.dropped.update(folded.dropped)
    touched.dropped.difference_update(folded.parts)
    touched.parts.update(folded.parts)
    touched.caused_by += [fact.id for fact in folded.changed]
    touched.heard = message.heard
    if folded.since is not None:
        since = folded.since
        touched.since = since if touched.since is None else min(touched.since, since)
    ahead = message.sent - message.heard
    state.ahead = ahead if state.ahead is None else max(state.ahead, ahead)
    state.trace = message.trace or state.trace
    if message.source not in state.sources and len(state.sources) < MOST_SOURCES:
        insort(state.sources, message.source)
    return folded.handed_on


class _Plan(NamedTuple):
    """Where the rule has to walk again."""

    level: int  # to start from
    before: float  # time of the newest observation before
    times: list[float]  # of observations to score anew


def _plan(model: RiskModel, touched: Touched, now: float) -> _Plan:
    """Forget the steps that may not hold any more; says where to walk."""
    state = touched.state
    record = state.record
    risk = state.risks.setdefault(model.risk, RiskState())
    stay = record.stay(now)
    name, start = _name(stay), stay.start if stay else None
    since = EVER if risk.walked is None else math.nextafter(risk.walked, math.inf)
    if touched.since is not None:
        since = min(since, touched.since)
    if (risk.stay, risk.start) != (name, start):
        risk.stay, risk.start, risk.steps = name, start, []
        since = EVER
    # What changed, and what was known but lay in the future of the patient's time.
    risk.walked = now
    level = alerting.rewind(risk, since)
    times = record.times(model.codes, max(since, EVER if start is None else start), now)
    return _Plan(level, record.newest(model.codes, since), times)


def _name(stay: Stay | None) -> str:
    """The stay in an episode's name."""
    if stay is None:
        return "unknown"
    return stay.visit[:12] or "unnumbered"


def _presence(record: PatientRecord, stay: str, now: float) -> Presence:
    """What became of the stay that an alert belongs to."""
    if record.merged_into:
        return Presence.MERGED
    current = record.stay(now)
    if _name(current) == stay or stay == "unknown":
        return record.presence(now)
    found = [s for s in record.stays() if _name(s) == stay]
    if not found:
        return Presence.CANCELLED
    # Another stay has taken its place: the patient has left this one, announced or not.
    return Presence.DISCHARGED


def _decide(
    patient: str, model: RiskModel, state: PatientState, answer: Assessment
) -> list[Announcement]:
    """Alerts follow the scores at times of observation; between them nothing fires by itself."""
    risk = state.risks[model.risk]
    want = alerting.wanted(risk) if answer.abstained is None else None
    open_in = risk.published[-1].stay if risk.published else risk.stay
    presence = _presence(state.record, open_in, answer.as_of)
    situation = Situation(presence, answer.abstained)
    return alerting.announce(patient, model.risk, risk, want, situation)


def _extend_trend(risk: str, touched: Touched, answer: Assessment) -> None:
    state = touched.state.risks[risk]
    plotted = state.plotted
    too_soon = plotted is not None and answer.as_of < plotted + TREND_STEP_S
    if answer.log_odds is None or too_soon:
        return
    state.plotted = answer.as_of
    trend = touched.state.trends.setdefault(risk, [])
    trend.append((answer.as_of, answer.log_odds))
    del trend[:-TREND_POINTS]
    touched.trends.add(risk)


def _probability(log_odds: float | None) -> float | None:
    if log_odds is None:
        return None
    return 1.0 / (1.0 + math.exp(-log_odds))


def _to_score(
    patient: str,
    model: RiskModel,
    answer: Assessment,
    touched: Touched,
    log: LogPosition,
    silent: Collection[str],
) -> Score:
    down = [s for s in touched.state.sources if any(fnmatchcase(s, name) for name in silent)]
    abstained = answer.abstained
    if abstained is not None and touched.state.record.merged_into:
        abstained = MERGED
    elif down and abstained in _LACKING:
        abstained = FEED_DOWN
    return Score(
        patient=patient,
        risk=model.risk,
        as_of=iso(answer.as_of),
        probability=answer.probability,
        log_odds=answer.log_odds,
        interval=answer.interval,
        abstained=abstained,
        baseline=answer.baseline,
        evidence=list(answer.evidence),
        missing=replace(answer.missing, feeds_down=down) if down else answer.missing,
        model=model.digest,
        config=model.rule.version,
        log=log,
        caused_by=touched.caused_by,
        trace=touched.state.trace,
    )


def _to_alert(model: RiskModel, state: PatientState, told: Announcement, score: Score) -> Alert:
    published, reason = told
    stay = state.record.stay(state.now())
    return Alert(
        alert_id=published.alert_id,
        revision=published.revision,
        patient=score.patient,
        risk=model.risk,
        episode=published.episode,
        state=published.state,
        reason=reason,
        since=iso(published.since),
        at=score.as_of,
        severity=published.severity,
        threshold=Threshold(value=model.rule.fire, version=model.rule.version),
        score=score,
        ward=stay.ward if stay else "",
        bed=stay.bed if stay else "",
    )


class Remembered(msgspec.Struct, omit_defaults=True):
    """A patient's state beside the facts and the trends, as the store keeps it."""

    clock: float | None  # of own messages; None without one
    ahead: float | None = None
    ticked: float | None = None
    trace: str = ""
    risks: dict[str, RiskState] = {}
    sources: list[str] = []
    parts: dict[str, Meta] = {}
