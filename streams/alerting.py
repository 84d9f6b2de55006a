"""The first alert rule: a threshold with hysteresis, as a function of what is known, not of when.

A rule with memory usually depends on the order in which data arrive. Here it runs over the
patient's *trajectory*: the scores at every time of observation of the stay, computed with
everything that is known today. In order, each message adds one point. A late, corrected or deleted
value recomputes the points from its time on. So every order of arrival ends in the same alert.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from connectors.contract import AlertReason, AlertState, Severity
from models.record import Presence
from models.risk import AlertRule

QUIET, WARNING, CRITICAL = 0, 1, 2


class Published(msgspec.Struct):
    """The newest revision of an alert that was told to the world."""

    alert_id: str
    episode: str
    revision: int
    state: AlertState
    severity: Severity
    since: float
    stay: str  # the stay that the episode belongs to


class RiskState(msgspec.Struct):
    """What a worker remembers of one risk of one patient."""

    stay: str = ""  # which stay the steps belong to
    start: float | None = None  # when it began
    steps: list[tuple[float, int]] = []  # (time, level) at each change of level, ascending
    published: list[Published] = []  # newest last; only the last can be open
    # Never an infinity: JSON has none.
    walked: float | None = None  # the patient's time up to which the steps are known
    plotted: float | None = None  # time of the newest point of the trend


class Wanted(NamedTuple):
    """The alert that should be open now."""

    episode: str
    since: float
    severity: Severity


class Announcement(NamedTuple):
    """A change to be told."""

    published: Published
    reason: AlertReason


def next_level(level: int, probability: float, rule: AlertRule) -> int:
    """One step of the rule: up at `fire` and `critical`, down to quiet only below `clear`."""
    if probability >= rule.critical:
        return CRITICAL
    if probability >= rule.fire:
        return max(level, WARNING)
    return level if level and probability >= rule.clear else QUIET


def rewind(state: RiskState, since: float) -> int:
    """Forget the steps from `since` on; returns the level before."""
    while state.steps and state.steps[-1][0] >= since:
        state.steps.pop()
    return state.steps[-1][1] if state.steps else QUIET


def walk(
    state: RiskState,
    level: int,
    points: Iterable[tuple[float, float | None]],
    newest_before: float,
    expires_s: float,
    rule: AlertRule,
) -> int:
    """Run the rule over (time, probability) points, recording the steps; returns the last level.

    An abstention keeps the level. A gap longer than `expires_s` ends an episode: nothing can
    burn on evidence that nobody would still believe.
    """
    for time, probability in points:
        if level and time - newest_before > expires_s:
            level = QUIET
            state.steps.append((time, level))
        newest_before = time
        if probability is None:
            continue
        reached = next_level(level, probability, rule)
        if reached != level:
            level = reached
            state.steps.append((time, level))
    return level


def wanted(state: RiskState) -> Wanted | None:
    """The alert that the steps call for: the last episode, when it has not ended."""
    onset, level = 0.0, QUIET
    for time, reached in state.steps:
        if level == QUIET:
            onset = time
        level = reached
    if level == QUIET:
        return None
    severity = Severity.CRITICAL if level == CRITICAL else Severity.WARNING
    return Wanted(f"{state.stay}-{episodes(state)}", onset, severity)


def episodes(state: RiskState) -> int:
    """How many episodes the trajectory holds."""
    count, last = 0, QUIET
    for _, reached in state.steps:
        count += last == QUIET and reached != QUIET
        last = reached
    return count


def alert_id(patient: str, risk: str, episode: str) -> str:
    """The same for every recomputation of the same episode."""
    return hashlib.sha256(f"{patient}|{risk}|{episode}".encode()).hexdigest()[:24]


class Situation(NamedTuple):
    """What ends alerts whatever the score says."""

    presence: Presence  # in the stay that the open alert belongs to
    abstained: str | None


_ENDED_BY_PRESENCE = {
    Presence.DISCHARGED: (AlertState.RESOLVED, AlertReason.DISCHARGED),
    Presence.DIED: (AlertState.RESOLVED, AlertReason.DIED),
    Presence.CANCELLED: (AlertState.WITHDRAWN, AlertReason.STAY_CANCELLED),
    Presence.NOT_YET: (AlertState.WITHDRAWN, AlertReason.STAY_CANCELLED),
    Presence.MERGED: (AlertState.WITHDRAWN, AlertReason.MERGED),
}


def announce(
    patient: str, risk: str, state: RiskState, want: Wanted | None, situation: Situation
) -> list[Announcement]:
    """What to tell: the difference between the alert that is open and the one that is wanted."""
    last = state.published[-1] if state.published else None
    is_open = last is not None and last.state is AlertState.FIRING
    out: list[Announcement] = []
    if last is not None and is_open:
        if want is not None and want.episode == last.episode:
            changed = _changed(last, want)
            if changed is None:
                return []
            return [_tell(state, last, AlertState.FIRING, changed, want)]
        out.append(_tell(state, last, *_ending(state, last, situation)))
    if want is not None:
        out.append(_open(patient, risk, state, want))
    return out


def _changed(last: Published, want: Wanted) -> AlertReason | None:
    if last.severity is not want.severity:
        return AlertReason.SCORE_CHANGED
    return AlertReason.DATA_CHANGED if last.since != want.since else None


def _ending(
    state: RiskState, last: Published, situation: Situation
) -> tuple[AlertState, AlertReason]:
    by_presence = _ENDED_BY_PRESENCE.get(situation.presence)
    if by_presence is not None:
        return by_presence
    if situation.abstained == "stale_data":
        return AlertState.RESOLVED, AlertReason.DATA_EXPIRED
    number = int(last.episode.rpartition("-")[2])
    still_true = last.episode.startswith(f"{state.stay or 'unknown'}-") and number <= episodes(
        state
    )
    if situation.abstained is None and still_true:
        return AlertState.RESOLVED, AlertReason.BELOW_THRESHOLD
    return AlertState.WITHDRAWN, AlertReason.DATA_CHANGED


def _tell(
    state: RiskState,
    last: Published,
    to: AlertState,
    reason: AlertReason,
    want: Wanted | None = None,
) -> Announcement:
    new = Published(
        alert_id=last.alert_id,
        episode=last.episode,
        revision=last.revision + 1,
        state=to,
        severity=want.severity if want else last.severity,
        since=want.since if want else last.since,
        stay=last.stay,
    )
    state.published[state.published.index(last)] = new
    return Announcement(new, reason)


def _open(patient: str, risk: str, state: RiskState, want: Wanted) -> Announcement:
    name = alert_id(patient, risk, want.episode)
    before = next((p for p in state.published if p.alert_id == name), None)
    new = Published(
        alert_id=name,
        episode=want.episode,
        revision=before.revision + 1 if before else 1,
        state=AlertState.FIRING,
        severity=want.severity,
        since=want.since,
        stay=state.stay,
    )
    if before is not None:
        state.published.remove(before)
    state.published.append(new)
    return Announcement(new, AlertReason.ABOVE_THRESHOLD)
