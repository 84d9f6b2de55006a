"""What the server relies on in a log: the fake keeps it, and so does Kafka."""

from __future__ import annotations

import asyncio
import threading

import pytest

from connectors.kafka import AppendError, KafkaLog
from connectors.settings import KafkaSettings
from tests.integration.mllp.conftest import Journal
from tests.integration.mllp.reading import create_topics, read_all


async def test_each_record_is_confirmed_once_in_the_event_loop(journal: Journal) -> None:
    confirmed: list[tuple[int, AppendError | None, int]] = []
    for n in range(100):
        journal.log.append(
            journal.to.wire,
            str(n).encode(),
            [("n", str(n))],
            lambda error, n=n: confirmed.append((n, error, threading.get_ident())),  # type: ignore[misc]
        )
    assert not confirmed, "confirmed before append returned"
    assert await journal.log.flush(20)
    assert sorted(confirmed) == [(n, None, threading.get_ident()) for n in range(100)]
    assert sorted(int(r.headers["n"]) for r in journal.read(journal.to.wire)) == list(range(100))


async def test_bytes_are_kept_as_they_are(journal: Journal) -> None:
    raw = bytes(range(256))
    journal.log.append(journal.to.wire, raw, (), lambda error: None)
    assert await journal.log.flush(20)
    assert [r.value for r in journal.read(journal.to.wire)] == [raw]


async def test_a_record_too_large_fails_alone(journal: Journal) -> None:
    result: dict[str, AppendError | None] = {}
    for name, size in (("before", 10), ("large", 2_000_000), ("after", 10)):
        journal.log.append(
            journal.to.wire,
            b"x" * size,
            (),
            lambda error, name=name: result.__setitem__(name, error),  # type: ignore[misc]
        )
    assert await journal.log.flush(20)
    assert (result["before"], result["after"]) == (None, None)
    assert result["large"] is not None
    assert result["large"].too_large
    assert len(journal.read(journal.to.wire)) == 2


async def test_nothing_to_flush_is_flushed(journal: Journal) -> None:
    assert await journal.log.flush(0.1)


@pytest.mark.kafka
async def test_what_is_under_way_at_the_end_fails() -> None:
    """No broker at all: closing does not wait for ever, and nobody is told that it worked."""
    log = KafkaLog(KafkaSettings(bootstrap="127.0.0.1:9"), client_id="test")
    failed: list[AppendError | None] = []
    log.append("t", b"x", (), failed.append)
    assert not await log.flush(0.2)
    async with asyncio.timeout(10):
        await log.close()
    await asyncio.sleep(0)
    assert len(failed) == 1
    assert isinstance(failed[0], AppendError)


@pytest.mark.kafka
async def test_a_producer_that_librdkafka_gave_up_is_replaced(
    kafka: str, topic_prefix: str
) -> None:
    """The broken one reports itself; what is appended afterwards goes through a new one."""
    topic = topic_prefix + "wire"
    create_topics(kafka, [topic])
    log = KafkaLog(KafkaSettings(bootstrap=kafka), client_id="test")
    log.append(topic, b"one", (), lambda error: None)
    assert await log.flush(20)
    broken = log._line
    log._replace(broken)
    log._replace(broken)  # it may report more than once
    results: list[AppendError | None] = []
    log.append(topic, b"two", (), results.append)
    assert await log.flush(20)
    await log.close()
    assert results == [None]
    assert sorted(r.value for r in read_all(kafka, topic)) == [b"one", b"two"]
    assert not broken.thread.is_alive()
