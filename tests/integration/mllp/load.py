"""How fast the MLLP server is on this machine, with a broker and a server process of its own.

    python -m tests.integration.mllp.load [CONNECTIONS WINDOW MESSAGES RATE]...

RATE 0 sends as fast as the window allows. Without arguments: saturation with 1 and 20 connections,
and the delay of answers at 500 messages a second. 12-segment ORU messages, 691 bytes.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil

from connectors.mllp.client import MllpClient
from tests.integration.mllp.conftest import Broker
from tests.integration.mllp.reading import create_topics

_RUNS = (1, 100, 20_000, 0, 20, 100, 40_000, 0, 4, 100, 10_000, 500)
_SEGMENTS = (
    "PID|1||4711^^^HOSP^MR||Doe^Jane||19500101|F",
    "PV1|1|I|ICU^1^2||||||||||||||||V1",
    "ORC|RE|1|2",
    "OBR|1|1|2|vitals|||20260101120000",
    *(f"OBX|{n}|NM|8867-4^Heart rate^LN||80|/min|||||F|||20260101120000" for n in range(8)),
)
_BODY = "\r".join(_SEGMENTS)


def _message(connection: int, number: int) -> bytes:
    msh = f"MSH|^~\\&|SIM|HOSP|TOCSIN|X|20260101120000||ORU^R01^ORU_R01|C{connection}-{number}"
    return f"{msh}|P|2.5.1\r{_BODY}\r".encode()


async def _send(client: MllpClient, k: int, of: int, count: int, rate: float) -> None:
    begun = time.perf_counter()
    for n in range(count):
        if rate:
            await asyncio.sleep(max(0.0, begun + (n * of + k) / rate - time.perf_counter()))
        await client.submit(_message(k, n))
    await client.drain()


async def _run(
    host: str, port: int, server: psutil.Process, run: tuple[int, int, int, float]
) -> None:
    connections, window, messages, rate = run
    clients = [MllpClient(host, port, window=window) for _ in range(connections)]
    await asyncio.gather(*(c.connect() for c in clients))
    cpu, begun = sum(server.cpu_times()[:2]), time.perf_counter()
    each = messages // connections
    await asyncio.gather(*(_send(c, k, connections, each, rate) for k, c in enumerate(clients)))
    took = time.perf_counter() - begun
    cpu = (sum(server.cpu_times()[:2]) - cpu) / messages
    ms = sorted(s * 1_000 for c in clients for s in c.stats.latencies)
    answers = {
        code: sum(c.stats.answers[code] for c in clients) for code in clients[0].stats.answers
    }
    print(  # noqa: T201  # its output
        f"{connections:3} connections, window {window}: {len(ms) / took:7.0f} messages/s, "
        f"ACK p50 {ms[len(ms) // 2]:.2f} ms, p99 {ms[int(len(ms) * 0.99)]:.2f} ms, "
        f"max {ms[-1]:.2f} ms, server CPU {cpu * 1e6:.0f} µs/message, answers {answers}"
    )
    await asyncio.gather(*(c.close() for c in clients))


async def main(numbers: list[float]) -> None:
    """Start everything, run, stop everything."""
    with tempfile.TemporaryDirectory(prefix="tocsin-load-") as folder:
        broker = Broker(Path(folder))
        broker.start()
        try:
            await _with_server(broker, numbers)
        finally:
            broker.stop()


async def _with_server(broker: Broker, numbers: list[float]) -> None:
    topics = ("load.wire.hl7", "load.quarantine")
    create_topics(broker.bootstrap, topics)
    script = str(Path(__file__).with_name("server_process.py"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, script, broker.bootstrap, *topics, "64000000"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert process.stdout is not None
    try:
        host, _, port = (await process.stdout.readline()).decode().strip().rpartition(":")
        for first in range(0, len(numbers), 4):
            c, w, m, rate = itertools.islice(numbers, first, first + 4)
            run = (int(c), int(w), int(m), float(rate))
            await _run(host, int(port), psutil.Process(process.pid), run)
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


if __name__ == "__main__":
    asyncio.run(main([float(a) for a in sys.argv[1:]] or list(_RUNS)))
