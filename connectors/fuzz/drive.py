"""Sends sessions over real connections and collects the answers."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Callable, Iterator
from random import Random
from typing import Final

from connectors.fuzz.ledger import Ledger
from connectors.fuzz.reference import Expected, read_stream
from connectors.fuzz.sessions import Ending, Pace, Session

_ANSWER: Final = re.compile(rb"\x0b(.*?)\x1c\r", re.DOTALL)
_PATIENCE_S: Final = 120.0
_LATENT_S: Final = 0.002
_DEAF_S: Final = 0.05
_LINGER_NOT: Final = struct.pack("ii", 1, 0)

Failed = Callable[[Session, list[Expected]], None]


async def drive(
    host: str,
    port: int,
    sessions: Iterator[Session],
    ledger: Ledger,
    *,
    connections: int,
    progress: Callable[[int], None],
    failed: Failed,
) -> None:
    """Run all sessions, so many at a time. What goes wrong is in the ledger, never an exception."""

    async def one_after_another() -> None:
        for session in sessions:  # shared: each takes the next one
            await _run(host, port, session, ledger, failed)
            progress(session.frames)

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(one_after_another())


async def _run(host: str, port: int, session: Session, ledger: Ledger, failed: Failed) -> None:
    certain = session.ending is not Ending.RESET
    events = list(read_stream(session.stream))
    ledger.frames += session.frames
    ledger.size += len(session.stream)
    ledger.sessions.update((session.ending, session.pace))
    ledger.expect(events, certain=certain)
    name = f"session {session.number}"
    try:
        async with asyncio.timeout(_PATIENCE_S):
            received = await _converse(host, port, session)
    except (OSError, TimeoutError) as error:
        if certain:
            ledger.fault(f"{name}: {type(error).__name__}")
            failed(session, events)
        return
    if not certain:
        return
    answers = _ANSWER.findall(received)
    if sum(map(len, answers)) + 3 * len(answers) != len(received):
        ledger.fault(f"{name}: bytes outside the frames of answers")
        failed(session, events)
    elif not ledger.answered(name, events, answers):
        failed(session, events)


async def _converse(host: str, port: int, session: Session) -> bytes:
    """Everything that the server answered until it closed."""
    reader, writer = await asyncio.open_connection(host, port)
    reading = asyncio.create_task(_read(reader, session))
    try:
        random = Random(session.number)  # noqa: S311  # reproducible, and no secret
        for piece in session.writes(random):
            writer.write(piece)
            await (asyncio.sleep(_LATENT_S) if session.pace is Pace.SLOW else asyncio.sleep(0))
            await writer.drain()
        if session.ending is Ending.RESET:
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            writer.transport.abort()
            return b""
        writer.write_eof()
        return await reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        writer.close()


async def _read(reader: asyncio.StreamReader, session: Session) -> bytes:
    if session.pace is Pace.DEAF:
        await asyncio.sleep(_DEAF_S)
    return await reader.read()
