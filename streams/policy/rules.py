"""A policy made ready for a worker: which rule counts where, what holds an alert back, who is next.

Deterministic: every answer depends on its arguments alone. Times are Tocsin's clock as the log has
it, UTC epoch seconds.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from typing import NamedTuple
from zoneinfo import ZoneInfo

from connectors.contract import AlertReason, Severity
from models.risk import AlertRule
from streams.policy.document import (
    Confirm,
    EscalationStep,
    Policy,
    PolicyError,
    QuietHours,
    Silence,
    Thresholds,
    check_order,
)

_DAYS_KEPT = 1_000
_QUARTER_S = 900.0
MICRO = 1_000_000  # probabilities are compared as printed: to six decimals


@dataclass(frozen=True)
class Rule:
    """When an alert begins, is confirmed and ends. Probabilities."""

    fire: float
    clear: float
    critical: float
    version: str
    scores: int = 1  # at or above `fire`, …
    of: int = 1  # … among so many, confirm an alert …
    lasting_s: float = 0.0  # … that has lasted so long
    refractory_s: float = 0.0

    @cached_property
    def micros(self) -> tuple[int, int, int]:
        """Fire, clear, critical in millionths."""
        return micro(self.fire), micro(self.clear), micro(self.critical)

    @cached_property
    def digest(self) -> str:
        """Of all that decides, not of the version: the same rule is the same in any version."""
        levels = (self.fire, self.clear, self.critical)
        text = repr((*levels, self.scores, self.of, self.lasting_s, self.refractory_s))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def micro(probability: float) -> int:
    """A threshold in millionths: what is printed equal is equal."""
    return math.ceil(round(probability * MICRO, 3))


class Code(NamedTuple):
    """A code in force of a patient."""

    code: str
    system: str


class Case(NamedTuple):
    """An alert that may be held back."""

    patient: str
    risk: str
    ward: str
    severity: Severity
    codes: Callable[[], Sequence[Code]]  # statements and orders in force; asked only when needed


class Hold(NamedTuple):
    """What holds an alert back."""

    reason: AlertReason
    name: str


class Rulebook:
    """See the module. `policy` None: the thresholds that the bundles ship with, nothing else."""

    def __init__(self, policy: Policy | None = None, version: str = "") -> None:
        self.policy = policy or Policy()
        self.version = version
        self._rules: dict[tuple[str, str], Rule] = {}
        self._days: dict[tuple[str, date], Sequence[float]] = {}
        self._zones = {q.name: ZoneInfo(q.time_zone) for q in self.policy.quiet_hours}

    def check(self, shipped: Iterable[tuple[str, AlertRule]]) -> None:
        """Raises `PolicyError` where a rule makes no sense with what the bundles ship."""
        problems = []
        for risk, rule in shipped:
            said = self.policy.risks.get(risk)
            for ward in ("", *(said.wards if said else ())):
                try:
                    found = self._made(risk, ward, rule)
                    check_order(found.clear, found.fire, found.critical)
                except ValueError as error:
                    where = f"risks.{risk}" + (f".wards.{ward}" if ward else "")
                    problems.append(
                        f"{where}: {error}, where the bundle's clear, fire and critical are "
                        f"{rule.clear}, {rule.fire} and {rule.critical}"
                    )
        if problems:
            raise PolicyError("\n".join(problems))

    # ── thresholds ──────────────────────────────────────────────────────────────────────────

    def rule(self, risk: str, ward: str, shipped: AlertRule) -> Rule:
        """What counts for a risk in a ward."""
        found = self._rules.get((risk, ward))
        if found is None:
            found = self._rules[risk, ward] = self._made(risk, ward, shipped)
        return found

    def _made(self, risk: str, ward: str, shipped: AlertRule) -> Rule:
        said = self.policy.risks.get(risk)
        layers: list[Thresholds] = []
        if said is not None:
            special = next((t for name, t in said.wards.items() if fnmatchcase(ward, name)), None)
            layers = [special, said] if special else [said]
        fire = _first((t.fire for t in layers), shipped.fire)
        confirm = next((t.confirm for t in layers if t.confirm), Confirm())
        return Rule(
            fire=fire,
            clear=_first((t.clear for t in layers), shipped.clear),
            critical=_first((t.critical for t in layers), shipped.critical),
            version=self.version or shipped.version,
            scores=confirm.scores,
            of=confirm.of,
            lasting_s=confirm.lasting,
            refractory_s=_first((t.refractory for t in layers), 0.0),
        )

    def group(self, risk: str) -> str:
        """The group whose alerts share a call; the risk's own name where it has none."""
        found = (name for name, group in self.policy.groups.items() if risk in group.risks)
        return next(found, risk)

    def sharing(self, risk: str) -> tuple[str, ...]:
        """The risks that share a call with this one, itself among them."""
        found = (group.risks for group in self.policy.groups.values() if risk in group.risks)
        return next(found, (risk,))

    def covers(self, risk: str) -> float:
        """For how many seconds after a call an acknowledgement answers for the whole group."""
        return next((g.covers for g in self.policy.groups.values() if risk in g.risks), 0.0)

    # ── what holds an alert back ────────────────────────────────────────────────────────────

    def hold(self, case: Case, at: float) -> Hold | None:
        """What keeps this alert from calling anybody; None: nothing does."""
        if not self._on_stage(case.ward):
            return Hold(AlertReason.SHADOW, "shadow")
        for inhibition in self.policy.inhibitions:
            if case.severity in inhibition.severities and fits(inhibition.risks, case.risk):
                there = bool(inhibition.located) and fits(inhibition.located, case.ward)
                if there or any(_is(c.code, c.system, case.codes()) for c in inhibition.codes):
                    return Hold(AlertReason.INHIBITED, inhibition.name)
        for silence in self.policy.silences:
            if silence.start <= at < silence.until and _matches(silence, case):
                return Hold(AlertReason.SILENCED, silence.name)
        quiet = self.quiet(case, at)
        return Hold(AlertReason.QUIET_HOURS, quiet) if quiet else None

    def quiet(self, case: Case, at: float) -> str:
        """The quiet hours in which this alert waits; "" when it need not."""
        for hours in self.policy.quiet_hours:
            if self._waits(hours, case) and self._within(hours, at):
                return hours.name
        return ""

    def changes_at(self, case: Case, at: float) -> float | None:
        """When the time alone may change what `hold` says next."""
        moments = [
            moment
            for silence in self.policy.silences
            if _matches(silence, case)
            for moment in (silence.start, silence.until)
        ]
        for hours in self.policy.quiet_hours:
            if self._waits(hours, case):
                moments += self._borders(hours, at)
        return min((moment for moment in moments if moment > at), default=None)

    def _on_stage(self, ward: str) -> bool:
        stage = self.policy.stage
        return stage == "all" or (stage != "shadow" and fits(stage, ward))

    @staticmethod
    def _waits(hours: QuietHours, case: Case) -> bool:
        if case.severity is not Severity.WARNING:
            return False
        return fits(hours.wards, case.ward) and fits(hours.risks, case.risk)

    def _within(self, hours: QuietHours, at: float) -> bool:
        local = datetime.fromtimestamp(at, self._zones[hours.name])
        minute = local.hour * 60 + local.minute
        if hours.start < hours.until:
            return hours.start <= minute < hours.until
        return minute >= hours.start or minute < hours.until

    def _borders(self, hours: QuietHours, at: float) -> Sequence[float]:
        """When they begin and end next: today, tomorrow and the day after."""
        day = datetime.fromtimestamp(at, self._zones[hours.name]).date()
        found = self._days.get((hours.name, day))
        if found is None:
            if len(self._days) > _DAYS_KEPT:
                self._days.clear()
            found = self._days[hours.name, day] = self._of_days(hours, day)
        return found

    def _of_days(self, hours: QuietHours, first: date) -> Sequence[float]:
        zone = self._zones[hours.name]
        days = [first + timedelta(days=n) for n in range(3)]
        clocks = [time(minute // 60, minute % 60) for minute in (hours.start, hours.until)]
        return [m for d in days for c in clocks for m in _moments(datetime.combine(d, c, zone))]

    # ── who is next ─────────────────────────────────────────────────────────────────────────

    def escalation(self, case: Case) -> Sequence[EscalationStep]:
        """The steps of the first route that fits."""
        for route in self.policy.escalation:
            if (
                case.severity in route.severities
                and fits(route.wards, case.ward)
                and fits(route.risks, case.risk)
            ):
                return route.steps
        return ()


def _moments(clock: datetime) -> Iterable[float]:
    """When a clock shows this. Where it is put back or forward: every quarter of an hour between
    the two readings, for it shows this twice or never, and is put on one of the quarters."""
    first, last = sorted((clock.timestamp(), clock.replace(fold=1).timestamp()))
    yield first
    quarter = first - first % _QUARTER_S + _QUARTER_S
    while quarter < last:
        yield quarter
        quarter += _QUARTER_S
    if last > first:
        yield last


def fits(patterns: Sequence[str], name: str) -> bool:
    """Does a name fit one of the patterns, or are there none?"""
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def _first(values: Iterable[float | None], otherwise: float) -> float:
    return next((value for value in values if value is not None), otherwise)


def _is(code: str, system: str, codes: Sequence[Code]) -> bool:
    return any(c.code == code and system in ("", c.system) for c in codes)


def _matches(silence: Silence, case: Case) -> bool:
    m = silence.match
    return (
        (m.ward is None or fnmatchcase(case.ward, m.ward))
        and (m.risk is None or fnmatchcase(case.risk, m.risk))
        and (m.severity is None or m.severity is case.severity)
        and (m.patient is None or m.patient == case.patient)
    )
