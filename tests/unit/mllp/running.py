"""A running server, and a sender that works on the bare socket."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

from connectors.admission import Admission
from connectors.kafka import Log
from connectors.mllp.frames import Event, Frame, Framer, wrap
from connectors.mllp.intake import Destinations, Intake
from connectors.mllp.pending import Acknowledgement, read_acknowledgement
from connectors.mllp.server import serve_into
from connectors.mllp.sources import Sources
from connectors.settings import AdmissionSettings, MllpSettings

AT = 1_767_268_800.0  # 2026-01-01 12:00:00 UTC
TO = Destinations("wire", "quarantine")


def message(control_id: str = "1", *, modes: str = "|", body: str = "PID|1||4711") -> bytes:
    """A message that is accepted."""
    return (
        f"MSH|^~\\&|LAB|HOSP|TOCSIN|WARD|2026||ORU^R01|{control_id}|P|2.5.1|||{modes}\r{body}\r"
    ).encode()


@asynccontextmanager
async def server_on(
    log: Log,
    settings: MllpSettings | None = None,
    destinations: Destinations = TO,
    sources: Sources | None = None,
    admission: Admission | None = None,
) -> AsyncIterator[tuple[str, int, asyncio.Event]]:
    """Host, port, and the event that stops it."""
    settings = settings or MllpSettings()
    stop = asyncio.Event()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    intake = Intake(settings, destinations, lambda: AT, 1.0, sources)
    serving = asyncio.create_task(
        serve_into(
            log,
            settings,
            intake,
            admission or Admission(AdmissionSettings()),
            clock=lambda: AT,
            on_ready=ready.set_result,
            stop=stop,
        )
    )
    waited: set[asyncio.Future[Any]] = {serving, ready}
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    host, _, port = ready.result().rpartition(":")
    try:
        yield host, int(port), stop
    finally:
        stop.set()
        await serving


# What `Sender.answer` gives when the server hung up.
CLOSED = Acknowledgement("closed", "", "")


async def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for something that the code under test does in its own time."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # there is no event for a fake's list
            await asyncio.sleep(0.005)


class Sender:
    """A peer without any convenience: bytes out, answers in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._framer = Framer(1_000_000)
        self._events: list[Event] = []

    @classmethod
    @asynccontextmanager
    async def to(
        cls, host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[Self]:
        reader, writer = await asyncio.open_connection(host, port, ssl=tls)
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    async def write(self, data: bytes) -> None:
        """Bytes, as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, timeout_s: float = 60.0) -> Acknowledgement:
        """The next answer, or that there is none to come. Raises `TimeoutError`."""
        async with asyncio.timeout(timeout_s):
            while not self._events:
                try:
                    data = await self.reader.read(65_536)
                except ConnectionResetError:
                    data = b""
                if not data:
                    return CLOSED
                self._events += self._framer.feed(data)
        event = self._events.pop(0)
        assert isinstance(event, Frame)
        said = read_acknowledgement(event.payload)
        assert said is not None
        return said

    async def ask(self, payload: bytes) -> Acknowledgement:
        """Send one message, and get its first answer."""
        await self.write(wrap(payload))
        return await self.answer()

    async def silent(self, seconds: float = 0.2) -> bool:
        """Does no answer come in this time?"""
        try:
            await self.answer(seconds)
        except TimeoutError:
            return True
        return False
