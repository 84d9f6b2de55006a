"""Who is at the console."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from streams.roles import INCLUDES, Role


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has signed in; or, in a demonstration, whoever sits at this machine."""

    subject: str  # stands in every audit record and every action
    roles: frozenset[Role]
    name: str = ""  # for the bar, e.g. "Dr Ada Lindqvist"
    session: str = ""  # the key of the sign-in, "" where there is none

    def may(self, role: Role) -> bool:
        """Does any of the person's roles include that one?"""
        return any(role in INCLUDES[own] for own in self.roles)


def person_of(connection: HTTPConnection) -> Person:
    """Whom the sign-in (`streams.console.guard`) found to be asking."""
    person: Person = connection.state.person
    return person
