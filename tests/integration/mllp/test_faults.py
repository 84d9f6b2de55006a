"""A broker that hangs, dies and comes back: late answers, bounded memory, nothing lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from connectors.kafka import KafkaLog
from connectors.mllp.client import MllpClient
from connectors.mllp.frames import wrap
from connectors.mllp.intake import Destinations
from connectors.mllp.server import serve
from connectors.settings import KafkaSettings, MllpSettings
from tests.integration.mllp.conftest import Broker
from tests.integration.mllp.reading import create_topics, read_all
from tests.unit.mllp.running import AT, Sender, message, server_on

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def topics(broker: Broker, prefix: str) -> Destinations:
    to = Destinations(prefix + "wire.hl7", prefix + "quarantine")
    create_topics(broker.bootstrap, to)
    return to


@asynccontextmanager
async def server(
    broker: Broker, to: Destinations, settings: MllpSettings | None = None
) -> AsyncIterator[tuple[str, int]]:
    log = KafkaLog(KafkaSettings(bootstrap=broker.bootstrap), client_id="test")
    try:
        async with server_on(log, settings, to) as (host, port, _):
            yield host, port
    finally:
        await log.close()


async def test_a_broker_that_hangs_means_late_answers_and_no_refusals(
    broker: Broker, topic_prefix: str
) -> None:
    to = topics(broker, topic_prefix)
    async with server(broker, to) as (host, port), MllpClient(host, port, window=500) as client:
        assert (await client.send(message("before"))).code == "AA"
        broker.pause()
        try:
            waiting = [await client.submit(message(str(n))) for n in range(400)]
            await asyncio.sleep(4)
            assert not any(future.done() for future in waiting), "answered without the broker"
        finally:
            broker.resume()
        answers = await asyncio.gather(*waiting)
    assert [a.code for a in answers] == ["AA"] * 400
    assert max(a.seconds for a in answers) > 3
    expected = [message("before"), *(message(str(n)) for n in range(400))]
    assert sorted(r.value for r in read_all(broker.bootstrap, to.wire)) == sorted(expected)


async def test_a_broker_killed_in_the_middle_loses_nothing_that_was_acknowledged(
    broker: Broker, topic_prefix: str
) -> None:
    """Every AA stands for bytes in the log; once the broker is back, everything is answered."""
    to = topics(broker, topic_prefix)
    acknowledged: list[bytes] = []
    async with server(broker, to) as (host, port), MllpClient(host, port, window=200) as client:

        async def send(n: int) -> None:
            raw = message(str(n), body=f"PID|1||{n}")
            answer = await client.send(raw)
            assert (answer.code, answer.control_id) == ("AA", str(n))
            acknowledged.append(raw)

        sending = asyncio.gather(*(send(n) for n in range(3_000)))
        while len(acknowledged) < 500:  # noqa: ASYNC110  # the middle
            await asyncio.sleep(0.001)
        broker.kill()
        at_the_kill = len(acknowledged)
        await asyncio.sleep(1)
        assert len(acknowledged) < 3_000
        await asyncio.to_thread(broker.start)
        await sending
    assert len(acknowledged) == 3_000 > at_the_kill
    logged = [r.value for r in read_all(broker.bootstrap, to.wire)]
    assert set(logged) == set(acknowledged)
    # What was under way at the kill may be there twice (same identity, so nothing follows).
    assert len(logged) - 3_000 <= 200, "more than what was under way is there twice"


async def test_a_server_waits_for_a_broker_that_is_not_there_yet_and_can_be_stopped() -> None:
    ready: list[str] = []
    stop = asyncio.Event()
    serving = asyncio.create_task(
        serve(
            MllpSettings(),
            KafkaSettings(bootstrap="127.0.0.1:9"),
            clock=lambda: AT,
            trace_ratio=0,
            on_ready=ready.append,
            stop=stop,
        )
    )
    await asyncio.sleep(1)
    assert not ready
    stop.set()
    async with asyncio.timeout(60):
        await serving


async def test_a_server_is_ready_when_its_topics_exist(broker: Broker, topic_prefix: str) -> None:
    to = Destinations(topic_prefix + "wire.hl7", topic_prefix + "quarantine")
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    serving = asyncio.create_task(
        serve(
            MllpSettings(),
            KafkaSettings(bootstrap=broker.bootstrap),
            clock=lambda: AT,
            trace_ratio=0,
            on_ready=ready.set_result,
            stop=stop,
            destinations=to,
        )
    )
    await asyncio.sleep(1.5)
    assert not ready.done()
    await asyncio.to_thread(create_topics, broker.bootstrap, to)
    async with asyncio.timeout(90):
        host, _, port = (await ready).rpartition(":")
    async with MllpClient(host, int(port)) as client:
        assert (await client.send(message("1"))).code == "AA"
    stop.set()
    await serving


_SERVER = Path(__file__).with_name("server_process.py")
_MB = 1_000_000


async def test_memory_stays_bounded_when_senders_flood_and_the_broker_hangs(
    broker: Broker, topic_prefix: str
) -> None:
    """20 senders offer 400 MB to a server that may hold 10 MB; then everything is answered."""
    to = topics(broker, topic_prefix)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(_SERVER),
        broker.bootstrap,
        *to,
        str(10 * _MB),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(90):
            host, _, port = (await process.stdout.readline()).decode().strip().rpartition(":")
        await _flood(broker, host, int(port), psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(90):
            await process.wait()


async def _flood(broker: Broker, host: str, port: int, process: psutil.Process) -> None:
    async with Sender.to(host, port) as sender:
        assert (await sender.ask(message("first"))).code == "AA"
    before = process.memory_info().rss
    frame = wrap(message("f", body="OBX|" + "x" * 10_000))
    writers = []
    broker.pause()
    try:
        for _ in range(20):
            _, writer = await asyncio.open_connection(host, port)
            writer.write(frame * 2_000)
            writers.append(writer)
        most = 0
        for _ in range(30):
            await asyncio.sleep(0.1)
            most = max(most, process.memory_info().rss)
    finally:
        broker.resume()
    for writer in writers:
        writer.transport.abort()
    # Twice what may wait (ours and librdkafka's copy), and a read of 256 KB and a frame for each.
    assert most - before < 2 * 10 * _MB + 20 * 2 * 300_000 + 10 * _MB
    async with Sender.to(host, port) as sender:
        await sender.write(wrap(message("last")))
        assert (await sender.answer(120)).control_id == "last"
