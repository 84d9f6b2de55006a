"""What a worker remembers of a risk, and the alert that the patient's trajectory calls for.

A rule with memory usually depends on the order in which data arrive. Here it runs over the
patient's *trajectory* (`streams.trajectory`): the scores at every time of observation of the stay,
computed with everything that is known today and judged by the thresholds in force today. In order,
each message adds one point. A late, corrected or deleted value recomputes the points from its time
on. So every order of arrival ends in the same alert. What people and clocks do to that alert is
`streams.lifecycle`.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import msgspec

from connectors.contract import Acted, AlertReason, AlertState, Severity
from models.contained import MODEL_ERROR
from streams.trajectory import CRITICAL, QUIET, UNCONFIRMED, Steps


class Published(msgspec.Struct, omit_defaults=True):
    """The newest revision of an alert that was told to the world. Times: Tocsin's clock."""

    alert_id: str
    episode: str
    revision: int
    state: AlertState
    severity: Severity
    since: float  # the patient's time
    stay: str  # the stay that the episode belongs to
    held: AlertReason | None = None  # pending: why nobody is called
    held_by: str = ""
    called: int = 0  # the newest revision that called somebody, or joined a call
    called_at: float = 0.0  # when it did
    joined: str = ""  # the alert of another risk whose call this one belongs to
    worse: int = 0  # the newest revision that was more severe than the one before
    escalation: int = 0  # steps taken since the last call of the first in line
    escalated_to: str = ""
    acknowledged_by: str = ""
    snoozed_until: float | None = None
    handed_to: str = ""
    by_hand: bool = False  # ended by somebody: it comes back only when it gets worse
    unwatched: bool = False  # the model does not answer, and it was told
    comments: int = 0
    actions: list[Acted] = []  # the newest ones


class RiskState(msgspec.Struct, omit_defaults=True):
    """What a worker remembers of one risk of one patient."""

    stay: str = ""  # which stay the steps belong to
    start: float | None = None  # when it began
    steps: Steps = []
    published: list[Published] = []  # newest last; only the last can be open
    # Never an infinity: JSON has none.
    walked: float | None = None  # the patient's time up to which the steps are known
    plotted: float | None = None  # time of the newest point of the trend
    points: int = 0  # of the trajectory, in the store
    dropped: int = 0
    rule: str = ""  # digest of the rule that made the steps
    model: str = ""  # digest of the model that made the points
    live: bool = False  # the newest score did not abstain
    top: dict[str, float] = {}  # the newest score's strongest features and their contributions


# Abstentions of a model that would not reassure, or failed: an open alert goes on, unwatched. The
# others say that the data are gone or the question is over, and the alert ends with them.
UNWATCHED: Final = frozenset(
    {MODEL_ERROR, "out_of_distribution", "too_little_data", "critical_value"}
)


class Wanted(NamedTuple):
    """The alert that should be open now."""

    episode: str
    since: float
    severity: Severity
    confirmed: bool


def wanted(state: RiskState) -> Wanted | None:
    """The alert that the steps call for: the last episode, when it has not ended."""
    onset, code, count = 0.0, QUIET, 0
    for time, reached in state.steps:
        if code == QUIET:
            onset = time
            count += 1
        code = reached
    if code == QUIET:
        return None
    severity = Severity.CRITICAL if code & ~UNCONFIRMED == CRITICAL else Severity.WARNING
    return Wanted(f"{state.stay}-{count}", onset, severity, not code & UNCONFIRMED)


def as_published(alert: Published) -> Wanted:
    """What keeps an open alert as it is."""
    confirmed = alert.held is not AlertReason.AWAITING_CONFIRMATION
    return Wanted(alert.episode, alert.since, alert.severity, confirmed)


def episodes(state: RiskState) -> int:
    """How many episodes the trajectory holds."""
    count, last = 0, QUIET
    for _, reached in state.steps:
        count += last == QUIET and reached != QUIET
        last = reached
    return count


def still_true(state: RiskState, episode: str) -> bool:
    """Is an episode that has ended still one, by what is known today?"""
    number = int(episode.rpartition("-")[2])
    return episode.startswith(f"{state.stay or 'unknown'}-") and number <= episodes(state)


def alert_id(patient: str, risk: str, episode: str) -> str:
    """The same for every recomputation of the same episode."""
    return hashlib.sha256(f"{patient}|{risk}|{episode}".encode()).hexdigest()[:24]
