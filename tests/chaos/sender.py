"""A hospital's MLLP sender in a few lines of its own: what was acknowledged, and when.

It keeps what was not acknowledged and sends it again over a new connection, in order; a connection
on which nothing is answered for some seconds is given up.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tests.chaos.ward import Message

_START, _END = b"\x0b", b"\x1c\r"
_SILENT_S = 6.0
_AGAIN_S = 0.2


@dataclass
class Ledger:
    """What all connections saw."""

    acknowledged: list[bytes] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)  # answers other than AA
    resent: int = 0
    ack_s: list[float] = field(default_factory=list)
    last: float = 0.0  # when the newest answer came, monotonic


class _Line:
    """One connection's messages, in order."""

    def __init__(self, port: int, messages: Sequence[Message], gap_s: float, book: Ledger) -> None:
        self._port, self._gap_s, self._book = port, gap_s, book
        self._todo = deque(m.raw for m in messages)
        self._open: deque[tuple[bytes, float]] = deque()  # sent, not answered
        self._window = 40
        self._heard = time.monotonic()

    async def run(self) -> None:
        while self._todo or self._open:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._connect()
            await asyncio.sleep(_AGAIN_S)

    async def _connect(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._heard = time.monotonic()
        try:
            self._book.resent += len(self._open)
            for raw, _ in self._open:
                writer.write(_START + raw + _END)
            reading = asyncio.create_task(self._read(reader))
            writing = asyncio.create_task(self._write(writer))
            watching = asyncio.create_task(self._watch())
            tasks = {reading, writing, watching}
            try:
                await asyncio.wait({reading, watching}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            writer.transport.abort()

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        while self._todo:
            if len(self._open) >= self._window:
                await asyncio.sleep(0.005)
                continue
            raw = self._todo.popleft()
            self._open.append((raw, time.monotonic()))
            writer.write(_START + raw + _END)
            await writer.drain()
            await asyncio.sleep(self._gap_s)

    async def _watch(self) -> None:
        while time.monotonic() - self._heard < _SILENT_S or not self._open:  # noqa: ASYNC110  # time is what is waited for
            await asyncio.sleep(0.1)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while self._todo or self._open:
            answer = await reader.readuntil(_END)
            self._heard = self._book.last = time.monotonic()
            msa = next(s for s in answer.split(b"\r") if s.startswith(b"MSA")).split(b"|")
            sent = next((o for o in self._open if _control_id(o[0]) == msa[2]), None)
            if sent is None:
                continue
            self._open.remove(sent)
            if msa[1] == b"AA":
                self._book.acknowledged.append(sent[0])
                self._book.ack_s.append(self._heard - sent[1])
            else:
                self._book.refused.append(answer)


def _control_id(raw: bytes) -> bytes:
    return raw.split(b"\r", 1)[0].split(b"|")[9]


async def send(
    port: int, messages: Sequence[Message], seconds: float, book: Ledger, connections: int = 4
) -> None:
    """Spread the messages over so many seconds; returns when all are acknowledged.

    A patient's messages keep to one connection.
    """
    shares: list[list[Message]] = [[] for _ in range(connections)]
    for message in messages:
        shares[int(message.patient[1:]) % connections].append(message)
    lines = [_Line(port, share, seconds / max(1, len(share)), book) for share in shares]
    await asyncio.gather(*(line.run() for line in lines))
