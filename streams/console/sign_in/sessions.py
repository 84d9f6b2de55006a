"""Who has signed in with a browser: in a store that every console reads, so that a session goes on
when a console starts anew, and ends at all of them when somebody signs out."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import replace

import msgspec

from connectors.clock import Clock
from streams.console.people import Person
from streams.console.ports import Unavailable
from streams.console.sign_in.store import Store
from streams.roles import Role

_SURE_S = 1.0  # open pages ask the store at most this often for each session
_MOST_SEEN = 20_000


class _Session(msgspec.Struct, frozen=True):
    """As it is stored; the token is not in it."""

    subject: str
    roles: frozenset[Role]
    name: str
    until: float  # epoch seconds


_decoder = msgspec.json.Decoder(_Session)


class Sessions:
    """By a token that only the browser holds; the store has its digest."""

    def __init__(self, store: Store, clock: Clock, lifetime_s: float) -> None:
        self._store, self._clock, self._lifetime_s = store, clock, lifetime_s
        self._seen: dict[str, tuple[float, float]] = {}  # session → asked last, good until

    async def begin(self, person: Person) -> str:
        """A new session's token. Raises `Unavailable`."""
        token = secrets.token_urlsafe(32)
        until = self._clock() + self._lifetime_s
        session = _Session(person.subject, person.roles, person.name, until)
        await self._store.put(_key(token), msgspec.json.encode(session), self._lifetime_s)
        return token

    async def person(self, token: str) -> Person | None:
        """Whose token it is; None when there is no such session any more. Raises `Unavailable`."""
        return await self._look(_key(token))

    async def lives(self, person: Person) -> bool:
        """Is the person's sign-in still good? While the store is away, what it said last counts."""
        asked, until = self._seen.get(person.session, (float("-inf"), 0.0))
        if asyncio.get_running_loop().time() - asked >= _SURE_S:
            try:
                return await self._look(person.session) is not None
            except Unavailable:
                pass
        return until > self._clock()

    async def end(self, token: str) -> Person | None:
        """Sign out, at every console; who it was. Raises `Unavailable`."""
        raw = await self._store.take(_key(token))
        self._seen.pop(_key(token), None)
        return None if raw is None else _person(_decoder.decode(raw), _key(token))

    async def _look(self, key: str) -> Person | None:
        raw = await self._store.get(key)
        session = None if raw is None else _decoder.decode(raw)
        if session is None or session.until <= self._clock():
            self._seen.pop(key, None)
            return None
        if len(self._seen) > _MOST_SEEN:
            self._seen.clear()
        self._seen[key] = (asyncio.get_running_loop().time(), session.until)
        return _person(session, key)


def _person(session: _Session, key: str) -> Person:
    person = Person(session.subject, session.roles, session.name)
    return replace(person, session=key)


def _key(token: str) -> str:
    return f"session:{hashlib.sha256(token.encode()).hexdigest()}"
