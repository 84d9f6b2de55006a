"""What the fake ledger promises, the real one keeps."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from connectors.contract import AlertState
from streams.delivery.ledger import Ledger, RedisLedger
from tests.unit.delivery.fakes import LEASE_S, FakeLedger
from tests.unit.sinks.alerts import ALERT_ID, alert


@pytest.fixture(params=["fake", pytest.param("redis", marks=pytest.mark.redis)])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    """Both, one after the other; each test has names of its own."""
    if request.param == "fake":
        yield FakeLedger()
        return
    redis = Redis.from_url(request.getfixturevalue("redis_url"))
    yield RedisLedger(redis, f"test:{{{uuid.uuid4().hex}}}:")
    await redis.aclose()


async def test_an_alert_that_nobody_has_seen_is_unknown(ledger: Ledger) -> None:
    """Empty in every respect."""
    known = await ledger.known(ALERT_ID)
    assert known == (None, {}, {}, {}, {})


async def test_noting_returns_what_was_known_before(ledger: Ledger) -> None:
    """And keeps the revision that a receiver was first named for."""
    assert (await ledger.note(alert(), ["a"])).named == {}
    before = await ledger.note(alert(revision=2), ["a", "b"])
    assert before.named == {"a": 1}
    assert before.newest == alert()
    known = await ledger.known(ALERT_ID)
    assert known.named == {"a": 1, "b": 2}
    assert known.newest == alert(revision=2)


async def test_an_older_revision_read_again_changes_nothing(ledger: Ledger) -> None:
    """As after a restart."""
    await ledger.note(alert(revision=2, state=AlertState.ACKNOWLEDGED), ["a"])
    await ledger.note(alert(revision=1), ["a"])
    known = await ledger.known(ALERT_ID)
    assert known.newest == alert(revision=2, state=AlertState.ACKNOWLEDGED)
    assert known.named == {"a": 2}


async def test_who_was_told_is_kept_with_its_reminders(ledger: Ledger) -> None:
    """For each receiver by itself."""
    await ledger.told(alert(revision=3), "a", 100.0, repeat_s=60, repeat=2)
    await ledger.told(alert(revision=1), "b", 100.0)
    known = await ledger.known(ALERT_ID)
    assert known.told == {"a": 3, "b": 1}
    assert known.reminded == {"a": 2, "b": 0}
    assert known.every_s == {"a": 60.0, "b": 0.0}


async def test_a_due_reminder_is_given_out_once_until_its_lease_is_over(ledger: Ledger) -> None:
    """A process that dies with it loses it to the next."""
    await ledger.told(alert(), "a", 100.0, repeat_s=60)
    assert await ledger.due(159.0) == []
    assert await ledger.due(160.0) == [(ALERT_ID, "a")]
    assert await ledger.due(161.0) == []
    assert await ledger.due(160.0 + LEASE_S) == [(ALERT_ID, "a")]
    await ledger.remind_no_more(ALERT_ID, "a")
    assert await ledger.due(10_000.0) == []


async def test_a_revision_without_reminders_ends_those_of_the_one_before(ledger: Ledger) -> None:
    """It was acknowledged."""
    await ledger.told(alert(), "a", 100.0, repeat_s=60)
    await ledger.told(alert(revision=2), "a", 110.0)
    assert await ledger.due(10_000.0) == []
