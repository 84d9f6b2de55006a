"""From scores to alerts: the trajectory is brought up to date, and the lifecycle taken a step on.

The part of the engine behind the models. Deterministic, like all of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from connectors.contract import (
    AlertReason,
    Severity,
)
from connectors.facts import Order, Statement
from connectors.feedback import Feedback
from models.contained import MODEL_ERROR
from models.record import EVER, PatientRecord, Presence, Stay
from models.risk import Assessment, RiskModel
from streams import alerting, lifecycle, trajectory
from streams.alerting import RiskState, Wanted
from streams.lifecycle import Concern, Decided
from streams.policy.rules import Case, Code, Rule, Rulebook
from streams.situation import ENDS, Situation, open_alert
from streams.state import PatientState, Touched
from streams.trajectory import Trajectory

_ANY_STAY = "patient"  # in an episode's name, where the question is not about a stay
_NOT_IN_FORCE = frozenset({"CA", "DC", "CM", "RP"})  # table 0038: cancelled, stopped, done …


class Plan(NamedTuple):
    """Where the rule has to walk again."""

    start: int  # index in the trajectory of the first point that is scored anew
    times: list[float]  # of observations to score anew
    since: float  # points from here on are void
    rule: Rule
    ward: str  # where the patient lies
    model_changed: bool


def plan(model: RiskModel, touched: Touched, now: float, book: Rulebook) -> Plan:
    """Forget the points and steps that may not hold any more; says what to score."""
    state = touched.state
    record = state.record
    risk = state.risks.setdefault(model.risk, RiskState())
    points = state.walks.setdefault(model.risk, Trajectory())
    place = record.stay(now)
    stay = place if model.of_stay else None
    name, start = _name(stay) if model.of_stay else _ANY_STAY, stay.start if stay else None
    since = EVER if risk.walked is None else math.nextafter(risk.walked, math.inf)
    if touched.since is not None:
        since = min(since, touched.since)
    model_changed = risk.model not in ("", model.digest)
    if (risk.stay, risk.start) != (name, start):
        risk.stay, risk.start, risk.steps = name, start, []
        since = EVER
    if risk.model != model.digest or (points.dropped and since < points.times[0]):
        since = EVER
    # What changed, and what was known but lay in the future of the patient's time.
    risk.walked, risk.model = now, model.digest
    trajectory.rewind(risk.steps, since)
    times = record.times(model.codes, max(since, EVER if start is None else start), now)
    ward = place.ward if place else ""
    rule = book.rule(model.risk, ward, model.rule)
    return Plan(points.cut(since), times, since, rule, ward, model_changed)


def judge(
    patient: str,
    model: RiskModel,
    state: PatientState,
    todo: Plan,
    probabilities: Iterable[float | None],
    answer: Assessment,
    book: Rulebook,
) -> Concern:
    """What a patient's new points and answer call for.

    Alerts follow the scores at times of observation; between them, one that waits for a duration
    is confirmed when its time is over.
    """
    risk, points = state.risks[model.risk], state.walks[model.risk]
    points.extend(zip(todo.times, probabilities, strict=True))
    rule_changed = risk.rule not in ("", todo.rule.digest)
    start = todo.start
    if rule_changed:  # all that is known is judged by the rule in force today
        risk.steps = [s for s in risk.steps if points.dropped and s[0] < points.times[0]]
        start = 0
    risk.rule = todo.rule.digest
    trajectory.walk(points, start, risk.steps, todo.rule, model.expires_s)
    points.trim()
    risk.points, risk.dropped, risk.live = len(points), points.dropped, answer.abstained is None
    want, abstained = _wanted(model, state, answer)
    if want is not None and not want.confirmed:
        lasted_s = answer.as_of - want.since
        confirmed = trajectory.confirmed_since(points, todo.rule, lasted_s)
        want = want._replace(confirmed=confirmed)
    now = Situation(
        patient=patient,
        risk=model.risk,
        at=state.logged,
        presence=_presence_of(model, state, answer.as_of),
        abstained=abstained,
        case=case_of(patient, model.risk, state, todo.ward),
        book=book,
        rule_changed=rule_changed,
        model_changed=todo.model_changed,
    )
    return Concern(risk, want, now)


def _wanted(
    model: RiskModel, state: PatientState, answer: Assessment
) -> tuple[Wanted | None, str | None]:
    """The alert that should be open now, and why the model abstains."""
    risk, reason = state.risks[model.risk], answer.abstained
    if reason is not None and reason not in alerting.UNWATCHED:
        return None, reason
    want, last = alerting.wanted(risk), open_alert(risk)
    if reason != MODEL_ERROR or last is None:
        return want, reason
    # A model that fails takes no alert back. Whether it has left, or nothing new has come for too
    # long, is known without the model.
    if _presence_of(model, state, answer.as_of) in ENDS:
        return None, reason
    if answer.as_of > model.expires_at(state.record, answer.as_of):
        return None, "stale_data"
    return want or alerting.as_published(last), reason


def decide(
    concerns: Sequence[Concern], book: Rulebook, actions: Sequence[Feedback] = ()
) -> Iterator[Decided]:
    """What becomes of a patient's alerts: of risks that share a call together, of others alone."""
    together: dict[tuple[str, ...], list[Concern]] = {}
    for one in concerns:
        together.setdefault(book.sharing(one.now.risk), []).append(one)
    for some in together.values():
        risks = {one.now.risk for one in some}
        yield lifecycle.step(some, [action for action in actions if action.risk in risks])


def retired(
    patient: str, models: Sequence[RiskModel], state: PatientState, book: Rulebook
) -> list[Concern]:
    """Risks with an open alert that this worker does not ask about any more."""
    asked = {model.risk for model in models}
    left = [(name, r) for name, r in state.risks.items() if name not in asked and open_alert(r)]
    if not left:
        return []
    record, now = state.record, state.now()
    stay = record.stay(now)
    ward = stay.ward if stay else ""
    return [
        Concern(
            risk,
            None,
            Situation(
                patient=patient,
                risk=name,
                at=state.logged,
                presence=record.presence(now),
                abstained=None,
                case=case_of(patient, name, state, ward),
                book=book,
                model_changed=True,
            ),
        )
        for name, risk in left
    ]


def due(
    patient: str, models: Sequence[RiskModel], state: PatientState, book: Rulebook
) -> float | None:
    """When something happens without a message, on the log's clock.

    Evidence expires, what is dated later than the patient's time comes true, and timers of alerts
    run out. Whoever has a score that counts is due some time: so a policy that comes into force
    finds everybody whom it may concern.
    """
    now, record = state.now(), state.record
    patients_time: list[float] = []
    clock: list[float] = []
    for model in models:
        coming = record.next_observation(model.codes, now)
        if coming is not None:
            patients_time.append(coming)
        risk = state.risks.get(model.risk)
        if risk is None:
            continue
        if risk.live or open_alert(risk) is not None:
            expiry = model.expires_at(record, now) + 1.0
            # A model that goes on answering is looked at again later, not with every tick.
            patients_time.append(expiry if expiry > now else now + model.expires_s)
        last = open_alert(risk)
        if last is None:
            continue
        stay = record.stay(now)
        ward = stay.ward if stay else ""
        case = case_of(patient, model.risk, state, ward)
        if last.held is AlertReason.AWAITING_CONFIRMATION:
            over = last.since + book.rule(model.risk, ward, model.rule).lasting_s
            patients_time += [over] if over > now else []
        timer = lifecycle.due(risk, case, book, state.logged)
        if timer is not None:
            clock.append(timer)
    coming = record.next_event(now)
    if coming is not None:
        patients_time.append(coming)
    clock += [state.due(at) for at in patients_time if at > EVER]
    return min(clock, default=None)


def case_of(patient: str, risk: str, state: PatientState, ward: str) -> Callable[[Severity], Case]:
    """The alert's circumstances, as a policy asks for them."""
    record, now = state.record, state.now()
    return lambda severity: Case(patient, risk, ward, severity, lambda: codes_in_force(record, now))


def codes_in_force(record: PatientRecord, now: float) -> list[Code]:
    """Codes of statements that have not ended and of orders that were not cancelled.

    What belongs to another visit than the present one is over: a DNR order of last year holds
    nothing back today. What names no visit (a problem, an advance directive) goes on.
    """
    found: list[Code] = []
    stay = record.stay(now)
    visit = stay.visit if stay else ""
    for fact in record.facts.values():
        if fact.removed or not isinstance(fact, Statement | Order) or fact.time > now:
            continue
        if fact.visit and visit and fact.visit != visit:
            continue
        if isinstance(fact, Statement):
            over = fact.end is not None and fact.end <= now
        else:
            over = fact.status in _NOT_IN_FORCE
        if not over:
            found.append(Code(fact.code, fact.system))
    return found


def _name(stay: Stay | None) -> str:
    """The stay in an episode's name."""
    if stay is None:
        return "unknown"
    return stay.visit[:12] or "unnumbered"


def _presence_of(model: RiskModel, state: PatientState, now: float) -> Presence:
    """What became of the stay, or of the patient, that an open alert belongs to."""
    record, risk = state.record, state.risks[model.risk]
    if open_alert(risk) is None:
        return Presence.PRESENT  # nobody asks
    if not model.of_stay:
        presence = record.presence(now)
        ends = presence in (Presence.DIED, Presence.MERGED)
        return presence if ends else Presence.PRESENT
    return _presence(record, risk.published[-1].stay, now)


def _presence(record: PatientRecord, stay: str, now: float) -> Presence:
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
