"""One call for several risks of a patient: who joins whose call, and when it is over.

While somebody is called for one risk, another of its group that is not more severe joins: whoever
was told of the first is told of the second, and nobody is called twice. An alert *leads* when it
has a call of its own. Pure functions of the alerts of one patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from connectors.contract import AlertState, Severity
from streams.alerting import Published

RANK: Final = {Severity.WARNING: 1, Severity.CRITICAL: 2}
CALLING: Final = frozenset({AlertState.FIRING, AlertState.ESCALATED})


def is_calling(alert: Published) -> bool:
    """Is somebody called, and has not answered?"""
    return alert.state in CALLING


def to_join(
    new: Published, others: Iterable[Published], at: float, covers_s: float
) -> Published | None:
    """The alert whose call a new one joins; None: it calls by itself.

    One that is still calling, whatever its age; else one that was acknowledged, and had called less
    than `covers_s` ago.
    """
    leads = [o for o in others if not o.joined and RANK[o.severity] >= RANK[new.severity]]
    answered = [
        o
        for o in leads
        if o.state is AlertState.ACKNOWLEDGED and o.called_at <= at < o.called_at + covers_s
    ]
    return _first([o for o in leads if is_calling(o)]) or _first(answered)


def to_follow(alert: Published, others: Iterable[Published]) -> Published | None:
    """A more severe call that takes this one in; None: it goes on by itself.

    Who was handed an alert keeps it.
    """
    if alert.handed_to:
        return None
    more = [o for o in others if not o.joined and RANK[o.severity] > RANK[alert.severity]]
    return _first([o for o in more if is_calling(o)])


def belongs(alert: Published, others: Iterable[Published]) -> bool:
    """Is the call that this alert joined still made, and not less severe?"""
    lead = lead_of(alert, others)
    if lead is None or lead.joined or not is_calling(lead):
        return False
    return RANK[lead.severity] >= RANK[alert.severity]


def was_answered(alert: Published, others: Iterable[Published]) -> bool:
    """Did a person answer the call that this alert joined?"""
    lead = lead_of(alert, others)
    if lead is None:
        return False
    return lead.by_hand or lead.state in (AlertState.ACKNOWLEDGED, AlertState.SNOOZED)


def lead_of(alert: Published, others: Iterable[Published]) -> Published | None:
    """The alert whose call this one joined."""
    return next((o for o in others if o.alert_id == alert.joined), None)


def call_of(alert: Published) -> str:
    """The alert that leads the call."""
    return alert.joined or alert.alert_id


def _first(alerts: Sequence[Published]) -> Published | None:
    """The most severe, then the oldest call."""
    return min(alerts, key=lambda a: (-RANK[a.severity], a.called_at, a.alert_id), default=None)
