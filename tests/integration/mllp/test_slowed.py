"""The whole way of a late answer: sequencers' lines in a real Redis, the log on a real broker."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from redis import Redis

from connectors.backlog import TELL_S, Backlog, tell
from connectors.mllp.client import MllpClient
from connectors.mllp.intake import Destinations
from connectors.mllp.server import serve
from connectors.settings import AdmissionSettings, KafkaSettings, MllpSettings
from tests.integration.mllp.reading import create_topics, read_all
from tests.unit.mllp.running import AT, message, until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


async def keep_telling(redis: Redis, waiting: list[int]) -> None:
    """A sequencer that says again and again how much waits."""
    for number in count(1):
        line = Backlog(number=number, messages=waiting[0], rate=0.0, standing=False)
        await asyncio.to_thread(tell, redis, "test", line)
        await asyncio.sleep(TELL_S)


async def test_what_is_in_the_log_is_answered_when_scoring_has_caught_up(
    kafka: str, redis: Redis, topic_prefix: str
) -> None:
    to = Destinations(topic_prefix + "wire.hl7", topic_prefix + "quarantine")
    create_topics(kafka, to)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop, waiting = asyncio.Event(), [1_000_000]
    telling = asyncio.create_task(keep_telling(redis, waiting))
    serving = asyncio.create_task(
        serve(
            MllpSettings(),
            KafkaSettings(bootstrap=kafka),
            clock=lambda: AT,
            trace_ratio=0,
            on_ready=ready.set_result,
            stop=stop,
            destinations=to,
            admission=AdmissionSettings(max_delay_s=60.0),
            redis=redis,
        )
    )
    try:
        host, _, port = (await ready).rpartition(":")
        async with MllpClient(host, int(port)) as client:
            held = []
            for number in range(50):  # the first ones, before the server has read a line
                held.append(await client.submit(message(str(number))))
                in_log = number + 1
                async with asyncio.timeout(20):
                    # ASYNC110: there is no event for what a broker has
                    while len(await asyncio.to_thread(read_all, kafka, to.wire)) < in_log:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                await asyncio.sleep(0.3)
                if not held[-1].done():
                    break
            assert not held[-1].done(), "in the log, and answered at once although much waits"
            waiting[0] = 0
            await until(lambda: all(answer.done() for answer in held), 20)
            assert {answer.result().code for answer in held} == {"AA"}
    finally:
        stop.set()
        telling.cancel()
        await serving
