"""Codes that nobody mapped, counted on a real Redis."""

from __future__ import annotations

import pytest
from redis import Redis

from connectors import unmapped
from connectors.unmapped import Counts

pytestmark = pytest.mark.redis


def test_the_most_frequent_come_first(redis: Redis) -> None:
    counts = Counts()
    counts.add({"LAB|H\t99LAB\tK\tmmol/l": 2, "LAB|H\t99LAB\tNA\t": 5})
    counts.add({"LAB|H\t99LAB\tK\tmmol/l": 1})
    counts.flush(redis)
    counts.flush(redis)  # nothing twice
    counts.add({"LAB|H\t99LAB\tK\tmmol/l": 3})
    counts.flush(redis)
    found = unmapped.most_frequent(redis, 10)
    assert [(u.code, u.unit, u.seen) for u in found] == [("K", "mmol/l", 6), ("NA", "", 5)]
    assert unmapped.most_frequent(redis, 1) == found[:1]


def test_what_cannot_be_a_code_is_left_out(redis: Redis) -> None:
    counts = Counts()
    for name in ("x" * 300, "s\t\tc", "s\t\tc\t\t", "s\t\t\x1b[2J\t", "s\t\t\udc80\t"):
        counts.add({name: 9})
    counts.flush(redis)
    assert redis.hlen(unmapped.KEY) == 0


def test_what_is_counted_is_bounded(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unmapped, "MOST", 3)
    counts = Counts()
    for number in range(6):
        counts.add({f"s\t\tc{number}\t": 1, "s\t\tc0\t": 1})
        counts.flush(redis)
    assert redis.hlen(unmapped.KEY) == 3
    assert unmapped.most_frequent(redis, 1)[0].seen == 6


def test_counts_wait_for_redis(redis: Redis) -> None:
    counts = Counts()
    counts.add({"s\t\tc\t": 2})
    counts.flush(Redis(host="127.0.0.1", port=1, socket_timeout=1))
    counts.flush(redis)
    assert unmapped.most_frequent(redis, 1)[0].seen == 2
