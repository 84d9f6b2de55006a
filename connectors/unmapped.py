"""Codes that mean something at their site alone: counted, so that somebody maps the frequent ones.

In Redis, one hash for all sources. Codes are no patient data; what is too long to be a code is
left out, and so is what comes once the hash is full.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from redis import Redis
from redis.exceptions import RedisError

log = logging.getLogger("tocsin.unmapped")

KEY: Final = "tocsin:unmapped"
MOST: Final = 5_000  # different codes
_LONGEST: Final = 160  # characters of source, system, code and unit together
_PARTS: Final = 4


class Unmapped(NamedTuple):
    """A code that no mapping names."""

    source: str
    system: str
    code: str
    unit: str
    seen: int


class Counts:
    """Adds up in memory; `flush` hands on, in two or three round trips however much there is."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def add(self, found: Mapping[str, int]) -> None:
        """Keys are source, system, code and unit, parted by tabs."""
        for name, n in found.items():
            if name in self._seen or (len(self._seen) < MOST and _is_usable(name)):
                self._seen[name] += n

    def flush(self, redis: Redis) -> None:
        """Add to the counts of all processes. Without Redis they are kept for the next time."""
        if not self._seen:
            return
        try:
            room = MOST - int(redis.hlen(KEY))
            names = set(self._seen)
            if len(names) > room:
                keys: list[bytes] = redis.hkeys(KEY)  # type: ignore[assignment]
                known = {name.decode() for name in keys}
                names = (names & known) | set(sorted(names - known)[: max(room, 0)])
            with redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.hincrby(KEY, name, self._seen[name])
                pipe.execute()
        except RedisError as error:
            log.warning("unmapped codes are not counted now: %s", type(error).__name__)
            return
        self._seen.clear()


def _is_usable(name: str) -> bool:
    """Four parts, in characters that Redis and a terminal take."""
    parts = name.split("\t")
    return (
        len(name) <= _LONGEST and len(parts) == _PARTS and all(part.isprintable() for part in parts)
    )


def most_frequent(redis: Redis, limit: int) -> list[Unmapped]:
    """The codes that were seen most, most frequent first. Raises `RedisError`."""
    counts: dict[bytes, bytes] = redis.hgetall(KEY)  # type: ignore[assignment]
    found: list[Unmapped] = []
    for name, n in counts.items():
        source, system, code, unit = name.decode().split("\t")
        found.append(Unmapped(source, system, code, unit, int(n)))
    return sorted(found, key=lambda u: (-u.seen, u))[:limit]
