"""What the mapping of one message knows: syntax, clock, patient, and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from connectors.hl7 import times
from connectors.hl7.syntax import NULL, Syntax
from connectors.identity import IdentityKey
from connectors.quarantine import Reason


@dataclass(frozen=True, slots=True)
class Profile:
    """How a site's messages are read (`SequencerSettings`, `IdentitySettings`)."""

    time_zone: str = "UTC"  # IANA name, of times without an offset
    charset: str = ""  # overrides MSH-18
    max_future_s: float = 600.0  # a time further ahead of the clock than this is refused
    preferred_types: tuple[str, ...] = ("MR", "PI", "PT", "AN")  # table 0203, best first


class Issue(NamedTuple):
    """Something that could not be understood. `detail` never holds patient data."""

    reason: Reason
    detail: str
    location: str  # "OBX[3]-5"; "" for the whole message


class RefusedError(Exception):
    """Stops the mapping of a message, a segment or a field, with the issue that says why."""

    def __init__(self, reason: Reason, detail: str, location: str = "") -> None:
        super().__init__(detail)
        self.issue = Issue(reason, detail, location)


@dataclass(slots=True)
class Context:
    """One message being mapped."""

    syntax: Syntax
    key: IdentityKey
    profile: Profile
    heard: float
    sent: float  # MSH-7, else `heard`
    dated: bool  # MSH-7 is a time
    control_id: str
    source: str  # MSH-3|MSH-4: the feed
    facility: str  # MSH-4
    pseudonym: str = ""
    issues: list[Issue] = field(default_factory=list)

    def moment(self, text: str, location: str) -> float | None:
        """The time in a field; None when it is empty or null. Raises `RefusedError`."""
        if not text or text == NULL:
            return None
        if self.syntax.component in text:
            text = text.split(self.syntax.component, 1)[0]
        if text.isspace() or not text:
            return None
        try:
            moment = times.parse(text, self.profile.time_zone)
        except times.BadTimeError as error:
            raise RefusedError(Reason.BAD_TIME, str(error), location) from None
        if moment > self.heard + self.profile.max_future_s:
            raise RefusedError(Reason.TIME_IN_FUTURE, "later than the clock", location)
        return moment

    def noted_moment(self, text: str, location: str) -> float | None:
        """As `moment`; a time that is none becomes an issue, and None."""
        try:
            return self.moment(text, location)
        except RefusedError as refused:
            self.issues.append(refused.issue)
            return None
