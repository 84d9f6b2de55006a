"""What became of alerts, by ward and risk: load, acknowledgement, and how many were right."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from connectors.clock import from_iso
from connectors.contract import Alert
from connectors.feedback import RIGHT, WRONG, Action, Outcome
from streams.policy.document import Budget

DAY_S = 86_400.0
HOUR_S = 3_600.0
_Z = 1.959964  # 95 %


@dataclass(slots=True)
class Group:
    """Alerts of one ward and risk that called somebody."""

    ward: str
    risk: str
    alerts: int = 0
    acknowledged: int = 0
    dismissed: int = 0
    right: int = 0
    wrong: int = 0
    expected: float = 0.0  # sum of probabilities of those with an outcome
    per_day: float | None = None  # alerts a patient-day
    per_day_before: float | None = None  # in a window of the same length before this one
    before: int = 0  # alerts of that window, …
    acknowledged_before: int = 0

    @property
    def judged(self) -> int:
        """Alerts with an outcome."""
        return self.right + self.wrong


def groups(
    alerts: Iterable[Alert],
    patients: Mapping[str, int],
    now: float,
    window_s: float,
) -> list[Group]:
    """By ward and risk, with the window before for comparison. `patients` of each ward now.

    Where the oldest alert is younger than a window, patient-days are counted from there.
    """
    alerts = list(alerts)
    oldest = min((from_iso(alert.since) for alert in alerts), default=now)
    days = min(window_s, max(now - oldest, HOUR_S)) / DAY_S
    days_before = min(window_s, now - window_s - oldest) / DAY_S
    found: dict[tuple[str, str], Group] = {}
    for alert in alerts:
        age = now - from_iso(alert.since)
        if alert.called and age < 2 * window_s:
            group = found.setdefault((alert.ward, alert.risk), Group(alert.ward, alert.risk))
            (_take if age < window_s else _take_before)(group, alert)
    for group in found.values():
        present = patients.get(group.ward, 0)
        group.per_day = group.alerts / (present * days) if present else None
        if present and days_before >= days:
            group.per_day_before = group.before / (present * days_before)
    return sorted(found.values(), key=lambda g: (g.ward, g.risk))


def _take_before(group: Group, alert: Alert) -> None:
    group.before += 1
    group.acknowledged_before += Action.ACKNOWLEDGE in {acted.action for acted in alert.actions}


def _take(group: Group, alert: Alert) -> None:
    done = {acted.action for acted in alert.actions}
    group.alerts += 1
    group.acknowledged += Action.ACKNOWLEDGE in done
    group.dismissed += Action.DISMISS in done
    said = [Outcome(a.outcome) for a in alert.actions if a.outcome]
    judged = [o for o in said if o in RIGHT | WRONG]
    if judged:  # the last word counts
        group.right += judged[-1] in RIGHT
        group.wrong += judged[-1] in WRONG
        group.expected += alert.score.probability or 0.0


@dataclass(frozen=True, slots=True)
class Spent:
    """Calls of the last hour against what some wards can bear."""

    budget: Budget
    calls: int

    @property
    def exceeded(self) -> bool:
        """More than they can bear."""
        return self.calls > self.budget.calls_per_hour


def spent(budgets: Sequence[Budget], calls: Iterable[tuple[float, str]], now: float) -> list[Spent]:
    """`calls`: when, on the clock of `now`, and from which ward."""
    recent = [ward for at, ward in calls if at > now - HOUR_S]
    return [
        Spent(
            budget,
            sum(
                not budget.wards or any(fnmatchcase(ward, w) for w in budget.wards)
                for ward in recent
            ),
        )
        for budget in budgets
    ]


def wilson(successes: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson's score interval)."""
    if not of:
        return 0.0, 1.0
    share, z2 = successes / of, _Z * _Z
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return max(0.0, middle - half), min(1.0, middle + half)
