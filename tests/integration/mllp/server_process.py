"""A server in a process of its own, so that its memory can be measured."""

from __future__ import annotations

import asyncio
import signal
import sys

from connectors.clock import wall_clock
from connectors.mllp.intake import Destinations
from connectors.mllp.server import serve
from connectors.settings import KafkaSettings, MllpSettings


async def main(bootstrap: str, wire: str, quarantine: str, limit: str) -> None:
    """Serve until SIGTERM; prints host:port."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await serve(
        MllpSettings(max_unacknowledged_bytes=int(limit)),
        KafkaSettings(bootstrap=bootstrap),
        clock=wall_clock,
        trace_ratio=0,
        on_ready=lambda address: print(address, flush=True),  # noqa: T201  # read by the test
        stop=stop,
        destinations=Destinations(wire, quarantine),
    )


asyncio.run(main(*sys.argv[1:]))
