"""Events from any place of a real log: from now on, resumed, and when something is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from msgspec.structs import replace

from connectors import contract, topics
from connectors.settings import KafkaSettings
from streams.console.api.examples import ALERT, SCORE
from streams.console.ports import Event
from streams.event_log import KafkaEvents
from streams.local.topics import create

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka: str) -> KafkaSettings:
    """The broker of this run, with Tocsin's topics."""
    settings = KafkaSettings(bootstrap=kafka)
    create(settings)
    return settings


def tell(settings: KafkaSettings, *names: str) -> None:
    """An alert and a score for each name."""
    producer = Producer(settings.client() | {"acks": "all"})
    for name in names:
        producer.produce(topics.ALERTS, contract.encode(replace(ALERT, alert_id=name)), key=name)
        producer.produce(topics.SCORES, contract.encode(replace(SCORE, trace=name)), key=name)
    assert producer.flush(60) == 0


async def alerts(events: AsyncIterator[Event | None], count: int) -> list[tuple[str, str]]:
    """(place, alert id) of the next alerts."""
    found = []
    async with asyncio.timeout(120):
        async for event in events:
            if event is not None and event.kind == "alert":
                found.append((event.id, contract.decode_alert(event.data).alert_id))
                if len(found) == count:
                    return found
    raise AssertionError("the stream ended")


async def started(log: KafkaEvents) -> AsyncIterator[Event | None]:
    """A stream that has found the end of the log: it says None while nothing comes."""
    events = log.events("")
    async with asyncio.timeout(120):
        assert await anext(events) is None
    return events


async def test_a_stream_begins_with_now_and_goes_on_where_another_stopped(
    settings: KafkaSettings,
) -> None:
    """Nothing from before; nothing lost and nothing twice in between."""
    tell(settings, "before")
    log = KafkaEvents(settings)
    events = await started(log)
    tell(settings, "one", "two", "three")
    first = await alerts(events, 1)
    await events.aclose()  # type: ignore[attr-defined]
    tell(settings, "four")
    place, seen = first[0]
    rest = await alerts(log.events(place), 3)
    assert sorted([seen, *(name for _, name in rest)]) == ["four", "one", "three", "two"]


async def test_what_is_gone_is_said(settings: KafkaSettings) -> None:
    """The log was cut: a gap first, then what is left."""
    log = KafkaEvents(settings)
    events = await started(log)
    tell(settings, "old")
    ((place, _),) = await alerts(events, 1)
    await events.aclose()  # type: ignore[attr-defined]
    tell(settings, *(f"lost-{i}" for i in range(8)))
    admin = AdminClient(settings.client())
    cut = {
        TopicPartition(topics.ALERTS, n, -1)
        for n in admin.list_topics(timeout=60).topics[topics.ALERTS].partitions
    }
    for future in admin.delete_records(list(cut)).values():
        future.result(60)
    tell(settings, "new")
    resumed = log.events(place)
    async with asyncio.timeout(120):
        event = await anext(resumed)
    assert event is not None
    assert event.kind == "gap"
    assert [name for _, name in await alerts(resumed, 1)] == ["new"]
    await resumed.aclose()  # type: ignore[attr-defined]
