"""A record of facts in; states, scores and alerts out. Deterministic: no clock, no I/O, no chance.

The worker, `tocsin reproduce`, back-testing and the tests all run this one state machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from connectors.clock import iso
from connectors.contract import Alert, AlertState, LogPosition, Score, Threshold
from connectors.facts import AnyFact, FactRecord, Tick
from models.record import EVER, PatientRecord, Presence
from models.risk import Assessment, RiskModel
from streams import alerting
from streams.alerting import Announcement, RiskState, Situation

TREND_STEP_S = 300.0  # the trend keeps one score for each such span of the patient's time
TREND_POINTS = 288


@dataclass(slots=True)
class PatientState:
    """What a worker knows of one patient."""

    record: PatientRecord = field(default_factory=PatientRecord)
    heard: float = 0.0  # Tocsin's clock at the newest message
    trace: str = ""
    risks: dict[str, RiskState] = field(default_factory=dict)
    trends: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # as_of, log-odds

    def now(self, tick: float) -> float:
        """The patient's time at a tick: the sender's clock, plus what has passed since by ours."""
        return self.record.clock + max(0.0, tick - self.heard)

    def due(self, at: float) -> float:
        """The tick at which the patient's time reaches `at`."""
        return self.heard + max(0.0, at - self.record.clock)


@dataclass(slots=True)
class Touched:
    """A patient's part of one record."""

    state: PatientState
    slots: list[str] = field(default_factory=list)
    caused_by: list[str] = field(default_factory=list)
    since: float | None = None
    heard: float = 0.0
    trends: set[str] = field(default_factory=set)  # risks whose trend has a new point


@dataclass(slots=True)
class Effects:
    """All that follows from one record."""

    touched: dict[str, Touched] = field(default_factory=dict)
    scores: list[Score] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    due: dict[str, float | None] = field(default_factory=dict)  # next tick of interest per patient


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
    ) -> Effects:
        """Apply one record to the states of the patients that it touches.

        `patients` holds a state (new or loaded) for each patient of the record, and for each of
        `expired`: those whose time has come by the record's tick. States are changed in place.
        """
        effects = Effects()
        for message in record.messages:
            touched = effects.touched.get(message.patient)
            if touched is None:
                touched = Touched(patients[message.patient], heard=message.heard)
                effects.touched[message.patient] = touched
            _fold(touched, message.facts, message.sent, message.heard, message.trace)
        if record.tick is not None:
            for patient in expired:
                effects.touched.setdefault(patient, Touched(patients[patient]))
        for model in self.models:
            self._score(model, effects, log, record.tick)
        for patient, touched in effects.touched.items():
            effects.due[patient] = self._due(touched.state)
        return effects

    def _score(
        self, model: RiskModel, effects: Effects, log: LogPosition, tick: Tick | None
    ) -> None:
        """One score, and what it means for alerts, for each touched patient."""
        patients = list(effects.touched.items())
        nows = [_now(touched, tick) for _, touched in patients]
        answers = model.assess(
            [(touched.state.record, now) for (_, touched), now in zip(patients, nows, strict=True)]
        )
        levels = self._trajectories(model, [t for _, t in patients], nows)
        for (patient, touched), answer, level in zip(patients, answers, levels, strict=True):
            score = _to_score(patient, model, answer, touched, log)
            effects.scores.append(score)
            _extend_trend(model.risk, touched, answer)
            for told in _decide(patient, model, touched.state, answer, level):
                effects.alerts.append(_to_alert(model, touched.state, told, score))

    def _trajectories(
        self, model: RiskModel, touched: Sequence[Touched], nows: Sequence[float]
    ) -> list[int]:
        """The level of each patient's rule after its newest observation, all in one batch."""
        plans: list[tuple[int, float, list[float]]] = []
        batch: list[tuple[PatientRecord, float]] = []
        for one, now in zip(touched, nows, strict=True):
            plan = _plan(model, one, now)
            plans.append(plan)
            batch += [(one.state.record, time) for time in plan[2]]
        scored = iter(model.log_odds(batch) if batch else ())
        levels = []
        for one, (level, before, times) in zip(touched, plans, strict=True):
            points = [(time, _probability(next(scored))) for time in times]
            state = one.state.risks[model.risk]
            levels.append(alerting.walk(state, level, points, before, model.expires_s, model.rule))
        return levels

    def _due(self, state: PatientState) -> float | None:
        """When an open alert's evidence expires, on the log's clock."""
        due: list[float] = []
        for model in self.models:
            risk = state.risks.get(model.risk)
            if not risk or not risk.published or risk.published[-1].state is not AlertState.FIRING:
                continue
            newest = state.record.newest(model.codes, math.nextafter(state.record.clock, math.inf))
            if newest > EVER:
                due.append(state.due(newest + model.expires_s) + 1.0)
        return min(due, default=None)


def _fold(
    touched: Touched, facts: Sequence[AnyFact], sent: float, heard: float, trace: str
) -> None:
    state = touched.state
    record = state.record
    record.clock = max(record.clock, sent)
    change = record.fold_facts(facts)
    touched.slots += change.slots
    touched.caused_by += [record.facts[slot].id for slot in change.slots]
    touched.heard = heard
    if change.since is not None:
        touched.since = change.since if touched.since is None else min(touched.since, change.since)
    state.heard = max(state.heard, heard)
    state.trace = trace or state.trace


def _now(touched: Touched, tick: Tick | None) -> float:
    state = touched.state
    if tick is not None and not touched.heard:
        return state.now(tick.at)
    return state.record.clock


def _plan(model: RiskModel, touched: Touched, now: float) -> tuple[int, float, list[float]]:
    """Level to start from, time of the newest observation before, and the times to score anew."""
    state = touched.state
    record = state.record
    risk = state.risks.setdefault(model.risk, RiskState())
    stay = record.stay(now)
    name = stay.visit[:12] if stay else ""
    start = stay.start if stay else EVER
    if not touched.heard:  # only a tick: nothing new is known
        return (risk.steps[-1][1] if risk.steps else alerting.QUIET), EVER, []
    # What changed, and what was known but lay in the future of the patient's clock.
    since = math.nextafter(risk.walked, math.inf)
    if touched.since is not None:
        since = min(since, touched.since)
    if risk.stay != name:
        since = EVER
    risk.walked = now
    level = alerting.rewind(risk, name, since)
    times = record.times(model.codes, max(since, start), now)
    return level, record.newest(model.codes, since), times


def _decide(
    patient: str, model: RiskModel, state: PatientState, answer: Assessment, level: int
) -> list[Announcement]:
    risk = state.risks[model.risk]
    want = None
    if answer.probability is not None:
        level = alerting.next_level(level, answer.probability, model.rule)
        want = alerting.wanted(risk, level, answer.as_of)
    presence = state.record.presence(answer.as_of)
    situation = Situation(presence, answer.abstained)
    return alerting.announce(patient, model.risk, risk, want, situation)


def _extend_trend(risk: str, touched: Touched, answer: Assessment) -> None:
    state = touched.state.risks[risk]
    if answer.log_odds is None or answer.as_of < state.plotted + TREND_STEP_S:
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
    patient: str, model: RiskModel, answer: Assessment, touched: Touched, log: LogPosition
) -> Score:
    return Score(
        patient=patient,
        risk=model.risk,
        as_of=iso(answer.as_of),
        probability=answer.probability,
        log_odds=answer.log_odds,
        interval=answer.interval,
        abstained=answer.abstained,
        baseline=answer.baseline,
        evidence=list(answer.evidence),
        missing=answer.missing,
        model=model.digest,
        config=model.rule.version,
        log=log,
        caused_by=touched.caused_by,
        trace=touched.state.trace,
    )


def _to_alert(model: RiskModel, state: PatientState, told: Announcement, score: Score) -> Alert:
    published, reason = told
    stay = state.record.stay(state.record.clock)
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

    clock: float
    heard: float
    trace: str = ""
    risks: dict[str, RiskState] = {}


def is_present(state: PatientState) -> bool:
    """Is the patient, as far as is known, in the hospital?"""
    return state.record.presence(state.record.clock) in (Presence.PRESENT, Presence.UNKNOWN)
