"""What waits to be told, through a real Redis: each process's newest picture, while fresh."""

from __future__ import annotations

import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from streams.delivery import standing
from streams.delivery.standing import FRESH_S, Standing, Standings
from streams.errors import UserError

NOW = 1_795_435_200.0


@pytest.mark.redis
async def test_the_newest_picture_of_each_process_counts(redis_url: str) -> None:
    """Until it is old; of a process that has ended nothing stays."""
    redis, reader = Redis.from_url(redis_url), SyncRedis.from_url(redis_url)
    await redis.delete(standing.KEY)
    desk = Standings(reader)
    assert desk.read(NOW) is None
    await standing.tell(redis, "a", [Standing("pager", 9, NOW - 90)], NOW)
    await standing.tell(redis, "a", [Standing("pager", 2, NOW - 30)], NOW + 1)
    await standing.tell(redis, "b", [Standing("pager", 1, NOW - 60, paused=True)], NOW + 1)
    assert desk.read(NOW + 2) == [Standing("pager", 3, NOW - 60, paused=True)]
    await standing.tell(redis, "b", [Standing("pager")], NOW + FRESH_S + 2)
    assert desk.read(NOW + FRESH_S + 3) == [Standing("pager")]
    assert await redis.zcard(standing.KEY) == 1
    assert desk.read(NOW + 60) is None
    await redis.aclose()
    reader.close()


async def test_a_store_that_is_away_is_said_to_readers_and_passed_over_by_writers() -> None:
    """Telling goes on; the page says that it does not know."""
    redis = Redis.from_url("redis://127.0.0.1:1/0")
    await standing.tell(redis, "a", [], NOW)
    with pytest.raises(UserError, match="what waits is not known"):
        Standings(SyncRedis.from_url("redis://127.0.0.1:1/0")).read(NOW)
    await redis.aclose()
