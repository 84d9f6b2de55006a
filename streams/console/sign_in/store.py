"""Where sign-ins are kept: in Redis, for every console of an installation and over restarts."""

from __future__ import annotations

from typing import Protocol

from redis import exceptions
from redis.asyncio import Redis

from connectors.clock import Clock
from streams import keys
from streams.console.ports import Unavailable

_MOST = 20_000


class Store(Protocol):
    """Values that go by themselves. Every method may raise `Unavailable`."""

    async def put(self, key: str, value: bytes, lifetime_s: float) -> None:
        """Keep a value for so long."""
        ...

    async def get(self, key: str) -> bytes | None:
        """The value; None when there is none, or none any more."""
        ...

    async def take(self, key: str) -> bytes | None:
        """The value, given to one caller only: it is gone afterwards."""
        ...


class RedisStore:
    """`Store` on the store that the workers use. Values are not patients' data."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def put(self, key: str, value: bytes, lifetime_s: float) -> None:
        """Keep a value for so long."""
        try:
            await self._redis.set(keys.sign_in(key), value, px=max(1, int(lifetime_s * 1_000)))
        except exceptions.RedisError as error:
            raise Unavailable(_AWAY) from error

    async def get(self, key: str) -> bytes | None:
        """The value; None when there is none, or none any more."""
        try:
            return _bytes(await self._redis.get(keys.sign_in(key)))
        except exceptions.RedisError as error:
            raise Unavailable(_AWAY) from error

    async def take(self, key: str) -> bytes | None:
        """The value, given to one caller only."""
        try:
            return _bytes(await self._redis.getdel(keys.sign_in(key)))
        except exceptions.RedisError as error:
            raise Unavailable(_AWAY) from error


class MemoryStore:
    """`Store` of one process, for tests."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[bytes, float]] = {}

    async def put(self, key: str, value: bytes, lifetime_s: float) -> None:
        """Keep a value for so long."""
        self._kept[key] = (value, self._clock() + lifetime_s)
        while len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]

    async def get(self, key: str) -> bytes | None:
        """The value; None when there is none, or none any more."""
        value, until = self._kept.get(key, (None, 0.0))
        return value if until > self._clock() else None

    async def take(self, key: str) -> bytes | None:
        """The value, given to one caller only."""
        value = await self.get(key)
        self._kept.pop(key, None)
        return value


def _bytes(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


_AWAY = "the store of sign-ins does not answer"
