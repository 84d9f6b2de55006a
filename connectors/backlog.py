"""What waits to be scored, as the sequencers tell it to whoever takes messages in.

Shared through Redis: a sequencer writes its line several times a second, and one whose line no
longer changes is gone, whatever it said last.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, cast

import msgspec
from redis import Redis

TELL_S: Final = 0.1  # between two lines of a sequencer, and between looks at them
REST_S: Final = 0.25  # while little waits
LITTLE: Final = 250  # messages
KEY: Final = "tocsin:backlog"  # hash: who → `Backlog`


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """One sequencer's line."""

    number: int  # of the line: a higher one each time
    messages: int  # in its part of the raw log, or among the facts, and not known to be scored
    rate: float  # messages a second that are scored when there is enough to do
    standing: bool  # nothing has been scored for some seconds, although something waits


_decode = msgspec.json.Decoder(Backlog).decode


def tell(redis: Redis, who: str, backlog: Backlog) -> None:
    """Write one's line. Raises `RedisError`."""
    redis.hset(KEY, who, msgspec.json.encode(backlog))


def read(redis: Redis) -> dict[str, Backlog]:
    """All lines that can be read: another version may write others. Raises `RedisError`."""
    lines: dict[str, Backlog] = {}
    for who, line in cast(dict[bytes, bytes], redis.hgetall(KEY)).items():
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            lines[who.decode()] = _decode(line)
    return lines
