"""What was stored is let go of at once: no cycle of the store's own holds it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from redis import exceptions
from redis.asyncio import Redis

from streams.store import Lease, RedisStore, Write

Script = Callable[..., Awaitable[tuple[int, int]]]


class Scripts:
    """A Redis that answers scripts alone, the first times with an error."""

    def __init__(self, errors: int, error: Exception) -> None:
        self.left, self.error = errors, error

    def register_script(self, _: str) -> Script:
        async def run(**_: Any) -> tuple[int, int]:
            await asyncio.sleep(0)
            if self.left:
                self.left -= 1
                raise self.error
            return 2, 7

        return run


class Watched(dict[bytes, bytes]):
    """Fields of which one can see whether anybody still holds them."""


def store(errors: int = 0, error: Exception | None = None) -> RedisStore:
    return RedisStore(cast(Redis, Scripts(errors, error or exceptions.ConnectionError("away"))))


def lease() -> Lease:
    return Lease(partition=0, fence=1, offset=6, outbox={}, due={})


async def test_nothing_holds_what_was_stored_though_no_garbage_is_collected() -> None:
    """The worker freezes what lives (`worker._tidy`): a cycle in it would stay for ever."""
    fields = Watched({b"m": b"state"})
    held = weakref.ref(fields)
    gc.disable()
    try:
        await store().commit(lease(), Write(offset=7, patients={"p": fields}))
        del fields
        assert held() is None
    finally:
        gc.enable()


async def test_a_store_that_is_away_is_waited_for() -> None:
    own = lease()
    await store(errors=3).commit(own, Write(offset=7))
    assert own.offset == 7


async def test_a_refusal_is_no_absence() -> None:
    with pytest.raises(exceptions.ResponseError):
        await store(1, exceptions.ResponseError("WRONGTYPE")).commit(lease(), Write(offset=7))
