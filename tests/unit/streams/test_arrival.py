"""A process that is started while its broker is away waits, says so, and ends when asked to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors.settings import KafkaSettings
from streams.arrival import broker_arrived
from streams.local.process import free_port

NOWHERE = KafkaSettings(bootstrap="127.0.0.1:1")


def away_for(tries: int) -> Callable[[], None]:
    left = [tries]

    def ask() -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    return ask


async def test_it_goes_on_when_the_broker_answers_and_says_both_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tocsin")
    assert await broker_arrived(NOWHERE, asyncio.Event(), away_for(5), again_s=0.0)
    waiting, there = [record.getMessage() for record in caplog.records]
    assert "127.0.0.1:1 does not answer" in waiting
    assert there == "Kafka at 127.0.0.1:1 answers"


async def test_nothing_is_said_of_a_broker_that_is_there(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tocsin")
    assert await broker_arrived(NOWHERE, asyncio.Event(), away_for(0))
    assert not caplog.records


async def test_it_says_so_again_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    assert await broker_arrived(NOWHERE, asyncio.Event(), away_for(61), again_s=0.0)
    assert len([r for r in caplog.records if "does not answer" in r.getMessage()]) == 3


async def test_it_ends_when_asked_to_while_nobody_listens() -> None:
    stop = asyncio.Event()
    kafka = KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}")
    waiting = asyncio.create_task(broker_arrived(kafka, stop))
    await asyncio.sleep(0)
    stop.set()
    assert not await waiting
