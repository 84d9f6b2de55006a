"""The alert policy for programs: what the pages do, with the same audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from fastapi import Depends, Request, Response

from connectors.clock import iso
from connectors.configuration import LONGEST_POLICY, Version, VersionState
from streams.console.api.paging import Cursor, Limit, page
from streams.console.api.problems import ProblemError
from streams.console.api.routes import Routes, body, json, person
from streams.console.people import Person
from streams.console.policy_room import Counted, PolicyRoom

Asker = Annotated[Person, Depends(person)]
Reason = Annotated[str, msgspec.Meta(max_length=1_000)]


class PolicyRule(msgspec.Struct, frozen=True, kw_only=True):
    """When alerts of a risk begin and end; probabilities."""

    risk: str
    wards: str  # a pattern; "" everywhere else
    fire: float
    clear: float
    critical: float
    confirm_scores: int
    confirm_of: int
    version: str


class PolicyNow(msgspec.Struct, frozen=True, kw_only=True):
    """What counts now."""

    version: str  # "": the thresholds that the models ship with
    policy: str  # YAML, as written
    rules: list[PolicyRule]


class PolicyVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the policy."""

    version: str
    state: VersionState
    author: str
    reason: str
    proposed_at: str
    approved_by: list[str]
    base: str  # the version in force when it was written
    diff: list[str]  # against it
    policy: str


class Proposal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another version."""

    policy: Annotated[str, msgspec.Meta(max_length=LONGEST_POLICY)]
    reason: Reason


class Draft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy to be checked."""

    policy: Annotated[str, msgspec.Meta(max_length=LONGEST_POLICY)]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy would change."""

    diff: list[str]
    notes: list[str] = []  # what is right, and may not be meant


class PolicyStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step of a version."""

    reason: Reason = ""


_TEXT = "risks:\n  deterioration:\n    fire: 0.45\n"
_RULE = PolicyRule(
    risk="deterioration",
    wards="",
    fire=0.45,
    clear=0.292,
    critical=0.5,
    confirm_scores=1,
    confirm_of=1,
    version="3-1f0c9a",
)
_NOW = PolicyNow(version="3-1f0c9a", policy=_TEXT, rules=[_RULE])
_DIFF = ["--- version 2-77ab01", "+++ proposed", "@@ -3 +3 @@", "-    fire: 0.4", "+    fire: 0.45"]
_VERSION = PolicyVersion(
    version="3-1f0c9a",
    state=VersionState.ACTIVE,
    author="olu",
    reason="fewer at night",
    proposed_at="2026-11-23T14:05:00.000Z",
    approved_by=["ira"],
    base="2-77ab01",
    diff=_DIFF,
    policy=_TEXT,
)
_STEP = PolicyStep(reason="looks right")
_REFUSED = (404, 409, 413, 415)


def add(routes: Routes, room: PolicyRoom) -> None:
    """What counts, the versions, and the steps of one."""

    @routes.get("/api/v1/policy", gives=PolicyNow, example=_NOW)
    async def policy() -> Response:
        """What counts now: the version in force and the rule of each risk."""
        await _read(room)
        version = room.in_force()
        now = PolicyNow(
            version=version.name if version else "",
            policy=version.policy if version else "",
            rules=[_to_rule(c) for c in room.counted()],
        )
        return json(now)

    @routes.get(
        "/api/v1/policy/versions", gives=list[PolicyVersion], example=[_VERSION], problems=(404,)
    )
    async def policy_versions(
        request: Request, limit: Limit = 500, cursor: Cursor = ""
    ) -> Response:
        """Every version so far."""
        await _read(room)
        found = [to_version(v) for v in room.versions()]
        return page(request, found, lambda v: v.version, limit, cursor)

    @routes.get(
        "/api/v1/policy/versions/{version}",
        gives=PolicyVersion,
        example=_VERSION,
        problems=(404,),
    )
    async def policy_version(version: str) -> Response:
        """One version."""
        await _read(room)
        return json(to_version(_known(room, version)))

    @routes.post(
        "/api/v1/policy/check",
        gives=Change,
        example=Change(diff=_DIFF),
        takes=Draft,
        taken=Draft(policy=_TEXT),
        problems=(409, 413, 415),
    )
    async def check_policy(request: Request) -> Response:
        """What a policy would change; refused with every problem in it."""
        wanted: Draft = await body(request, Draft)
        checked = await room.check(wanted.policy)
        return json(Change(diff=checked.diff, notes=checked.notes))

    @routes.post(
        "/api/v1/policy/versions",
        gives=PolicyVersion,
        example=_VERSION,
        status=201,
        takes=Proposal,
        taken=Proposal(policy=_TEXT, reason="fewer at night"),
        problems=(409, 413, 415),
    )
    async def propose_policy(request: Request, asker: Asker) -> Response:
        """Write a version down. It changes nothing until it is approved and activated."""
        wanted: Proposal = await body(request, Proposal)
        made = await room.propose(wanted.policy, who=asker.subject, reason=wanted.reason)
        return json(to_version(made), 201)

    def step(name: str, take: Callable[..., Awaitable[object]], description: str) -> None:
        @routes.post(
            f"/api/v1/policy/versions/{{version}}/{name}",
            gives=PolicyVersion,
            example=_VERSION,
            takes=PolicyStep,
            taken=_STEP,
            problems=_REFUSED,
            name=f"{name.replace('-', '_')}_policy",
            description=description,
        )
        async def policy_step(version: str, request: Request, asker: Asker) -> Response:
            wanted: PolicyStep = await body(request, PolicyStep)
            await _read(room)
            _known(room, version)
            await take(version, who=asker.subject, reason=wanted.reason)
            return json(to_version(_known(room, version)))

    step("approve", room.approve, "Stand for a version; somebody else than its author, if set so.")
    step("reject", room.reject, "It will not come into force.")
    step("activate", room.activate, "From now on it counts, in every partition of the log.")
    step("roll-back", room.roll_back, "It is no longer in force; the one before it is again.")


def to_version(version: Version) -> PolicyVersion:
    """A version as the API tells it."""
    return PolicyVersion(
        version=version.name,
        state=version.state,
        author=version.author,
        reason=version.reason,
        proposed_at=iso(version.proposed_at),
        approved_by=version.approved_by,
        base=version.base,
        diff=version.diff,
        policy=version.policy,
    )


def _to_rule(counted: Counted) -> PolicyRule:
    rule = counted.rule
    return PolicyRule(
        risk=counted.risk,
        wards=counted.wards,
        fire=rule.fire,
        clear=rule.clear,
        critical=rule.critical,
        confirm_scores=rule.scores,
        confirm_of=rule.of,
        version=rule.version,
    )


async def _read(room: PolicyRoom) -> None:
    await room.read()
    if room.problem:
        raise ProblemError(503, "Not available now", room.problem)


def _known(room: PolicyRoom, name: str) -> Version:
    found = room.version(name)
    if found is None:
        raise ProblemError(404, "No such version", "No version has this name.")
    return found
