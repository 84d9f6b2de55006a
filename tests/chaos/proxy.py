"""A TCP proxy that can be cut, held up and slowed: the network between two parts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

_CHUNK = 65_536


class Loop:
    """An event loop in a thread of its own, for proxies and senders."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True, name="chaos")
        self._thread.start()

    def start(self, what: Coroutine[Any, Any, Any]) -> Any:
        """Run in the loop; a future of this thread."""
        return asyncio.run_coroutine_threadsafe(what, self.loop)

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        """Run in the loop and wait."""
        return self.start(what).result(30)

    def close(self) -> None:
        """Cancel everything and end the thread."""

        async def cancel() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.do(cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()


class Proxy:
    """One listening port in front of one server's port."""

    def __init__(self, loop: Loop, port: int, target: int) -> None:
        self.port = port
        self._loop, self._target = loop, target
        self._is_cut, self._delay_s = False, 0.0
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server = loop.do(asyncio.start_server(self._accept, "127.0.0.1", port))

    def cut(self) -> None:
        """Reset what is open; what comes is reset at once."""
        self._loop.do(self._set(is_cut=True))

    def hold(self) -> None:
        """Nothing gets through and nobody is told: a switch that died."""
        self._loop.do(self._set(held=True))

    def slow(self, seconds: float) -> None:
        """Every piece takes so long, in each direction."""
        self._loop.do(self._set(delay_s=seconds))

    def heal(self) -> None:
        """As before. What was held up goes on its way."""
        self._loop.do(self._set())

    def close(self) -> None:
        """Stop listening."""

        async def close() -> None:
            self._server.close()
            self._abort()

        self._loop.do(close())

    async def _set(self, *, is_cut: bool = False, held: bool = False, delay_s: float = 0.0) -> None:
        self._is_cut, self._delay_s = is_cut, delay_s
        if held:
            self._flows.clear()
        else:
            self._flows.set()
        if is_cut:
            self._abort()

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._flows.wait()
            if self._is_cut:
                return
            with suppress(OSError):
                far_reader, far = await asyncio.open_connection("127.0.0.1", self._target)
                self._writers.add(far)
                try:
                    await asyncio.gather(self._pass(reader, far), self._pass(far_reader, writer))
                finally:
                    self._writers.discard(far)
                    far.transport.abort()
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._flows.wait()
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            writer.write(data)
            await writer.drain()
        await self._flows.wait()
        if writer.can_write_eof():
            writer.write_eof()
