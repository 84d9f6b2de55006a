"""Is the alert rate of a policy where it was expected, and each ward within its budget?

A rate leaves its band when the number of alerts in the window would be a one in ten thousand
chance at the band's border, as a Poisson count: a few patients more or less are no reason to take
a policy back. No I/O and no clock.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from connectors.contract import ENDED, Alert, AlertReason
from streams.policy.document import Budget, Expected, Policy
from streams.policy.rules import fits

CHANCE: Final = 1e-4
_COUNTED: Final = (AlertReason.SHADOW, AlertReason.JOINED, AlertReason.COVERED)
_DAY_S: Final = 86_400.0
_HOUR_S: Final = 3_600.0
_LONGEST_LOOK_S: Final = 120.0  # between two looks; what is longer was not watched


class Spent(NamedTuple):
    """What a budget's wards were called in the last hour."""

    budget: Budget
    calls: int

    @property
    def exceeded(self) -> bool:
        """More than they can bear?"""
        return self.calls > self.budget.calls_per_hour


class _Window(NamedTuple):
    """What was seen of one expectation: times of alerts, and (time, patient-days)."""

    alerts: deque[float]
    exposure: deque[tuple[float, float]]


class Watch:
    """Over one version of the policy, from when it came into force (or from the first look)."""

    def __init__(self, policy: Policy, version: str, since: float) -> None:
        self.version = version
        self._policy, self._since, self._looked = policy, since, since
        self._windows = {e: _Window(deque(), deque()) for e in policy.expected}
        self._calls: dict[Budget, deque[float]] = {b: deque() for b in policy.budget}
        self._known: set[str] = set()

    def take(self, alert: Alert, at: float) -> None:
        """One revision. What would have called on trial counts as well, and what joined a call."""
        if alert.calls and alert.state not in ENDED:
            for budget, calls in self._calls.items():
                if fits(budget.wards, alert.ward):
                    calls.append(at)
        would = alert.calls or alert.reason in _COUNTED
        mine = alert.threshold.version == self.version and alert.alert_id not in self._known
        if not would or not mine or alert.state in ENDED:
            return
        self._known.add(alert.alert_id)
        for expected, window in self._windows.items():
            if expected.risk == alert.risk and fits(expected.wards, alert.ward):
                window.alerts.append(at)

    def look(self, at: float, patients: Mapping[str, int]) -> None:
        """How many patients lie where; every few seconds."""
        days = min(max(0.0, at - self._looked), _LONGEST_LOOK_S) / _DAY_S
        self._looked = at
        for expected, window in self._windows.items():
            there = sum(n for ward, n in patients.items() if fits(expected.wards, ward))
            window.exposure.append((at, days * there))
            _forget(window, at - expected.over)
        for calls in self._calls.values():
            while calls and calls[0] <= at - _HOUR_S:
                calls.popleft()

    def verdict(self) -> str:
        """Why the policy has to be taken back, in words; "" when it need not."""
        return next((said for e, w in self._windows.items() if (said := self._judge(e, w))), "")

    def _judge(self, expected: Expected, window: _Window) -> str:
        days = sum(d for _, d in window.exposure)
        if days <= 0:
            return ""
        low, high = expected.per_patient_day
        count = len(window.alerts)
        said = (
            f"{count} alerts of {expected.risk} in {days:.2f} patient-days, expected were "
            f"{low:g} to {high:g} a patient-day"
        )
        if at_least(count, high * days) < CHANCE:
            return f"too many: {said}"
        whole = self._looked - self._since >= expected.over
        return f"too few: {said}" if whole and at_most(count, low * days) < CHANCE else ""

    def spent(self) -> Iterator[Spent]:
        """Each budget, and what of it the last hour took."""
        return (Spent(budget, len(calls)) for budget, calls in self._calls.items())


def _forget(window: _Window, before: float) -> None:
    while window.alerts and window.alerts[0] <= before:
        window.alerts.popleft()
    while window.exposure and window.exposure[0][0] <= before:
        window.exposure.popleft()


def at_most(count: int, mean: float) -> float:
    """P(X ≤ count) of a Poisson count.

    >>> round(at_most(0, 2.0), 6), at_most(5, 0.0)
    (0.135335, 1.0)
    """
    if mean <= 0:
        return 1.0
    return min(1.0, math.fsum(math.exp(_log_chance(k, mean)) for k in range(count + 1)))


def at_least(count: int, mean: float) -> float:
    """P(X ≥ count) of a Poisson count, exact also where it is tiny.

    >>> round(at_least(1, 2.0), 6), at_least(0, 1.0), at_least(3, 0.0)
    (0.864665, 1.0, 0.0)
    """
    if not count:
        return 1.0
    if mean <= 0:
        return 0.0
    if count <= mean:
        return max(0.0, 1.0 - at_most(count - 1, mean))
    terms: list[float] = []
    k = count
    while not terms or terms[-1] > 1e-18 * terms[0]:
        terms.append(math.exp(_log_chance(k, mean)))
        k += 1
        if not terms[0]:
            return 0.0
    return math.fsum(terms)


def _log_chance(k: int, mean: float) -> float:
    return k * math.log(mean) - mean - math.lgamma(k + 1)
