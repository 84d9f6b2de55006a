"""What a console reads of the workers' store: as much as it shows, whatever else lies there."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import msgspec
import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from connectors import contract, topics
from connectors.clock import iso
from connectors.contract import Alert, AlertState, Severity
from models.record import Presence
from streams import codec, keys, state_reader
from streams.alerting import Published, RiskState
from streams.codec import Summary
from streams.console.api.examples import ALERT
from streams.console.ports import Unavailable
from streams.state import PatientState, Touched
from streams.state_reader import SCAN_S, RedisReader

PARTITIONS = 2
NOW = 1_795_435_200.0
pytestmark = pytest.mark.redis


@pytest.fixture
async def redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Redis]:
    monkeypatch.setattr(keys, "PREFIX", f"test-{uuid.uuid4().hex[:8]}")
    redis = Redis.from_url(redis_url)
    yield redis
    await redis.aclose()


def alert(patient: str, n: int, state: AlertState = AlertState.FIRING, ago: float = 0) -> Alert:
    return replace(
        ALERT, alert_id=f"a{n}", patient=patient, state=state, at=iso(NOW - ago), revision=n + 1
    )


async def put(redis: Redis, alert: Alert, *, summary: bool = True) -> None:
    """As a worker leaves it."""
    partition = topics.partition_of(alert.patient, PARTITIONS)
    await redis.hset(keys.alerts(partition), alert.alert_id, contract.encode(alert))
    if summary:
        open_ = [alert.alert_id] if alert.state not in contract.ENDED else []
        told = Summary(
            patient=alert.patient,
            ward="4A",
            bed="1",
            as_of=alert.at,
            presence=Presence.PRESENT,
            probabilities={},
            open_alerts=open_,
        )
        raw = msgspec.json.encode(told)
        await redis.hset(keys.summaries(partition), alert.patient, raw)


async def test_between_scans_only_what_is_open_is_read(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new alert, a new state, an end: seen with the next look. What ended before is decoded
    once, and what ended long ago is not kept."""
    decoded: list[str] = []
    decode = contract.decode_alert

    def counted(raw: bytes) -> Alert:
        found = decode(raw)
        decoded.append(found.alert_id)
        return found

    monkeypatch.setattr(state_reader.contract, "decode_alert", counted)
    now = [0.0]
    reader = RedisReader(redis, PARTITIONS, {}, lambda: now[0])
    await put(redis, alert("p-a", 1))
    await put(redis, alert("p-b", 2, AlertState.RESOLVED, ago=3_600))
    await put(redis, alert("p-b", 3, AlertState.RESOLVED, ago=40 * 86_400), summary=False)
    assert {a.alert_id for a in await reader.alerts()} == {"a1", "a2"}
    assert {a.alert_id for a in await reader.alerts(60)} == {"a1"}
    assert sorted(decoded) == ["a1", "a2", "a3"]

    decoded.clear()
    now[0] += 30
    await put(redis, alert("p-c", 4, AlertState.PENDING))
    await put(redis, replace(alert("p-a", 1), revision=9, severity=Severity.CRITICAL))
    found = {a.alert_id: a for a in await reader.alerts()}
    assert set(found) == {"a1", "a2", "a4"}
    assert found["a1"].severity is Severity.CRITICAL
    assert sorted(decoded) == ["a1", "a4"]

    now[0] += 30
    await put(redis, alert("p-a", 1, AlertState.RESOLVED))
    assert {a.alert_id: a.state for a in await reader.alerts()}["a1"] is AlertState.RESOLVED
    assert {p.pseudonym for p in await reader.patients()} == {"p-a", "p-b", "p-c"}
    now[0] += SCAN_S
    await redis.delete(*(keys.alerts(p) for p in range(PARTITIONS)))
    assert {a.alert_id for a in await reader.alerts()} == {"a1", "a2"}  # ended, and packed since
    assert await reader.find_alert("a2") is not None


async def test_a_patient_comes_with_its_own_alerts_alone(redis: Redis) -> None:
    """Those that the patient's state names; the others of the partition are not even read."""
    mine, other = alert("p-a", 1), alert("p-a-neighbour", 2)
    partition = topics.partition_of("p-a", PARTITIONS)
    state = PatientState(patient=codec.to_state("p-a", {}).patient)
    told = Published(
        alert_id="a1",
        episode="1",
        revision=1,
        state=mine.state,
        severity=mine.severity,
        since=NOW,
        stay="1",
    )
    state.risks["deterioration"] = RiskState(published=[told])
    fields = codec.to_fields(Touched(state=state), {})
    await redis.hset(keys.patient(partition, "p-a"), mapping=fields)  # type: ignore[arg-type]
    await redis.hset(keys.alerts(partition), "a1", contract.encode(mine))
    await redis.hset(keys.alerts(partition), "a2", b"not even JSON: " + contract.encode(other))
    reader = RedisReader(redis, PARTITIONS, {})
    view = await reader.patient("p-a")
    assert view is not None
    assert [a.alert_id for a in view.alerts] == ["a1"]
    assert await reader.patient("p-nobody") is None
    assert await reader.find_alert("a1") == mine
    assert await reader.find_alert("a9") is None


async def test_a_store_that_is_away_is_a_state() -> None:
    """Every question says so, in the port's words."""
    redis = Redis.from_url("redis://127.0.0.1:1/0")
    reader = RedisReader(redis, PARTITIONS, {})
    for question in (
        reader.alerts(),
        reader.patients(),
        reader.patient("p"),
        reader.find_alert("a"),
    ):
        with pytest.raises(Unavailable, match="state store does not answer"):
            await question
    await redis.aclose()
