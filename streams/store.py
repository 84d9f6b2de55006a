"""The patient store: what a worker needs to go on, written together and fenced.

One record of facts costs one round trip. A commit carries the states that it changed, the log
position that they stand for, and the outbox of records that Kafka has not confirmed. It is refused
when another worker has taken the partition (`FencedError`), or when the store does not stand where
the writer thinks it does (`MovedError`: it was emptied or set back; the log says what it lacks).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar

import msgspec
import stamina
from redis import exceptions
from redis.asyncio import Redis

from streams import keys
from streams.patience import passes

P = ParamSpec("P")
T = TypeVar("T")
Fields = dict[bytes, bytes]
NOTHING = -1  # the offset of a partition of which nothing was applied


class FencedError(Exception):
    """Another worker owns the partition: stop writing."""


class MovedError(Exception):
    """The store stands at another record than the writer's last one."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"the store stands at offset {offset}")
        self.offset = offset


@dataclass(slots=True)
class Lease:
    """The right to write a partition, and where it stands."""

    partition: int
    fence: int
    offset: int
    outbox: dict[int, bytes]
    due: dict[str, float]
    silent: list[str] = field(default_factory=list)  # feeds, as of the newest tick
    policy: bytes = b""  # in force; empty: none ever was


@dataclass(slots=True)
class Write:
    """Everything that one record changes."""

    offset: int
    outbox: bytes = b""
    confirmed: list[int] = field(default_factory=list)  # offsets whose outbox Kafka has
    patients: dict[str, Fields] = field(default_factory=dict)
    forgotten: dict[str, list[bytes]] = field(default_factory=dict)  # fields, by patient
    silent: list[str] | None = None  # None: as before
    policy: bytes | None = None  # None: as before
    due: dict[str, float | None] = field(default_factory=dict)
    alerts: dict[str, bytes] = field(default_factory=dict)
    summaries: dict[str, bytes] = field(default_factory=dict)
    gone_alerts: list[str] = field(default_factory=list)  # that are listed no longer
    gone_summaries: list[str] = field(default_factory=list)  # of patients


class Store(Protocol):
    """The port. `RedisStore` in production, `MemoryStore` beside it in tests."""

    async def acquire(self, partition: int) -> Lease:
        """Take the partition: every earlier lease is fenced from now on."""
        ...

    async def load(self, partition: int, patients: Iterable[str]) -> dict[str, Fields]:
        """The fields of each patient, empty for one that is new."""
        ...

    async def listed(
        self, partition: int, alerts: Sequence[str], patients: Sequence[str]
    ) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """Alerts by id and summaries by patient, of those asked for that are kept."""
        ...

    async def commit(self, lease: Lease, write: Write) -> None:
        """All or nothing; advances `lease.offset`. Raises `FencedError` or `MovedError`."""
        ...


# KEYS: position, outbox, due, alerts, summaries, then one key per patient.
# ARGV: fence, previous offset, offset, outbox, then lists, each led by its length: confirmed
#       offsets; due (patient, tick or ""); fields of the position; alerts, then those to forget;
#       summaries, then those to forget; and for each patient its fields, then those to forget.
_COMMIT = """
local fence = redis.call('HGET', KEYS[1], 'fence')
if not fence then return {1, '-1'} end
if fence ~= ARGV[1] then return {0, fence} end
local at = redis.call('HGET', KEYS[1], 'offset') or '-1'
if at ~= ARGV[2] then return {1, at} end
local i = 5
local function each(step, call)
  local last = i + tonumber(ARGV[i])
  i = i + 1
  while i <= last do
    local stop = math.min(i + step - 1, last)
    call(i, stop)
    i = stop + 1
  end
end
local function set(key)
  each(1000, function(from, to) redis.call('HSET', key, unpack(ARGV, from, to)) end)
end
local function forget(key)
  each(1000, function(from, to) redis.call('HDEL', key, unpack(ARGV, from, to)) end)
end
forget(KEYS[2])
if #ARGV[4] > 0 then redis.call('HSET', KEYS[2], ARGV[3], ARGV[4]) end
each(2, function(from, to)
  if ARGV[to] == '' then redis.call('ZREM', KEYS[3], ARGV[from])
  else redis.call('ZADD', KEYS[3], ARGV[to], ARGV[from]) end
end)
set(KEYS[1])
for k = 4, #KEYS do
  set(KEYS[k])
  forget(KEYS[k])
end
redis.call('HSET', KEYS[1], 'offset', ARGV[3])
return {2, ARGV[3]}
"""

_names = msgspec.json.Decoder(list[str])
_FENCED, _MOVED = 0, 1  # otherwise 2: written

# A fence is the server's time in microseconds, not a counter: a store that was emptied must not
# hand out a number that an old worker still holds.
_ACQUIRE = """
local time = redis.call('TIME')
local fence = string.format('%.0f', time[1] * 1000000 + time[2])
local before = redis.call('HGET', KEYS[1], 'fence')
if before and tonumber(before) >= tonumber(fence) then
  fence = string.format('%.0f', tonumber(before) + 1)
end
redis.call('HSET', KEYS[1], 'fence', fence)
return {fence, redis.call('HGET', KEYS[1], 'offset'), redis.call('HGETALL', KEYS[2]),
        redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES'), redis.call('HGET', KEYS[1], 'silent'),
        redis.call('HGET', KEYS[1], 'policy')}
"""


# What passes: a server that restarts, loads, is full or read-only for a while. Every operation may
# be repeated: a commit that stands already is recognised by its offset.
PASSING = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.TryAgainError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
)
# Refusals that the client has no class of its own for: too few replicas, a disk that is full, a
# script that takes long.
_PASSING_REPLIES = ("NOREPLICAS ", "MISCONF ", "BUSY ")
_worth_waiting = passes(*PASSING)


def _passes(error: Exception) -> bool:
    return _worth_waiting(error) or (
        isinstance(error, exceptions.ResponseError) and str(error).startswith(_PASSING_REPLIES)
    )


_again_and_again = stamina.retry(on=_passes, attempts=None, timeout=None, wait_max=2.0)


def _patiently(do: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """For as long as it takes.

    Not with stamina from the first try on: what it keeps of a try are cycles that hold the
    arguments, and those that live while the worker freezes its objects are never collected.
    """
    patient = _again_and_again(do)

    @wraps(do)
    async def once_then_patiently(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await do(*args, **kwargs)
        except exceptions.RedisError as error:
            if not _passes(error):
                raise
        return await patient(*args, **kwargs)

    return once_then_patiently


class RedisStore:
    """The store on Redis 7 or later. Waits out a server that is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._commit = redis.register_script(_COMMIT)
        self._acquire = redis.register_script(_ACQUIRE)

    @_patiently
    async def acquire(self, partition: int) -> Lease:
        """See `Store`."""
        names = [keys.position(partition), keys.outbox(partition), keys.due(partition)]
        fence, offset, outbox, due, silent, policy = await self._acquire(keys=names)
        return Lease(
            partition=partition,
            fence=int(fence),
            offset=NOTHING if offset is None else int(offset),
            outbox={int(k): v for k, v in zip(outbox[::2], outbox[1::2], strict=True)},
            due={k.decode(): float(v) for k, v in zip(due[::2], due[1::2], strict=True)},
            silent=_names.decode(silent) if silent else [],
            policy=policy or b"",
        )

    @_patiently
    async def load(self, partition: int, patients: Iterable[str]) -> dict[str, Fields]:
        """See `Store`."""
        names = list(patients)
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(keys.patient(partition, name))
            found = await pipe.execute()
        return dict(zip(names, found, strict=True))

    @_patiently
    async def listed(
        self, partition: int, alerts: Sequence[str], patients: Sequence[str]
    ) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """See `Store`."""
        return (
            await self._some(keys.alerts(partition), alerts),
            await self._some(keys.summaries(partition), patients),
        )

    async def _some(self, key: str, names: Sequence[str]) -> dict[str, bytes]:
        found: Any = await self._redis.hmget(key, list(names)) if names else []
        return {n: raw for n, raw in zip(names, found, strict=True) if raw is not None}

    @_patiently
    async def commit(self, lease: Lease, write: Write) -> None:
        """See `Store`."""
        p = lease.partition
        names = [keys.position(p), keys.outbox(p), keys.due(p), keys.alerts(p), keys.summaries(p)]
        names += [keys.patient(p, name) for name in write.patients]
        due = {k: b"" if v is None else repr(v).encode() for k, v in write.due.items()}
        args: list[Any] = [lease.fence, lease.offset, write.offset, write.outbox]
        args += [len(write.confirmed), *write.confirmed]
        own = {} if write.silent is None else {"silent": msgspec.json.encode(write.silent)}
        if write.policy is not None:
            own["policy"] = write.policy
        args += [*_listed(due), *_listed(own)]
        for mapping, gone in (
            (write.alerts, write.gone_alerts),
            (write.summaries, write.gone_summaries),
        ):
            args += [*_listed(mapping), len(gone), *gone]
        for name, fields in write.patients.items():
            args += _listed(fields)
            forgotten = write.forgotten.get(name, [])
            args += [len(forgotten), *forgotten]
        code, value = await self._commit(keys=names, args=args)
        if code == _FENCED:
            raise FencedError(f"partition {p} was taken over")
        # An answer that was lost on the way makes the same commit come twice: it stands already.
        if code == _MOVED and int(value) != write.offset:
            raise MovedError(int(value))
        lease.offset = write.offset


def _listed(mapping: Mapping[Any, bytes]) -> list[Any]:
    return [2 * len(mapping), *(part for pair in mapping.items() for part in pair)]


class MemoryStore:
    """The store as plain dictionaries, under the same contract tests as `RedisStore`."""

    def __init__(self) -> None:
        self.clock = 0
        self.fences: dict[int, int] = {}
        self.offsets: dict[int, int] = {}
        self.outboxes: dict[int, dict[int, bytes]] = {}
        self.dues: dict[int, dict[str, float]] = {}
        self.silents: dict[int, list[str]] = {}
        self.policies: dict[int, bytes] = {}
        self.patients: dict[tuple[int, str], Fields] = {}
        self.alerts: dict[tuple[int, str], bytes] = {}
        self.summaries: dict[tuple[int, str], bytes] = {}

    def empty(self) -> None:
        """Lose everything."""
        clock = self.clock
        self.__init__()  # type: ignore[misc]
        self.clock = clock

    async def acquire(self, partition: int) -> Lease:
        """See `Store`."""
        self.clock += 1
        fence = self.fences[partition] = self.clock
        return Lease(
            partition=partition,
            fence=fence,
            offset=self.offsets.get(partition, NOTHING),
            outbox=dict(self.outboxes.get(partition, {})),
            due=dict(self.dues.get(partition, {})),
            silent=list(self.silents.get(partition, [])),
            policy=self.policies.get(partition, b""),
        )

    async def load(self, partition: int, patients: Iterable[str]) -> dict[str, Fields]:
        """See `Store`."""
        return {name: dict(self.patients.get((partition, name), {})) for name in patients}

    async def listed(
        self, partition: int, alerts: Sequence[str], patients: Sequence[str]
    ) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """See `Store`."""
        return (
            {a: self.alerts[partition, a] for a in alerts if (partition, a) in self.alerts},
            {n: self.summaries[partition, n] for n in patients if (partition, n) in self.summaries},
        )

    async def commit(self, lease: Lease, write: Write) -> None:
        """See `Store`."""
        p = lease.partition
        if p not in self.fences:
            raise MovedError(NOTHING)
        if self.fences[p] != lease.fence:
            raise FencedError(f"partition {p} was taken over")
        at = self.offsets.get(p, NOTHING)
        if at not in (lease.offset, write.offset):
            raise MovedError(at)
        if at != write.offset:
            self._write(p, write)
        lease.offset = write.offset

    def _write(self, p: int, write: Write) -> None:
        for name, fields in write.patients.items():
            kept = self.patients.setdefault((p, name), {})
            kept.update(fields)
            for forgotten in write.forgotten.get(name, []):
                kept.pop(forgotten, None)
        if write.silent is not None:
            self.silents[p] = list(write.silent)
        if write.policy is not None:
            self.policies[p] = write.policy
        outbox = self.outboxes.setdefault(p, {})
        for offset in write.confirmed:
            outbox.pop(offset, None)
        if write.outbox:
            outbox[write.offset] = write.outbox
        due = self.dues.setdefault(p, {})
        for name, at in write.due.items():
            if at is None:
                due.pop(name, None)
            else:
                due[name] = at
        self.alerts.update({(p, k): v for k, v in write.alerts.items()})
        self.summaries.update({(p, k): v for k, v in write.summaries.items()})
        for alert in write.gone_alerts:
            self.alerts.pop((p, alert), None)
        for name in write.gone_summaries:
            self.summaries.pop((p, name), None)
        self.offsets[p] = write.offset
