"""The worker's own rule and lifecycle, run over recorded trajectories.

Between the steps of the rule and the timers of the lifecycle nothing happens to an alert, so the
walk goes from one to the next. Nobody acknowledges anything here: calls are what would be sent if
nobody did.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from connectors.contract import ENDED, Severity
from models.record import Presence
from models.risk import AlertRule
from streams import alerting, lifecycle, trajectory
from streams.alerting import RiskState
from streams.backtest.stays import Stays
from streams.lifecycle import Concern
from streams.policy.rules import Case, Rule, Rulebook
from streams.situation import Announcement, Situation
from streams.trajectory import Trajectory


@dataclass(slots=True)
class Raised:
    """One alert that called somebody."""

    stay: int  # index
    at: float  # of the first call
    severity: Severity  # the highest that it reached
    calls: int  # in all, escalations included
    ended: float
    reason: str  # why it ended; "" while it had not


class Question(NamedTuple):
    """The risk that is asked about."""

    risk: str
    shipped: AlertRule
    expires_s: float


def simulate(stays: Stays, question: Question, book: Rulebook) -> list[Raised]:
    """The alerts that the policy would have raised, by stay and time."""
    if not stays.absolute:
        book = _timeless(book)
    rules = {w: book.rule(question.risk, w, question.shipped) for w in set(stays.wards)}
    fires = np.array([rules[ward].micros[0] for ward in stays.wards])
    highest = np.maximum.reduceat(stays.micros, stays.bounds[:-1])
    raised: list[Raised] = []
    for stay in np.flatnonzero(highest >= fires).tolist():  # in the others, no step is ever taken
        ward = stays.wards[stay]
        raised += _of_stay(stays, stay, question, rules[ward], ward, book)
    return raised


def _timeless(book: Rulebook) -> Rulebook:
    """Hours since admission have no hour of the day: silences and quiet hours say nothing."""
    policy = book.policy.model_copy(update={"silences": (), "quiet_hours": ()})
    return Rulebook(policy, book.version)


def _of_stay(
    stays: Stays, stay: int, question: Question, rule: Rule, ward: str, book: Rulebook
) -> list[Raised]:
    points = Trajectory()
    start, end = stays.bounds[stay], stays.bounds[stay + 1]
    points.times.frombytes(stays.times[start:end].tobytes())
    points.micros.frombytes(stays.micros[start:end].tobytes())
    steps: trajectory.Steps = []
    trajectory.walk(points, 0, steps, rule, question.expires_s)
    if not steps:
        return []
    life = _Life(stay, stays.patients[stay], question.risk, ward, book)
    for number, (time, code) in enumerate(steps):
        life.wait_until(time)
        at = bisect_left(points.times, time)
        silent_since = points.times[at - 1] if at else time
        if code == trajectory.QUIET and time - silent_since > question.expires_s:
            life.expire(silent_since + question.expires_s + 1.0)
        life.state.steps = steps[: number + 1]
        life.step(time)
    last = points.times[-1]
    life.wait_until(last)
    life.step(last)  # a timer that runs out with the last score
    life.leave(last)
    return life.raised


class _Life:
    """The alerts of one stay."""

    def __init__(self, stay: int, patient: str, risk: str, ward: str, book: Rulebook) -> None:
        self.state = RiskState(stay=str(stay))
        self.raised: list[Raised] = []
        self._stay, self._patient, self._risk, self._book = stay, patient, risk, book
        self._case = lambda severity: Case(patient, risk, ward, severity, tuple)
        self._open: Raised | None = None
        self._now = float("-inf")

    def wait_until(self, time: float) -> None:
        """Timers run out before a time."""
        while True:
            due = lifecycle.due(self.state, self._case, self._book, self._now)
            if due is None or due >= time:
                return
            self.step(max(due, self._now))

    def step(self, at: float) -> None:
        """The lifecycle takes in what the rule says now."""
        self._decide(at, Presence.PRESENT, None)

    def expire(self, at: float) -> None:
        """Nothing recent enough to stand on."""
        self.wait_until(at)
        self._decide(at, Presence.PRESENT, "stale_data")

    def leave(self, at: float) -> None:
        """The record ends."""
        self._decide(at, Presence.DISCHARGED, "not_present")

    def _decide(self, at: float, presence: Presence, abstained: str | None) -> None:
        self._now = at
        want = alerting.wanted(self.state) if abstained is None else None
        now = Situation(self._patient, self._risk, at, presence, abstained, self._case, self._book)
        for told in lifecycle.step([Concern(self.state, want, now)]).told:
            self._take(told, at)

    def _take(self, told: Announcement, at: float) -> None:
        ended = told.published.state in ENDED
        if told.calls and not ended:
            if self._open is None:
                severity = told.published.severity
                self._open = Raised(self._stay, at, severity, 0, at, "")
                self.raised.append(self._open)
            self._open.calls += 1
            if told.published.severity is Severity.CRITICAL:
                self._open.severity = Severity.CRITICAL
        if ended and self._open is not None:
            self._open.ended, self._open.reason = at, told.reason
            self._open = None
