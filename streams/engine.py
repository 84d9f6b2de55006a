"""Records of facts in; states, scores and alerts out. Deterministic: no clock, no I/O, no chance.

The worker, `tocsin reproduce`, back-testing and the tests all run this one state machine.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import NamedTuple

from msgspec.structs import replace

from connectors.clock import iso
from connectors.contract import Alert, Answer, FeedbackAnswer, LogPosition, Score
from connectors.facts import FactRecord, MessageFacts
from connectors.feedback import Feedback
from models.contained import Contained, Failure, contain
from models.record import EVER
from models.risk import Assessment, RiskModel
from streams import deciding
from streams.acting import answered
from streams.alerting import UNWATCHED
from streams.announcing import NEVER, moved, retired, to_alert
from streams.lifecycle import Concern
from streams.policy.rules import Rulebook
from streams.silence import Silence
from streams.situation import Announcement
from streams.state import PatientState, Touched

TREND_STEP_S = 300.0  # the trend keeps one score for each such span of the patient's time
TREND_POINTS = 288
_LACKING = frozenset({"no_data", "too_little_data", "stale_data"})  # what a silent feed explains
MOST_SOURCES = 32  # feeds remembered of one patient
AS_SHIPPED = Rulebook()
# A version is offset × this + place in the record: more than a record has messages.
_PLACES = 10_000


@dataclass(slots=True)
class Effects:
    """All that follows from one record."""

    touched: dict[str, Touched] = field(default_factory=dict)
    scores: list[Score] = field(default_factory=list)
    shadows: list[Score] = field(default_factory=list)  # of bundles on trial
    alerts: list[Alert] = field(default_factory=list)
    answers: list[FeedbackAnswer] = field(default_factory=list)  # what became of actions
    handed_on: list[MessageFacts] = field(default_factory=list)  # to be logged for other patients
    due: dict[str, float | None] = field(default_factory=dict)  # next tick of interest per patient


class AskedModel(NamedTuple):
    """A model that is asked, by itself or in the place of another one."""

    risk: str
    digest: str
    shadow: bool


OnFailure = Callable[[Failure, bool], None]


def _nobody_hears(failure: Failure, shadow: bool) -> None:
    """For those who apply a log again: the scores say `model_error`."""


class Step(NamedTuple):
    """One record, where it stands in the log, and what is known when it is applied."""

    record: FactRecord
    log: LogPosition
    # Those whose time has come by the record's tick, or whom its policy may concern.
    expired: Sequence[str] = ()
    # Feeds that say nothing although they should: names or patterns.
    silent: Collection[str] = ()
    # The policy in force, with that of the record.
    book: Rulebook = AS_SHIPPED

    @property
    def clock(self) -> float:
        """Tocsin's clock, as a record without messages has it; 0 where it says none."""
        record = self.record
        if record.tick is not None:
            return record.tick.at
        return record.policy.at if record.policy is not None else 0.0


class _Judged(NamedTuple):
    """What a score calls for."""

    plan: deciding.Plan
    concern: Concern
    top: dict[str, float]  # the score before's strongest features


@dataclass(slots=True)
class _Turn:
    """One patient's part of one record, and what follows from it."""

    step: Step
    patient: str
    touched: Touched
    messages: list[tuple[int, MessageFacts]] = field(default_factory=list)  # (place, message)
    actions: list[Feedback] = field(default_factory=list)
    expired: bool = False
    judged: dict[str, _Judged] = field(default_factory=dict)  # by risk
    scores: dict[str, Score] = field(default_factory=dict)  # by risk
    shadows: list[Score] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    answers: list[FeedbackAnswer] = field(default_factory=list)
    handed_on: list[tuple[int, MessageFacts]] = field(default_factory=list)
    due: float | None = None

    def fold(self) -> None:
        """Take in what the record says of the patient."""
        first = self.step.log.offset * _PLACES
        for place, message in self.messages:
            handed_on = _fold(self.touched, message, first + place)
            self.handed_on += [(place, one) for one in handed_on]
        heard = [m.heard for _, m in self.messages] + [a.heard for a in self.actions]
        if self.expired:
            heard.append(self.step.clock)
        state = self.touched.state
        state.logged = max([state.logged, *heard])
        if self.expired and self.step.record.tick is not None:
            state.ticked = state.at_tick(self.step.record.tick.at)


class Engine:
    """Folds, scores, decides. `shadows` score beside the models, and nothing follows from that."""

    def __init__(
        self,
        models: Sequence[RiskModel],
        shadows: Sequence[RiskModel] = (),
        on_failure: OnFailure = _nobody_hears,
    ) -> None:
        """`on_failure(failure, shadow)` hears of errors of models, each kept to its patient."""
        self._guards: list[tuple[Contained, bool]] = []
        self._on_failure = on_failure
        self.models = tuple(self._contained(model, shadow=False) for model in models)
        self.shadows = tuple(self._contained(model, shadow=True) for model in shadows)

    def _contained(self, model: RiskModel, *, shadow: bool) -> RiskModel:
        def make(part: RiskModel) -> RiskModel:
            guard = Contained(part, lambda failure: self._on_failure(failure, shadow))
            self._guards.append((guard, shadow))
            return guard

        return contain(model, make)

    def asked(self) -> list[AskedModel]:
        """All that are asked, rules behind models too."""
        return [AskedModel(g.risk, g.digest, shadow) for g, shadow in self._guards]

    def down(self) -> list[AskedModel]:
        """Of these, those that fail for everybody."""
        return [AskedModel(g.risk, g.digest, shadow) for g, shadow in self._guards if g.is_down]

    def apply(
        self,
        patients: Mapping[str, PatientState],
        record: FactRecord,
        log: LogPosition,
        expired: Sequence[str] = (),
        silent: Collection[str] = (),
        book: Rulebook = AS_SHIPPED,
    ) -> Effects:
        """Apply one record to the states of the patients that it touches (see `apply_all`)."""
        return self.apply_all(patients, [Step(record, log, expired, silent, book)])[0]

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
            for model in self.shadows:
                _score_in_shadow(model, together)
            for turn in together:
                self._finish(turn)
        return [self._effects(of_step) for of_step in turns]

    def _effects(self, turns: Sequence[_Turn]) -> Effects:
        """What follows from one record, in the order of its patients."""
        handed_on = [one for turn in turns for one in turn.handed_on]
        handed_on.sort(key=lambda one: one[0])
        risks = [model.risk for model in self.models]
        known = [turn for turn in turns if turn.messages or turn.touched.state.now() > EVER]
        return Effects(
            touched={turn.patient: turn.touched for turn in known},
            scores=[turn.scores[r] for r in risks for turn in turns if r in turn.scores],
            shadows=[score for turn in turns for score in turn.shadows],
            alerts=[alert for turn in turns for alert in turn.alerts],
            answers=[answer for turn in turns for answer in turn.answers],
            handed_on=[message for _, message in handed_on],
            due={turn.patient: turn.due for turn in known},
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
        plans = [
            deciding.plan(model, turn.touched, now, turn.step.book)
            for turn, now in zip(timed, nows, strict=True)
        ]
        records = [one.state.record for one in touched]
        answers, scored = model.answer(
            list(zip(records, nows, strict=True)),
            [(r, t) for r, plan in zip(records, plans, strict=True) for t in plan.times],
        )
        left = iter(scored)
        for turn, plan, answer in zip(timed, plans, answers, strict=True):
            new = [_probability(next(left)) for _ in plan.times]
            _judge(turn, model, plan, new, answer)

    def _finish(self, turn: _Turn) -> None:
        """What becomes of alerts, and when the patient's time comes next; actions on what is not
        there are answered."""
        _decide(turn, self.models)
        state, done = turn.touched.state, {answer.id for answer in turn.answers}
        turn.due = deciding.due(turn.patient, self.models, state, turn.step.book)
        turn.answers += [
            answered(action, Answer.UNKNOWN, None)
            for action in turn.actions
            if action.id not in done
        ]


def _score_in_shadow(model: RiskModel, turns: Sequence[_Turn]) -> None:
    """A score for each patient whom the question concerns; no state, no alert."""
    timed = [
        (turn, state.record, state.now())
        for turn in turns
        if (state := turn.touched.state).now() > EVER and model.concerns(state.record)
    ]
    answers = model.assess([(record, now) for _, record, now in timed])
    for (turn, _, _), answer in zip(timed, answers, strict=True):
        score = _to_score(turn, model, answer, model.rule.version, _ward(turn.touched.state))
        turn.shadows.append(replace(score, shadow=True))


def _judge(
    turn: _Turn,
    model: RiskModel,
    plan: deciding.Plan,
    probabilities: Sequence[float | None],
    answer: Assessment,
) -> None:
    """One risk of one patient: the score, and what it calls for."""
    touched = turn.touched
    concern = deciding.judge(
        turn.patient, model, touched.state, plan, probabilities, answer, turn.step.book
    )
    score = _to_score(turn, model, answer, plan.rule.version, plan.ward)
    turn.scores[model.risk] = score
    _extend_trend(model.risk, touched, answer)
    risk = touched.state.risks[model.risk]
    turn.judged[model.risk] = _Judged(plan, concern, risk.top)
    if answer.abstained is None:
        risk.top = {c.feature: c.contribution for e in score.evidence for c in e.top}


def _decide(turn: _Turn, models: Sequence[RiskModel]) -> None:
    """What becomes of the patient's alerts."""
    book, state = turn.step.book, turn.touched.state
    known = _alerts_of(state)
    concerns = [judged.concern for judged in turn.judged.values()]
    concerns += deciding.retired(turn.patient, models, state, book)
    for decided in deciding.decide(concerns, book, turn.actions):
        turn.answers += decided.answers
        turn.alerts += [_to_alert(turn, told) for told in decided.told]
    if turn.alerts:
        kept = set(_alerts_of(state))
        turn.touched.gone_alerts += [alert for alert in known if alert not in kept]


def _alerts_of(state: PatientState) -> list[str]:
    """Ids of the alerts that the state remembers."""
    return [one.alert_id for risk in state.risks.values() for one in risk.published]


def _to_alert(turn: _Turn, told: Announcement) -> Alert:
    """As the world reads it."""
    state, book = turn.touched.state, turn.step.book
    judged = turn.judged.get(told.risk)
    if judged is None:
        score = retired(turn.patient, told.risk, state, turn.step.log, turn.touched.caused_by)
        return to_alert(state, told, score, NEVER, book, [])
    score = turn.scores[told.risk]
    unwatched = score.abstained in UNWATCHED  # then nothing moved: nothing was computed
    why = [] if unwatched else moved(judged.top, score.evidence)
    return to_alert(state, told, score, judged.plan.rule, book, why)


def _turns(patients: Mapping[str, PatientState], step: Step) -> list[_Turn]:
    """A record's patients, in the order in which it names them."""
    turns: dict[str, _Turn] = {}
    for place, message in enumerate(step.record.messages):
        turn = turns.get(message.patient)
        if turn is None:
            touched = Touched(patients[message.patient], heard=message.heard)
            turn = turns[message.patient] = _Turn(step, message.patient, touched)
        turn.messages.append((place, message))
    for action in step.record.feedback:
        turn = turns.get(action.patient)
        if turn is None:
            touched = Touched(patients[action.patient])
            turn = turns[action.patient] = _Turn(step, action.patient, touched)
        turn.actions.append(action)
    for patient in step.expired:
        if patient not in turns:
            turns[patient] = _Turn(step, patient, Touched(patients[patient]))
        turns[patient].expired = True
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


def _ward(state: PatientState) -> str:
    stay = state.record.stay(state.now())
    return stay.ward if stay else ""


def _to_score(turn: _Turn, model: RiskModel, answer: Assessment, config: str, ward: str) -> Score:
    touched, silent = turn.touched, turn.step.silent
    down = [s for s in touched.state.sources if any(fnmatchcase(s, name) for name in silent)]
    abstained = answer.abstained
    if abstained is not None and touched.state.record.merged_into:
        abstained = Silence.MERGED.value
    elif down and abstained in _LACKING:
        abstained = Silence.FEED_DOWN.value
    return Score(
        patient=turn.patient,
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
        config=config,
        log=turn.step.log,
        caused_by=touched.caused_by,
        trace=touched.state.trace,
        ward=ward,
        fall_back=answer.fall_back,
    )
