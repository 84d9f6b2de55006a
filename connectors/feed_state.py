"""What is known of the feeds, as all processes share it in Redis; for commands, doctor and intake.

`connectors.feeds` writes it, from what the sequencers see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple

import msgspec
from redis import Redis

from connectors.clock import iso
from connectors.site import Site

HEARD: Final = "tocsin:feeds:heard"  # sorted set: source → epoch seconds
SILENT: Final = "tocsin:feeds:silent"  # hash: source → since when, epoch seconds
PAUSED: Final = "tocsin:feeds:paused"  # hash: source → `Pause`
MESSAGES: Final = "tocsin:feeds:messages:"  # + hour since 1970, hash: source → how many
QUARANTINED: Final = "tocsin:feeds:quarantined:"  # likewise

HOUR_S: Final = 3_600


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Why a source is paused."""

    since: float  # epoch seconds
    quarantined: int  # messages of the last `of` that could not be understood
    of: int


class OperationsAlert(msgspec.Struct, frozen=True, kw_only=True):
    """A record of `tocsin.audit`: something about Tocsin's own work needs somebody."""

    event: Literal["operations_alert"] = "operations_alert"
    name: Literal["feed_silent", "source_paused"]
    source: str
    state: Literal["firing", "resolved"]
    at: str
    detail: str


class Resumed(msgspec.Struct, frozen=True, kw_only=True):
    """A record of `tocsin.audit`: somebody lets a paused source go on."""

    event: Literal["source_resumed"] = "source_resumed"
    who: str
    at: str
    source: str
    why: str


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """A record of `tocsin.audit`: somebody drops sources from the list."""

    event: Literal["sources_forgotten"] = "sources_forgotten"
    who: str
    at: str
    sources: list[str]
    why: str


class SourceState(NamedTuple):
    """What `tocsin sources list` shows of one source."""

    source: str
    heard: float | None  # epoch seconds; None: never
    per_hour: float  # messages read in the last hour
    quarantined: float  # share of these
    expected_per_hour: float | None
    silent_since: float | None
    paused: Pause | None


_pause = msgspec.json.Decoder(Pause)


def paused(redis: Redis) -> dict[str, Pause]:
    """The sources that are paused. Raises `RedisError`."""
    return read_paused(redis.hgetall(PAUSED))  # type: ignore[arg-type]


def read_paused(found: Mapping[bytes, bytes]) -> dict[str, Pause]:
    """The hash `PAUSED`."""
    return {text_of(name): _pause.decode(value) for name, value in found.items()}


def names_of_paused(redis: Redis) -> frozenset[str]:
    """Theirs alone, for whoever takes messages in. Raises `RedisError`."""
    found: list[bytes] = redis.hkeys(PAUSED)  # type: ignore[assignment]
    return frozenset(map(text_of, found))


def silent(redis: Redis) -> dict[str, float]:
    """The sources that have fallen silent, and since when. Raises `RedisError`."""
    return read_silent(redis.hgetall(SILENT))  # type: ignore[arg-type]


def read_silent(found: Mapping[bytes, bytes]) -> dict[str, float]:
    """The hash `SILENT`."""
    return {text_of(name): float(since) for name, since in found.items()}


def resume(
    redis: Redis, audit: Callable[[bytes], None], source: str, who: str, why: str, now: float
) -> bool:
    """Let a source go on. False: it is not paused. Audited before it takes effect.

    Raises `RedisError`, and what `audit` raises.
    """
    if not redis.hexists(PAUSED, source):
        return False
    audit(msgspec.json.encode(Resumed(who=who, at=iso(now), source=source, why=why)))
    audit(
        msgspec.json.encode(
            OperationsAlert(
                name="source_paused",
                source=source,
                state="resolved",
                at=iso(now),
                detail=f"resumed by {who}",
            )
        )
    )
    redis.hdel(PAUSED, source)
    return True


def forget(
    redis: Redis, audit: Callable[[bytes], None], pattern: str, who: str, why: str, now: float
) -> list[str]:
    """Drop the sources that fit from the list. Audited before it takes effect.

    Raises `RedisError`, and what `audit` raises.
    """
    names: Iterable[bytes] = redis.zrange(HEARD, 0, -1)  # type: ignore[assignment]
    found = [name for name in map(text_of, names) if fnmatchcase(name, pattern)]
    if found:
        audit(msgspec.json.encode(Forgotten(who=who, at=iso(now), sources=found, why=why)))
        redis.zrem(HEARD, *found)
    return found


def overview(redis: Redis, site: Site, now: float) -> list[SourceState]:
    """Every source that was heard, is silent or paused, by name. Raises `RedisError`."""
    hour, past = divmod(now, HOUR_S)
    with redis.pipeline(transaction=False) as pipe:
        pipe.zrange(HEARD, 0, -1, withscores=True)
        for key in (MESSAGES, QUARANTINED):
            pipe.hgetall(f"{key}{int(hour)}")
            pipe.hgetall(f"{key}{int(hour) - 1}")
        times, *counted = pipe.execute()
    # Of the hour before, the part that lies in the last sixty minutes.
    left = 1 - past / HOUR_S
    heard = {text_of(name): at for name, at in times}
    quiet, held = silent(redis), paused(redis)

    def lately(source: str, this: dict[bytes, bytes], before: dict[bytes, bytes]) -> float:
        name = source.encode()
        return int(this.get(name, 0)) + left * int(before.get(name, 0))

    found = []
    for source in sorted(heard.keys() | quiet.keys() | held.keys()):
        messages = lately(source, counted[0], counted[1])
        bad = lately(source, counted[2], counted[3])
        found.append(
            SourceState(
                source,
                heard.get(source),
                messages,
                bad / messages if messages else 0.0,
                site.feed(source).expected_per_hour,
                quiet.get(source),
                held.get(source),
            )
        )
    return found


def alert_of_pause(source: str, pause: Pause) -> OperationsAlert:
    return OperationsAlert(
        name="source_paused",
        source=source,
        state="firing",
        at=iso(pause.since),
        detail=f"{pause.quarantined} of its last {pause.of} messages were quarantined",
    )


def alert_of_silence(source: str, since: float | None, now: float) -> OperationsAlert:
    return OperationsAlert(
        name="feed_silent",
        source=source,
        state="resolved" if since is None else "firing",
        at=iso(now),
        detail="heard again, or no longer expected"
        if since is None
        else f"nothing came since {iso(since)}",
    )


def text_of(name: bytes) -> str:
    return name.decode("utf-8", "replace")
