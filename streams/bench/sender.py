"""Sends messages to the MLLP port with as little work as can be, and times the answers.

The benchmark's load generator runs on the cores that it measures: it frames beforehand, writes many
frames at once and reads nothing of an answer but its end and its code.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from connectors.mllp.frames import END, wrap
from connectors.replay.timed import Timed

CONNECTIONS = 8
_WINDOW = 1_000  # messages of a connection that wait for their answer
_AT_ONCE = 50  # frames in one write
_SHORTEST_PAUSE_S = 0.001


@dataclass(slots=True)
class Sent:
    """What one burst of traffic gave at the socket."""

    messages: int = 0
    accepted: int = 0
    began: float = 0.0  # epoch seconds
    ended: float = 0.0  # of the last answer
    acks_s: list[float] = field(default_factory=list)  # written → answered

    @property
    def seconds(self) -> float:
        """From the first write to the last answer."""
        return self.ended - self.began


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.written_at: deque[float] = deque()  # of what waits for an answer, in order
        self.acks_s: list[float] = []
        self.accepted = 0
        self.lost: BaseException | None = None
        self._rest = b""
        self._progress = asyncio.Event()
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def write(self, frames: Sequence[bytes]) -> None:
        self.written_at.extend([time.perf_counter()] * len(frames))
        self._transport.write(b"".join(frames))

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        data = self._rest + data
        end = data.rfind(END) + len(END)
        if end < len(END):
            self._rest = data
            return
        answers, self._rest = data[:end], data[end:]
        self.accepted += answers.count(b"\rMSA|AA|")
        for _ in range(answers.count(END)):
            self.acks_s.append(now - self.written_at.popleft())
        self._progress.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = exc or ConnectionResetError("the MLLP port closed a connection")
        self._progress.set()

    async def wait(self, most: int) -> None:
        """Until fewer than `most` messages wait. Raises `OSError` when the connection is lost."""
        while len(self.written_at) >= most:
            if self.lost is not None:
                raise ConnectionResetError("the MLLP port closed a connection") from self.lost
            self._progress.clear()
            await self._progress.wait()

    def close(self) -> None:
        self._transport.close()


async def send(address: str, messages: Sequence[Timed], rate: float | None = None) -> Sent:
    """Send all, at `rate` messages a second or as fast as answers come; wait for every answer.

    One patient's messages share a connection and keep their order. Raises `OSError`.
    """
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    open_ = [
        (await loop.create_connection(_Connection, host, int(port)))[1] for _ in range(CONNECTIONS)
    ]
    sent = Sent(messages=len(messages), began=time.time())
    try:
        if rate is None:
            await asyncio.gather(*map(_flood, open_, _dealt(messages)))
        else:
            await _pace(open_, messages, rate)
        for one in open_:
            await one.wait(1)
    finally:
        for one in open_:
            one.close()
    sent.ended = time.time()
    sent.accepted = sum(one.accepted for one in open_)
    sent.acks_s = [seconds for one in open_ for seconds in one.acks_s]
    return sent


def _place(message: Timed) -> int:
    return zlib.crc32(message.key.encode()) % CONNECTIONS


def _dealt(messages: Sequence[Timed]) -> list[list[bytes]]:
    hands: list[list[bytes]] = [[] for _ in range(CONNECTIONS)]
    for message in messages:
        hands[_place(message)].append(wrap(message.raw))
    return hands


async def _flood(connection: _Connection, frames: Sequence[bytes]) -> None:
    for start in range(0, len(frames), _AT_ONCE):
        await connection.wait(_WINDOW - _AT_ONCE)
        connection.write(frames[start : start + _AT_ONCE])


async def _pace(open_: Sequence[_Connection], messages: Sequence[Timed], rate: float) -> None:
    begun = time.perf_counter()
    for n, message in enumerate(messages):
        pause = begun + n / rate - time.perf_counter()
        if pause > _SHORTEST_PAUSE_S:
            await asyncio.sleep(pause)
        elif n % 16 == 0:
            await asyncio.sleep(0)  # behind: let answers be read
        open_[_place(message)].write([wrap(message.raw)])
