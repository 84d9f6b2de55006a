"""Where the store stands: the last record of facts that was applied, by partition."""

from __future__ import annotations

from collections.abc import Iterable

from redis import Redis, exceptions

from streams import keys


def applied(redis: Redis, partitions: Iterable[int]) -> dict[int, int]:
    """Offsets by partition; without those that the store does not know, none when it is away."""
    asked = list(partitions)
    try:
        with redis.pipeline(transaction=False) as pipe:
            for partition in asked:
                pipe.hget(keys.position(partition), "offset")
            found = pipe.execute()
    except exceptions.RedisError:
        return {}
    return {p: int(at) for p, at in zip(asked, found, strict=True) if at is not None}
