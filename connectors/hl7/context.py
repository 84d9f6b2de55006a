"""What the mapping of one message knows: syntax, clock, patient, and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

from connectors.hl7 import times
from connectors.hl7.syntax import NULL, Syntax
from connectors.identity import IdentityKey
from connectors.interpretation import Issue, Profile, RefusedError
from connectors.quarantine import Reason

__all__ = ["Context", "Issue", "Profile", "RefusedError"]


@dataclass(slots=True)
class Context:
    """One message being mapped, for one of its patients."""

    syntax: Syntax
    key: IdentityKey
    profile: Profile
    heard: float
    sent: float  # MSH-7, else `heard`
    dated: bool  # MSH-7 is a time
    zone: str  # of times without an offset: an IANA name, or an offset
    control_id: str
    source: str  # MSH-3|MSH-4: the feed
    facility: str  # MSH-4
    pseudonym: str = ""
    visit: str = ""  # keyed hash of the visit that PV1 or PID names
    issues: list[Issue] = field(default_factory=list)
    unmapped: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def moment(self, text: str, location: str) -> float | None:
        """The time in a field; None when it is empty or null. Raises `RefusedError`."""
        if not text or text == NULL:
            return None
        if self.syntax.component in text:
            text = text.split(self.syntax.component, 1)[0]
        if text.isspace() or not text:
            return None
        try:
            moment = times.parse(text, self.zone)
        except times.BadTimeError as error:
            raise RefusedError(Reason.BAD_TIME, str(error), location) from None
        if moment > self.heard + self.profile.max_future_s:
            raise RefusedError(Reason.TIME_IN_FUTURE, "later than the clock", location)
        return moment

    def said(self, text: str, location: str) -> float:
        """When something was said: the time in a field, else the message's own (MSH-7)."""
        moment = self.noted_moment(text, location)
        return self.sent if moment is None else moment

    def noted_moment(self, text: str, location: str) -> float | None:
        """As `moment`; a time that is none becomes an issue, and None."""
        try:
            return self.moment(text, location)
        except RefusedError as refused:
            self.issues.append(refused.issue)
            return None
