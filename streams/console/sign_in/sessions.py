"""Who has signed in with a browser. Kept in memory: when the console starts anew, browsers are sent
to the issuer once more, which knows them."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace

from connectors.clock import Clock
from streams.console.people import Person

_MOST = 20_000


@dataclass(frozen=True, slots=True)
class _Session:
    person: Person
    until: float


class Sessions:
    """By a token that only the browser holds; here is its digest."""

    def __init__(self, clock: Clock, lifetime_s: float) -> None:
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._open: dict[str, _Session] = {}

    def begin(self, person: Person) -> str:
        """A new session's token."""
        self._drop_old()
        token = secrets.token_urlsafe(32)
        key = _digest(token)
        until = self._clock() + self._lifetime_s
        self._open[key] = _Session(replace(person, session=key), until)
        return token

    def person(self, token: str) -> Person | None:
        """Whose token it is; None when there is no such session any more."""
        found = self._open.get(_digest(token))
        return found.person if found and found.until > self._clock() else None

    def lives(self, person: Person) -> bool:
        """Is the person's sign-in still good?"""
        found = self._open.get(person.session)
        return found is not None and found.until > self._clock()

    def end(self, token: str) -> None:
        """Sign out."""
        self._open.pop(_digest(token), None)

    def _drop_old(self) -> None:
        now = self._clock()
        if len(self._open) >= _MOST:
            alive = {key: s for key, s in self._open.items() if s.until > now}
            ordered = sorted(alive.items(), key=lambda item: item[1].until)
            self._open = dict(ordered[len(ordered) // 10 :])


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
