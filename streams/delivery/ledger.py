"""Who has been told of which alert: in Redis, so that a restart tells nobody twice.

One hash for each alert: `alert` (its newest revision); `f:<receiver>`, the revision that the
receiver was first named for; `r:<receiver>`, the newest revision that it has been told of;
`n:<receiver>` counts reminders of that, `e:<receiver>` is the time between them. A sorted set,
`reminders`, holds "alert id|receiver" by when the next is due.

All is written after the receiver has the alert and before the log is committed. Without Redis
nothing is told: the ledger waits for it. If Redis loses the ledger, only what was not yet
committed is told again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol

import stamina
from redis import exceptions
from redis.asyncio import Redis

from connectors import contract
from connectors.contract import Alert
from streams.patience import passes

PREFIX: Final = "tocsin:{sinks}:"  # one slot of a Redis Cluster: written together
KEPT_S: Final = 90 * 86_400  # after the last change of an alert
_LEASE_S: Final = 120.0  # a reminder that a dead process had taken comes back after this long
# Claim what is due: whoever moves its time first has it.
_CLAIM: Final = """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 100)
for _, member in ipairs(due) do redis.call('ZADD', KEYS[1], ARGV[2], member) end
return due
"""

for_ever = stamina.retry(
    on=passes(exceptions.RedisError), attempts=None, timeout=None, wait_initial=0.1, wait_max=2.0
)


class Known(NamedTuple):
    """What the ledger holds of an alert."""

    newest: Alert | None
    named: dict[str, int]  # receiver → the revision that it was first named for
    told: dict[str, int]  # receiver → newest revision told
    reminded: dict[str, int]  # receiver → reminders of that revision so far
    every_s: dict[str, float]  # receiver → seconds between reminders


class Ledger(Protocol):
    """Waits while the store is away."""

    async def known(self, alert_id: str) -> Known:
        """What is known of an alert."""
        ...

    async def note(self, alert: Alert, receivers: Iterable[str]) -> Known:
        """A revision was seen, and these are named; returns what was known before."""
        ...

    async def told(
        self, alert: Alert, receiver: str, now: float, *, repeat_s: float = 0, repeat: int = 0
    ) -> None:
        """The receiver has this revision (or reminder); with `repeat_s` it is to be reminded."""
        ...

    async def due(self, now: float) -> list[tuple[str, str]]:
        """Alert id and receiver of each reminder that is due, given to one process only."""
        ...

    async def remind_no_more(self, alert_id: str, receiver: str) -> None:
        """Nothing is left to remind of."""
        ...


class RedisLedger:
    """`Ledger` on Redis."""

    def __init__(self, redis: Redis, prefix: str = PREFIX) -> None:
        self._redis, self._prefix = redis, prefix
        self._reminders = prefix + "reminders"
        self._claim = redis.register_script(_CLAIM)

    @for_ever
    async def known(self, alert_id: str) -> Known:
        """What is known of an alert."""
        return _to_known(await self._redis.hgetall(self._key(alert_id)))

    @for_ever
    async def note(self, alert: Alert, receivers: Iterable[str]) -> Known:
        """A revision was seen, and these are named; returns what was known before."""
        key = self._key(alert.alert_id)
        before = _to_known(await self._redis.hgetall(key))
        async with self._redis.pipeline(transaction=True) as pipe:
            if before.newest is None or before.newest.revision < alert.revision:
                pipe.hset(key, "alert", contract.encode(alert))
            for receiver in receivers:
                pipe.hsetnx(key, f"f:{receiver}", str(alert.revision))
            pipe.expire(key, KEPT_S)
            await pipe.execute()
        return before

    @for_ever
    async def told(
        self, alert: Alert, receiver: str, now: float, *, repeat_s: float = 0, repeat: int = 0
    ) -> None:
        """The receiver has this revision (or reminder); with `repeat_s` it is to be reminded."""
        key, member = self._key(alert.alert_id), _member(alert.alert_id, receiver)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(key, f"r:{receiver}", str(alert.revision))
            pipe.hset(key, f"n:{receiver}", str(repeat))
            pipe.hset(key, f"e:{receiver}", str(repeat_s))
            pipe.expire(key, KEPT_S)
            if repeat_s:
                pipe.zadd(self._reminders, {member: now + repeat_s})
            else:
                pipe.zrem(self._reminders, member)
            await pipe.execute()

    @for_ever
    async def due(self, now: float) -> list[tuple[str, str]]:
        """Alert id and receiver of each reminder that is due, given to one process only."""
        found: list[bytes] = await self._claim(keys=[self._reminders], args=[now, now + _LEASE_S])
        pairs = (member.decode().partition("|") for member in found)
        return [(alert_id, receiver) for alert_id, _, receiver in pairs]

    @for_ever
    async def remind_no_more(self, alert_id: str, receiver: str) -> None:
        """Nothing is left to remind of."""
        await self._redis.zrem(self._reminders, _member(alert_id, receiver))

    def _key(self, alert_id: str) -> str:
        return f"{self._prefix}alert:{alert_id}"


def _member(alert_id: str, receiver: str) -> str:
    return f"{alert_id}|{receiver}"


def _to_known(stored: Mapping[Any, Any]) -> Known:
    fields: Mapping[bytes, bytes] = stored
    raw = fields.get(b"alert")
    return Known(
        contract.decode_alert(raw) if raw else None,
        {name: int(value) for name, value in _of(fields, b"f:")},
        {name: int(value) for name, value in _of(fields, b"r:")},
        {name: int(value) for name, value in _of(fields, b"n:")},
        {name: float(value) for name, value in _of(fields, b"e:")},
    )


def _of(fields: Mapping[bytes, bytes], prefix: bytes) -> list[tuple[str, bytes]]:
    found = ((k.removeprefix(prefix).decode(), v) for k, v in fields.items() if k[:2] == prefix)
    return list(found)
