"""The policy as people write it: YAML, checked as a whole, unknown keys refused.

Everything may be left out: what a policy does not say is as the bundles ship it, and nothing is
held back, confirmed or escalated.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from connectors.contract import Severity
from streams.delivery.routing import Routing
from streams.policy.values import Duration, MinuteOfDay, Moment, Probability, ZoneName
from streams.policy.yaml_text import YamlError, parse


class PolicyError(ValueError):
    """A policy that cannot be used; one line for each problem."""


def _unique(names: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(names)) != len(names):
        raise ValueError("the same name twice")
    return names


Name = Annotated[str, Field(min_length=1, max_length=200)]
Names = Annotated[tuple[Name, ...], AfterValidator(_unique)]  # wards: `*` and `?` stand for any


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Confirm(_Part):
    """What makes a pending alert fire: enough scores, or enough time, or both."""

    scores: int = Field(1, ge=1, le=20, description="so many scores at or above `fire` …")
    of: int = Field(1, ge=1, le=20, description="… among the last so many")
    lasting: Duration = Field(0.0, description="and above it for so long", validate_default=False)

    @model_validator(mode="after")
    def _possible(self) -> Confirm:
        if self.scores > self.of:
            raise ValueError(f"{self.scores} of {self.of} scores is never reached")
        return self


class Thresholds(_Part):
    """Of one risk, or of one risk in some wards. None: as the part above it, then the bundle."""

    fire: Probability | None = Field(None, description="an alert begins at this probability")
    clear: Probability | None = Field(None, description="and ends below this one")
    critical: Probability | None = Field(None, description="at or above: severity critical")
    confirm: Confirm | None = None
    refractory: Duration | None = Field(
        None, description="after an alert has ended, a warning does not begin again for so long"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Thresholds:
        check_order(self.clear, self.fire, self.critical)
        return self


def check_order(clear: float | None, fire: float | None, critical: float | None) -> None:
    """Raises `ValueError` unless clear ≤ fire ≤ critical, as far as they are given."""
    given = [(n, v) for n, v in (("clear", clear), ("fire", fire), ("critical", critical)) if v]
    for (low, a), (high, b) in pairwise(given):
        if a > b:
            raise ValueError(f"{low} ({a}) is above {high} ({b})")


class RiskPolicy(Thresholds):
    """One risk: everywhere, and where some wards differ (the first pattern that fits counts)."""

    wards: dict[Name, Thresholds] = {}


class EscalationStep(_Part):
    """Who is called when nobody has acknowledged."""

    after: Duration = Field(description="since the call before")
    to: Name = Field(description="a role or team; routing decides how they are reached")

    @model_validator(mode="after")
    def _later(self) -> EscalationStep:
        if self.after < 1:
            raise ValueError("an escalation needs at least a second")
        return self


class Escalation(_Part):
    """A route, for alerts of some severity, wards and risks. The first that fits counts."""

    severities: tuple[Severity, ...] = tuple(Severity)
    wards: Names = ()
    risks: Names = ()
    steps: tuple[EscalationStep, ...] = Field(min_length=1)


class Code(_Part):
    """A statement or an order about a patient."""

    code: Name
    system: str = Field("", description="as in the facts, e.g. I10, SCT; empty: any")


class Inhibition(_Part):
    """No call while something is known of the patient: a code, or where they are."""

    name: Name
    codes: tuple[Code, ...] = Field((), description="statements or orders in force, any of them")
    located: Names = Field((), description="wards, such as the operating theatre")
    risks: Names = ()
    severities: tuple[Severity, ...] = tuple(Severity)

    @model_validator(mode="after")
    def _says_when(self) -> Inhibition:
        if not self.codes and not self.located:
            raise ValueError("an inhibition needs codes or located")
        return self


class Matchers(_Part):
    """All that are given have to fit; `*` and `?` stand for any characters."""

    ward: Name | None = None
    risk: Name | None = None
    severity: Severity | None = None
    patient: Name | None = Field(None, description="pseudonym")

    @model_validator(mode="after")
    def _something(self) -> Matchers:
        if not any((self.ward, self.risk, self.severity, self.patient)):
            raise ValueError("it has to match something: ward, risk, severity or patient")
        return self


class Silence(_Part):
    """No calls for what matches, until an end."""

    name: Name
    match: Matchers
    start: Moment = Field(0.0, alias="from", validate_default=False)
    until: Moment

    @model_validator(mode="after")
    def _ends_later(self) -> Silence:
        if self.until <= self.start:
            raise ValueError("it ends before it begins")
        return self


class QuietHours(_Part):
    """Warnings wait; what is critical never does."""

    name: Name
    wards: Names = ()
    risks: Names = ()
    start: MinuteOfDay = Field(alias="from")
    until: MinuteOfDay
    time_zone: ZoneName

    @model_validator(mode="after")
    def _lasts(self) -> QuietHours:
        if self.start == self.until:
            raise ValueError("quiet hours that never end")
        return self


class Expected(_Part):
    """Alerts that a risk is expected to raise. Outside the band the policy is taken back."""

    risk: Name
    wards: Names = ()
    per_patient_day: tuple[float, float] = Field(description="lowest and highest rate")
    over: Duration = Field(6 * 3_600.0, description="time looked back", validate_default=False)

    @model_validator(mode="after")
    def _is_a_band(self) -> Expected:
        low, high = self.per_patient_day
        if not 0 <= low < high < math.inf:
            raise ValueError("per_patient_day is lowest and highest, e.g. [0.02, 0.4]")
        if self.over < 600:
            raise ValueError("over has to be at least 10m")
        return self


class Budget(_Part):
    """What wards can bear. It is watched, and takes nothing back."""

    name: Name
    wards: Names = ()
    calls_per_hour: float = Field(gt=0, le=10_000)


def _stage(said: Any) -> Any:
    if isinstance(said, str) and said not in ("shadow", "all"):
        raise ValueError("the stage is `shadow`, `all` or a list of wards")
    return said


Stage = Annotated[
    Literal["shadow", "all"] | Annotated[Names, Field(min_length=1)], BeforeValidator(_stage)
]


class Group(_Part):
    """Risks whose alerts, of one patient, share a call. A list of risks alone will do."""

    risks: Names = Field(min_length=1)
    covers: Duration = Field(
        0.0,
        description="an acknowledgement answers for all alerts of the call, and for what joins it "
        "so long after it was made; 0s: each is acknowledged by itself",
        validate_default=False,
    )


def _group(said: Any) -> Any:
    return {"risks": said} if isinstance(said, list | tuple) else said


class Policy(_Part):
    """See the module."""

    stage: Stage = Field("all", description="where people are called: shadow, some wards, all")
    risks: dict[Name, RiskPolicy] = {}
    groups: dict[Name, Annotated[Group, BeforeValidator(_group)]] = {}
    escalation: tuple[Escalation, ...] = ()
    inhibitions: tuple[Inhibition, ...] = ()
    silences: tuple[Silence, ...] = ()
    quiet_hours: tuple[QuietHours, ...] = ()
    expected: tuple[Expected, ...] = ()
    budget: tuple[Budget, ...] = ()
    longest_snooze: Duration = Field(12 * 3_600.0, validate_default=False)
    routing: Routing | None = Field(None, description="who is told; none: as the sinks are set up")

    @model_validator(mode="after")
    def _told_apart(self) -> Policy:
        for title, names in (
            ("inhibitions", [i.name for i in self.inhibitions]),
            ("silences", [s.name for s in self.silences]),
            ("quiet_hours", [q.name for q in self.quiet_hours]),
            ("budget", [b.name for b in self.budget]),
        ):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{title} has `{name}` twice")
        grouped = [risk for group in self.groups.values() for risk in group.risks]
        for risk in grouped:
            if grouped.count(risk) > 1:
                raise ValueError(f"risk {risk} is in two groups")
        return self


def read(text: str) -> Policy:
    """A policy from YAML. Raises `PolicyError`."""
    try:
        said = parse(text)
    except YamlError as error:
        raise PolicyError(str(error)) from None
    if said is None:
        said = {}
    try:
        return Policy.model_validate(said)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        raise PolicyError("\n".join(_problem(p["loc"], p["msg"]) for p in problems)) from None


def _problem(place: tuple[int | str, ...], problem: str) -> str:
    path = ".".join(str(p) for p in place if not _is_branch(p)) or "policy"
    said = problem.removeprefix("Value error, ")
    if said == "Extra inputs are not permitted":
        said = "there is no such key"
    return f"{path}: {said}"


def _is_branch(part: int | str) -> bool:
    """Pydantic names the branch of a union in a path: nothing that people wrote."""
    return isinstance(part, str) and ("[" in part or "(" in part)
