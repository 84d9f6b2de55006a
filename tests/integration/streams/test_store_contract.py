"""What every patient store keeps to: the in-memory one and the one on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from streams.store import NOTHING, FencedError, MemoryStore, MovedError, RedisStore, Store, Write


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    redis = Redis.from_url(request.getfixturevalue("redis_url"))
    await redis.flushdb()
    yield RedisStore(redis)
    await redis.flushdb()
    await redis.aclose()


async def empty(store: Store) -> None:
    if isinstance(store, MemoryStore):
        store.empty()
    elif isinstance(store, RedisStore):
        await store._redis.flushdb()


def write(offset: int, value: bytes = b"1") -> Write:
    return Write(offset=offset, patients={"p": {b"m": value, b"\xff\x00bin": b"\x00\xfe"}})


async def test_a_new_partition_is_empty(store: Store) -> None:
    lease = await store.acquire(3)
    assert (lease.offset, lease.outbox, lease.due) == (NOTHING, {}, {})
    assert await store.load(3, ["p", "q"]) == {"p": {}, "q": {}}


async def test_what_is_committed_is_there_for_the_successor(store: Store) -> None:
    lease = await store.acquire(3)
    first = write(0)
    first.outbox, first.due = b"told \x00\xff", {"p": 12.5, "q": 13.0}
    await store.commit(lease, first)
    second = write(1, b"2")
    second.confirmed, second.due = [0], {"q": None}
    await store.commit(lease, second)
    assert lease.offset == 1
    successor = await store.acquire(3)
    assert (successor.offset, successor.outbox, successor.due) == (1, {}, {"p": 12.5})
    assert (await store.load(3, ["p"]))["p"] == {b"m": b"2", b"\xff\x00bin": b"\x00\xfe"}


async def test_the_outbox_stays_until_it_is_confirmed(store: Store) -> None:
    lease = await store.acquire(3)
    for offset in range(3):
        one = write(offset)
        one.outbox = str(offset).encode()
        await store.commit(lease, one)
    assert (await store.acquire(3)).outbox == {0: b"0", 1: b"1", 2: b"2"}


async def test_partitions_do_not_touch_each_other(store: Store) -> None:
    one, other = await store.acquire(1), await store.acquire(2)
    await store.commit(one, write(0))
    assert other.offset == NOTHING
    assert await store.load(2, ["p"]) == {"p": {}}
    await store.commit(other, write(0))


async def test_an_older_lease_cannot_write(store: Store) -> None:
    zombie = await store.acquire(3)
    await store.commit(zombie, write(0))
    await store.acquire(3)
    with pytest.raises(FencedError):
        await store.commit(zombie, write(1, b"zombie"))
    assert (await store.load(3, ["p"]))["p"][b"m"] == b"1"


async def test_an_emptied_store_says_so_and_fences_whoever_wrote_before(store: Store) -> None:
    lease = await store.acquire(3)
    await store.commit(lease, write(0))
    await empty(store)
    with pytest.raises(MovedError) as caught:
        await store.commit(lease, write(1))
    assert caught.value.offset == NOTHING
    again = await store.acquire(3)
    with pytest.raises(FencedError):
        await store.commit(lease, write(1))
    await store.commit(again, write(0))


async def test_the_same_commit_twice_is_one(store: Store) -> None:
    """The answer to the first was lost on the way."""
    lease = await store.acquire(3)
    await store.commit(lease, write(0))
    lease.offset = NOTHING
    await store.commit(lease, write(0, b"repeated"))
    assert lease.offset == 0
    assert (await store.load(3, ["p"]))["p"][b"m"] == b"1"


async def test_a_large_commit(store: Store) -> None:
    """More fields than one command may carry arguments."""
    lease = await store.acquire(3)
    fields = {str(i).encode(): b"x" for i in range(9_000)}
    await store.commit(lease, Write(offset=0, patients={"p": fields}))
    assert (await store.load(3, ["p"]))["p"] == fields


@pytest.mark.redis
@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        (
            ("CONFIG", "SET", "min-replicas-to-write", 1),
            ("CONFIG", "SET", "min-replicas-to-write", 0),
        ),
        (("CONFIG", "SET", "maxmemory", 1), ("CONFIG", "SET", "maxmemory", 0)),
        (("REPLICAOF", "127.0.0.1", 1), ("REPLICAOF", "NO", "ONE")),
    ],
    ids=["too few replicas", "out of memory", "read-only"],
)
async def test_a_server_that_takes_no_writes_is_waited_for(
    redis_url: str, spoil: tuple[str | int, ...], mend: tuple[str | int, ...]
) -> None:
    """And what was refused is written whole, once it takes them again."""
    redis = Redis.from_url(redis_url)
    await redis.flushdb()
    store = RedisStore(redis)
    lease = await store.acquire(3)
    await redis.execute_command(*spoil)
    try:
        committing = asyncio.create_task(store.commit(lease, write(0)))
        await asyncio.sleep(0.3)
        assert not committing.done()
    finally:
        await redis.execute_command(*mend)
    await committing
    assert (await store.load(3, ["p"]))["p"][b"m"] == b"1"
    await redis.aclose()


async def test_what_is_listed_is_there_until_it_is_gone(store: Store) -> None:
    lease = await store.acquire(3)
    alerts, summaries = {"a1": b"1", "a2": b"2"}, {"p": b"line", "q": b"other"}
    await store.commit(lease, Write(offset=0, alerts=alerts, summaries=summaries))
    assert await store.listed(3, ["a1", "a2", "a3"], ["p", "r"]) == (alerts, {"p": b"line"})
    assert await store.listed(2, ["a1"], ["p"]) == ({}, {})
    await store.commit(lease, Write(offset=1, gone_alerts=["a1", "a9"], gone_summaries=["p"]))
    assert await store.listed(3, ["a1", "a2"], ["p", "q"]) == ({"a2": b"2"}, {"q": b"other"})
    assert await store.listed(3, [], []) == ({}, {})
