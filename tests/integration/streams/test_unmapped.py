"""Codes that nobody mapped, counted on a real Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from connectors import unmapped

pytestmark = pytest.mark.redis


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    client = Redis.from_url(redis_url)
    client.delete(unmapped.KEY)
    yield client
    client.delete(unmapped.KEY)
    client.close()


def test_the_most_frequent_come_first(redis: Redis) -> None:
    unmapped.count(redis, {"LAB|H\t99LAB\tK\tmmol/l": 2, "LAB|H\t99LAB\tNA\t": 5})
    unmapped.count(redis, {"LAB|H\t99LAB\tK\tmmol/l": 4, "x" * 300: 9})
    unmapped.count(redis, {})
    found = unmapped.most_frequent(redis, 10)
    assert [(u.code, u.unit, u.seen) for u in found] == [("K", "mmol/l", 6), ("NA", "", 5)]
    assert unmapped.most_frequent(redis, 1) == found[:1]


def test_what_is_counted_is_bounded(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unmapped, "MOST", 3)
    for number in range(6):
        unmapped.count(redis, {f"s\t\tc{number}\t": 1, "s\t\tc0\t": 1})
    assert redis.hlen(unmapped.KEY) == 3
    assert unmapped.most_frequent(redis, 1)[0].seen >= 6
