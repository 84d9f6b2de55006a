"""Writing to a connection: many small frames of one turn of the event loop as one write."""

from __future__ import annotations

import asyncio


class Outbox:
    """Collects what is to be written and writes it at the end of the loop's turn.

    Small frames would otherwise cost a system call each. (asyncio sets TCP_NODELAY itself, so
    nothing waits for a full packet.)
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._parts: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def put(self, data: bytes) -> None:
        """Write soon, in the order of the calls."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)

    def flush(self) -> None:
        """Write now."""
        if self._parts and not self._transport.is_closing():
            self._transport.write(b"".join(self._parts))
        self._parts.clear()

    def close(self) -> None:
        """Close after everything is written."""
        self.flush()
        self._transport.close()
