"""What becomes of alerts: data, the clock in the log, and people move them along the table.

The *clinical* part is the alert that the trajectory calls for (`alerting.wanted`): it does not
depend on the order in which data arrived. The *care* part is what people and timers did since:
it goes by the order of the log, on ticks and feedback. One step takes both a record further.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from connectors.contract import AlertState, Answer, FeedbackAnswer, Severity
from connectors.feedback import Feedback
from streams.acting import answered
from streams.alert_life import AlertLife
from streams.alerting import Published, RiskState, Wanted
from streams.grouping import RANK, is_calling
from streams.policy.rules import Case, Rulebook
from streams.situation import Announcement, Situation, open_alert


class Concern(NamedTuple):
    """One risk of a patient at one step."""

    state: RiskState
    want: Wanted | None
    now: Situation


class Decided(NamedTuple):
    """What one step decided."""

    told: list[Announcement]  # in the order in which people may hear it
    answers: list[FeedbackAnswer]


def step(concerns: Sequence[Concern], actions: Sequence[Feedback] = ()) -> Decided:
    """One record further: the data, then the clock, then what people did, then what holds back.

    The concerns are of one patient and share a call where their alerts fit together
    (`streams.grouping`). Calls that are made already come first, then the most severe.
    """
    nothing = all(one.want is None and open_alert(one.state) is None for one in concerns)
    if nothing and not actions:  # the usual case
        return Decided([], [])
    told: list[Announcement] = []
    if len(concerns) == 1:
        return _alone(concerns[0], actions, told)
    lives = _lives(concerns, told)
    ordered = [lives[place] for place in _order(concerns)]
    for life in ordered:
        life.follow()
        life.keep_watch()
        life.keep_time()
    answers = [_act(lives, concerns, action) for action in actions]
    for life in ordered:
        life.hold_or_release()
    for life in sorted(ordered, key=lambda one: bool(one.newest and one.newest.joined)):
        life.share_calls()
    return Decided(told, answers)


def _alone(one: Concern, actions: Sequence[Feedback], told: list[Announcement]) -> Decided:
    """As `step`, for a risk that shares a call with no other."""
    life = AlertLife(one.state, one.now, one.want, tuple, told)
    life.follow()
    life.keep_watch()
    life.keep_time()
    answers = [_act([life], [one], action) for action in actions]
    life.hold_or_release()
    if life.newest is not None and life.newest.joined:  # the policy parted them
        life.share_calls()
    return Decided(told, answers)


def due(
    state: RiskState, case: Callable[[Severity], Case], book: Rulebook, at: float
) -> float | None:
    """When the clock alone may change the open alert; `at` and the answer on Tocsin's clock."""
    last = open_alert(state)
    if last is None or last.state is AlertState.ACKNOWLEDGED:
        return None
    if last.state is AlertState.SNOOZED:
        return last.snoozed_until
    one = case(last.severity)
    moments = [book.changes_at(one, at)]
    steps = book.escalation(one)
    leads = is_calling(last) and not last.joined
    if leads and last.escalation < len(steps) and book.hold(one, at) is None:
        moments.append(last.called_at + steps[last.escalation].after)
    return min((m for m in moments if m is not None), default=None)


def _lives(concerns: Sequence[Concern], told: list[Announcement]) -> list[AlertLife]:
    lives: list[AlertLife] = []
    for place, one in enumerate(concerns):
        # Of the states and not of `lives`: nothing here may lead back to itself, or only the
        # collector of cycles would free it.
        def others(place: int = place) -> list[Published]:
            near = (one.state.published for at, one in enumerate(concerns) if at != place)
            return [published[-1] for published in near if published]

        lives.append(AlertLife(one.state, one.now, one.want, others, told))
    return lives


def _order(concerns: Sequence[Concern]) -> list[int]:
    def first(place: int) -> tuple[bool, int]:
        one = concerns[place]
        last = open_alert(one.state)
        leads = last is not None and is_calling(last) and not last.joined
        severity = one.want.severity if one.want else last.severity if last else None
        return not leads, -RANK[severity] if severity else 0

    return sorted(range(len(concerns)), key=first)


def _act(
    lives: Sequence[AlertLife], concerns: Sequence[Concern], action: Feedback
) -> FeedbackAnswer:
    """What somebody did with one alert, and with those that the answer covers."""
    place = next((at for at, one in enumerate(concerns) if one.now.risk == action.risk), None)
    if place is None:
        return answered(action, Answer.UNKNOWN, None)
    life = lives[place]
    call = life.answers_for_call(action)
    answer = life.act(action)
    if call and answer is Answer.DONE:
        for other in lives:
            if other is not life:
                other.share(action, call)
    return answered(action, answer, life.find(action.alert_id))
