"""Where sign-ins are kept: the same promises in memory and in Redis."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from streams.console.ports import Unavailable
from streams.console.sign_in.store import MemoryStore, RedisStore, Store


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore(time.time)
        return
    redis = Redis.from_url(request.getfixturevalue("redis_url"))
    yield RedisStore(redis)
    await redis.aclose()


async def test_what_is_put_is_there_until_it_is_taken(store: Store) -> None:
    """Two who take it at once do not both get it."""
    key = uuid.uuid4().hex
    assert await store.get(key) is None
    await store.put(key, b"ada", 60)
    assert await store.get(key) == b"ada"
    assert await store.take(key) == b"ada"
    assert await store.take(key) is None
    assert await store.get(key) is None


async def test_what_has_had_its_time_is_gone(store: Store) -> None:
    """By itself."""
    key = uuid.uuid4().hex
    await store.put(key, b"ada", 0.001)
    end = time.monotonic() + 60
    while await store.get(key) is not None:
        assert time.monotonic() < end


async def test_a_redis_that_is_away_is_said() -> None:
    """With a state that pages know, and not with an error of the client library."""
    redis = Redis.from_url("redis://127.0.0.1:1/0")
    away = RedisStore(redis)
    for call in (away.put("k", b"v", 1), away.get("k"), away.take("k")):
        with pytest.raises(Unavailable, match="store of sign-ins"):
            await call
    await redis.aclose()
