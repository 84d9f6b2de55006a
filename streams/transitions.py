"""The life of an alert as a table: from which state, for which reason, into which state.

Data, rendered into `docs/reference/alerts.md`. `streams.lifecycle` decides what happens, and looks
here where it leads: what is not in the table cannot happen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from connectors.contract import ENDED, OPEN, AlertReason, AlertState

P, F, A = AlertState.PENDING, AlertState.FIRING, AlertState.ACKNOWLEDGED
S, E = AlertState.SNOOZED, AlertState.ESCALATED
RESOLVED, WITHDRAWN = AlertState.RESOLVED, AlertState.WITHDRAWN
R = AlertReason

From = AlertState | None  # None: there was no such alert
_NOT_OPEN: Final[tuple[From, ...]] = (None, RESOLVED, WITHDRAWN)
_CALLING: Final = (F, E)  # somebody is called and has not answered
HOLDS: Final = (R.AWAITING_CONFIRMATION, R.INHIBITED, R.SILENCED, R.QUIET_HOURS, R.SHADOW)
STAYS: Final = (R.SCORE_CHANGED, R.AMENDED, R.COMMENTED, R.UNWATCHED, R.WATCHED_AGAIN)
RESOLVES: Final = (
    R.BELOW_THRESHOLD,
    R.DATA_EXPIRED,
    R.QUESTION_OVER,
    R.DISCHARGED,
    R.DIED,
    R.THRESHOLD_CHANGED,
    R.DISMISSED,
    R.OUTCOME,
)
WITHDRAWS: Final = (R.DATA_CHANGED, R.STAY_CANCELLED, R.MERGED, R.MODEL_CHANGED)


def _rows() -> Iterator[tuple[Iterable[From], AlertReason, AlertState | None]]:
    """(from any of, reason, into); into None: it stays what it is."""
    yield _NOT_OPEN, R.ABOVE_THRESHOLD, F
    yield (RESOLVED,), R.WORSENED, F  # it was dismissed, and gets worse
    for reason in HOLDS:
        yield (*_NOT_OPEN, P), reason, P
    for reason in (R.AWAITING_CONFIRMATION, R.INHIBITED, R.SILENCED, R.SHADOW):
        yield _CALLING, reason, P
        yield (A, S), reason, P  # it would call again, and is held back
    yield (S, F), R.QUIET_HOURS, P  # F: the call that it had joined is over
    yield (*_NOT_OPEN, *OPEN), R.JOINED, F
    yield (*_NOT_OPEN, P, A, S), R.COVERED, A
    yield (F,), R.PARTED, F
    yield (P,), R.CONFIRMED, F
    yield (P,), R.RELEASED, F
    yield (A, S), R.WORSENED, F
    yield (S,), R.SNOOZE_ENDED, F
    yield _CALLING, R.UNACKNOWLEDGED, E
    yield OPEN, R.ACKNOWLEDGED, A
    yield OPEN, R.SNOOZED, S
    yield OPEN, R.HANDED_OVER, F
    for reason in STAYS:
        yield OPEN, reason, None
    for reason in RESOLVES:
        yield OPEN, reason, RESOLVED
    for reason in WITHDRAWS:
        yield OPEN, reason, WITHDRAWN
    for reason in (R.COMMENTED, R.OUTCOME):  # noted with an alert that has ended
        yield ENDED, reason, None


def _table() -> dict[tuple[From, AlertReason], AlertState]:
    table: dict[tuple[From, AlertReason], AlertState] = {}
    for states, reason, into in _rows():
        for state in states:
            leads = state if into is None else into
            assert leads is not None  # noqa: S101 - of the table itself
            assert (state, reason) not in table  # noqa: S101
            table[state, reason] = leads
    return table


TRANSITIONS: Final = _table()
