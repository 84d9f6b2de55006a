"""Codes that mean something at their site alone: counted, so that somebody maps the frequent ones.

In Redis, one hash for all sources. Codes are no patient data; what is too long to be a code is
left out, and so is what comes once the hash is full.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from redis import Redis

KEY: Final = "tocsin:unmapped"
MOST: Final = 5_000  # different codes
_LONGEST: Final = 160  # characters of source, system, code and unit together


class Unmapped(NamedTuple):
    """A code that no mapping names."""

    source: str
    system: str
    code: str
    unit: str
    seen: int


def count(redis: Redis, found: Mapping[str, int]) -> None:
    """Add to the counts; keys are source, system, code and unit, parted by tabs."""
    usable = {name: n for name, n in found.items() if len(name) <= _LONGEST}
    if not usable:
        return
    room = MOST - int(redis.hlen(KEY))
    pipe = redis.pipeline(transaction=False)
    for name, n in usable.items():
        if room > 0 or redis.hexists(KEY, name):
            pipe.hincrby(KEY, name, n)
            room -= 1
    pipe.execute()


def most_frequent(redis: Redis, limit: int) -> list[Unmapped]:
    """The codes that were seen most, most frequent first."""
    counts: dict[bytes, bytes] = redis.hgetall(KEY)  # type: ignore[assignment]
    found: list[Unmapped] = []
    for name, n in counts.items():
        source, system, code, unit = name.decode().split("\t")
        found.append(Unmapped(source, system, code, unit, int(n)))
    return sorted(found, key=lambda u: (-u.seen, u))[:limit]
