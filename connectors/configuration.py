"""Versions of the alert policy, and which of them is in force. The contract of `tocsin.config`.

The topic holds one event for each step of each version, under a key of its own, so that compaction
keeps them all. What stands is a fold of the events in their order: two people at once end in one
clear state, and a step that is not allowed changes nothing. The sequencer folds them too, and
writes what comes into force into every partition of `tocsin.facts`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

import msgspec

from connectors.feedback import Moment, Name

LONGEST_POLICY = 200_000  # characters: it is copied into each partition


class Step(StrEnum):
    """What happened to a version. Each member's comment is its documentation."""

    PROPOSED = "proposed"  # written down, with author and reason
    APPROVED = "approved"  # by somebody; by somebody else where two people are required
    REJECTED = "rejected"  # will not come into force
    ACTIVATED = "activated"  # in force from here on; the one before it retires
    ROLLED_BACK = "rolled_back"  # no longer in force; the one before it is again


class VersionState(StrEnum):
    """Where a version is in its life. Each member's comment is its documentation."""

    PROPOSED = "proposed"  # waits for approval
    APPROVED = "approved"  # may be activated
    REJECTED = "rejected"  # will not come into force
    ACTIVE = "active"  # in force
    RETIRED = "retired"  # another one took its place
    ROLLED_BACK = "rolled_back"  # was in force, and was taken back


class ConfigEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record of `tocsin.config`, key `id`."""

    id: Name
    version: Name  # "7-3fa9c1": a number for people, and what the policy hashes to
    step: Step
    at: Moment
    who: Name
    reason: Annotated[str, msgspec.Meta(max_length=1_000)] = ""
    # Of a proposal:
    policy: Annotated[str, msgspec.Meta(max_length=LONGEST_POLICY)] = ""  # YAML, as written
    base: str = ""  # the version in force when it was written
    diff: list[str] = []  # against `base`, line by line


class PolicyInForce(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Written into every partition of facts: from this record on, this policy counts."""

    serial: Annotated[int, msgspec.Meta(ge=0)]  # offset of the event: an older one changes nothing
    version: str = ""  # "": the thresholds that the bundles ship with
    policy: str = ""  # YAML, as written
    at: Moment = 0.0  # Tocsin's clock when it was written here


@dataclass(slots=True)
class Version:
    """One version, as all events so far leave it."""

    name: str
    policy: str
    author: str
    proposed_at: float
    reason: str
    base: str
    diff: list[str]
    state: VersionState = VersionState.PROPOSED
    approved_by: list[str] = field(default_factory=list)
    events: list[ConfigEvent] = field(default_factory=list)


class RefusedError(ValueError):
    """A step that is not allowed where the version stands; the message says why."""


# Which step may be taken from which state, and where it leads. Data, shown in the docs.
TRANSITIONS: dict[tuple[VersionState, Step], VersionState] = {
    (VersionState.PROPOSED, Step.APPROVED): VersionState.APPROVED,
    (VersionState.PROPOSED, Step.REJECTED): VersionState.REJECTED,
    (VersionState.APPROVED, Step.REJECTED): VersionState.REJECTED,
    (VersionState.APPROVED, Step.ACTIVATED): VersionState.ACTIVE,
    (VersionState.RETIRED, Step.ACTIVATED): VersionState.ACTIVE,
    (VersionState.ROLLED_BACK, Step.ACTIVATED): VersionState.ACTIVE,
    (VersionState.ACTIVE, Step.ROLLED_BACK): VersionState.ROLLED_BACK,
}


class History:
    """All versions and the one in force: a fold of the events of `tocsin.config`."""

    def __init__(self, *, two_person: bool) -> None:
        self._two_person = two_person
        self.versions: dict[str, Version] = {}
        self.active: list[str] = []  # in force one after the other, newest last
        self.serial = -1  # offset of the event that brought the newest into force
        self.end = 0  # offset behind the newest event

    @property
    def in_force(self) -> Version | None:
        """None: the thresholds that the bundles ship with."""
        return self.versions[self.active[-1]] if self.active else None

    def policy(self, at: float) -> PolicyInForce | None:
        """What every partition has to know; None when nothing was ever activated."""
        if self.serial < 0:
            return None
        version = self.in_force
        if version is None:
            return PolicyInForce(serial=self.serial, at=at)
        return PolicyInForce(serial=self.serial, version=version.name, policy=version.policy, at=at)

    def apply(self, event: ConfigEvent, offset: int) -> None:
        """Take an event in. Raises `RefusedError`, and changes nothing then."""
        self.end = max(self.end, offset + 1)
        problem = self.problem(event)
        if problem:
            raise RefusedError(problem)
        if event.step is Step.PROPOSED:
            self.versions[event.version] = _proposed(event)
            return
        version = self.versions[event.version]
        if event.step is Step.ACTIVATED:
            self._activate(event.version, offset)
        elif event.step is Step.ROLLED_BACK:
            self._roll_back(offset)
        if event.step is Step.APPROVED:
            version.approved_by.append(event.who)
        version.state = TRANSITIONS[version.state, event.step]
        version.events.append(event)

    def problem(self, event: ConfigEvent) -> str:
        """Why an event cannot be taken in, in words; "" when it can."""
        version = self.versions.get(event.version)
        if event.step is Step.PROPOSED:
            return f"version {event.version} is there already" if version else ""
        if version is None:
            return f"there is no version {event.version}"
        if (version.state, event.step) not in TRANSITIONS:
            return f"version {event.version} is {version.state}: it cannot be {event.step}"
        if event.step is Step.APPROVED and self._two_person and event.who == version.author:
            return f"{event.who} wrote version {event.version}: somebody else has to approve it"
        return ""

    def _activate(self, name: str, offset: int) -> None:
        if self.active:
            self.versions[self.active[-1]].state = VersionState.RETIRED
        self.active.append(name)
        self.serial = offset

    def _roll_back(self, offset: int) -> None:
        self.active.pop()
        if self.active:
            self.versions[self.active[-1]].state = VersionState.ACTIVE
        self.serial = offset


def _proposed(event: ConfigEvent) -> Version:
    return Version(
        name=event.version,
        policy=event.policy,
        author=event.who,
        proposed_at=event.at,
        reason=event.reason,
        base=event.base,
        diff=list(event.diff),
        events=[event],
    )


_decoder = msgspec.json.Decoder(ConfigEvent)
encode = msgspec.json.Encoder().encode


def decode(raw: bytes) -> ConfigEvent:
    """Raises `msgspec.MsgspecError` for bytes outside the contract."""
    try:
        event = _decoder.decode(raw)
    except (RecursionError, UnicodeDecodeError) as error:
        raise msgspec.DecodeError(
            f"not a record of configuration: {type(error).__name__}"
        ) from None
    if event.step is Step.PROPOSED and not event.policy:
        raise msgspec.ValidationError("a proposal needs `policy`")
    return event
