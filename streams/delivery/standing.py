"""What waits to be told now, for whoever looks: each `tocsin sinks` says so every second in Redis.

The log (`tocsin.deliveries`) has what became of each telling; this is what has not become of one
yet. It is a picture, not a record: a process that is silent for `FRESH_S` counts no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from redis import Redis as SyncRedis
from redis import exceptions
from redis.asyncio import Redis

from streams.delivery.ledger import PREFIX
from streams.errors import UserError

KEY: Final = PREFIX + "standing"  # sorted set: pictures by when they were taken
FRESH_S: Final = 10.0


class Standing(msgspec.Struct, frozen=True):
    """One receiver's queue."""

    receiver: str
    waiting: int = 0
    oldest: float = 0.0  # when the oldest became known, epoch seconds; 0 when none waits
    paused: bool = False  # it has failed, and is left alone for a while


class _Picture(msgspec.Struct, frozen=True):
    process: str
    at: float  # epoch seconds
    standings: list[Standing]


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(_Picture)


async def tell(redis: Redis, process: str, standings: Sequence[Standing], now: float) -> None:
    """Say how it stands. A store that is away is passed over: it is said again in a second."""
    try:
        async with redis.pipeline(transaction=False) as pipe:
            pipe.zremrangebyscore(KEY, "-inf", now - FRESH_S)
            pipe.zadd(KEY, {_encode(_Picture(process, now, list(standings))): now})
            pipe.expire(KEY, int(FRESH_S))
            await pipe.execute()
    except exceptions.RedisError:
        return


class Standings:
    """How it stands, over all processes. Waits: call it from a thread."""

    def __init__(self, redis: SyncRedis) -> None:
        self._redis = redis

    def read(self, now: float) -> list[Standing] | None:
        """By receiver; None when no `tocsin sinks` speaks. Raises `UserError`."""
        try:
            raws = _raw(self._redis.zrangebyscore(KEY, now - FRESH_S, "+inf"))
        except exceptions.RedisError:
            raise UserError("The state store does not answer: what waits is not known.") from None
        pictures = [_decoder.decode(raw) for raw in raws]  # oldest first
        newest = {p.process: p for p in pictures}
        return added_up(s for p in newest.values() for s in p.standings) if newest else None


def _raw(members: Any) -> list[bytes]:
    return list(members)


def added_up(standings: Iterable[Standing]) -> list[Standing]:
    """Several processes' queues of the same receivers, by name."""
    found: dict[str, Standing] = {}
    for one in standings:
        other = found.get(one.receiver, Standing(one.receiver))
        oldest = [at for at in (one.oldest, other.oldest) if at]
        found[one.receiver] = Standing(
            one.receiver,
            one.waiting + other.waiting,
            min(oldest, default=0.0),
            one.paused or other.paused,
        )
    return [found[name] for name in sorted(found)]
