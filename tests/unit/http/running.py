"""The HTTP server on a free port of this machine, with a log in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from connectors.admission import Admission
from connectors.http.intake import Intake
from connectors.http.senders import Senders
from connectors.http.server import serve_into
from connectors.mllp.sources import Sources
from connectors.settings import AdmissionSettings, HttpSettings
from tests.unit.mllp.fakes import FakeLog

NOW = 1_795_435_200.0


@dataclass
class Running:
    """A server, and what it wrote."""

    url: str
    log: FakeLog
    stop: asyncio.Event
    task: asyncio.Task[None]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def log_has(self, count: int) -> None:
        """Wait until as many records wait for the broker."""
        # ASYNC110: tests confirm by hand, so there is no event to wait for
        while len(self.log.waiting) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(
    sources: Sources | None = None, admission: Admission | None = None, **settings: Any
) -> AsyncIterator[Running]:
    """Served while the block runs."""
    own = HttpSettings(**settings)
    log, stop = FakeLog(), asyncio.Event()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    intake = Intake(lambda: NOW, 0.0, sources)
    senders = Senders(own)
    slowing = admission or Admission(AdmissionSettings())
    task = asyncio.create_task(
        serve_into(log, own, intake, senders, slowing, on_ready=ready.set_result, stop=stop)
    )
    try:
        await asyncio.wait([ready, task], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield Running(await ready, log, stop, task)
    finally:
        stop.set()
        log.release()
        await task
