"""Who is at the console, and what a role may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from starlette.requests import HTTPConnection


class Role(StrEnum):
    """What somebody is here for."""

    READER = "reader"  # sees alerts and scores by pseudonym
    CLINICIAN = "clinician"  # sees names, acts on alerts
    OPERATOR = "operator"  # mends feeds, proposes thresholds; sees no names
    APPROVER = "approver"  # approves what an operator proposed
    ADMIN = "admin"  # everything, unmasked messages included


INCLUDES: Final[dict[Role, frozenset[Role]]] = {
    Role.READER: frozenset({Role.READER}),
    Role.CLINICIAN: frozenset({Role.CLINICIAN, Role.READER}),
    Role.OPERATOR: frozenset({Role.OPERATOR, Role.READER}),
    Role.APPROVER: frozenset({Role.APPROVER, Role.OPERATOR, Role.READER}),
    Role.ADMIN: frozenset(Role),
}
SEES_NAMES: Final = Role.CLINICIAN
SEES_MESSAGES: Final = Role.ADMIN  # as they were received, with what names people


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has signed in; or, in a demonstration, whoever sits at this machine."""

    subject: str  # stands in every audit record and every action
    roles: frozenset[Role]
    name: str = ""  # for the bar, e.g. "Dr Ada Lindqvist"
    until: float | None = None  # epoch seconds at which the sign-in ends

    def may(self, role: Role) -> bool:
        """Does any of the person's roles include that one?"""
        return any(role in INCLUDES[own] for own in self.roles)


def person_of(connection: HTTPConnection) -> Person:
    """Whom the sign-in (`streams.console.guard`) found to be asking."""
    person: Person = connection.state.person
    return person
