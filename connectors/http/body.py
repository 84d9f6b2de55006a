"""Bodies of requests: as large as may be, and within the time that they may take."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from starlette.requests import ClientDisconnect, Request

from connectors.http.answers import Answer, Refused


class Body(NamedTuple):
    """What came of it."""

    raw: bytes  # all of it, or its beginning
    size: int  # as far as it was read, or as its sender says; more than the limit: too large


class CutOffError(Exception):
    """The sender hung up before the end: nobody is there to be answered."""


async def read(request: Request, limit: int, timeout_s: float, head: int) -> Body:
    """The body; of one that is too large, its first `head` bytes.

    Raises `Refused`, `CutOffError`.
    """
    if request.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        accepted = (("accept-encoding", "identity"),)
        raise Refused(
            Answer(415, "send it as it is, without Content-Encoding", "encoded", accepted)
        )
    said = request.headers.get("content-length", "")
    announced = int(said) if said.isdecimal() and len(said) < 20 else 0
    try:
        async with asyncio.timeout(timeout_s):
            return await _read(request, limit, announced, head)
    except TimeoutError:
        detail = f"the body did not arrive within {timeout_s:g} s"
        raise Refused(Answer(408, detail, "timeout", (("connection", "close"),))) from None
    except ClientDisconnect:
        raise CutOffError from None


async def _read(request: Request, limit: int, announced: int, head: int) -> Body:
    raw = bytearray()
    most = limit if announced <= limit else head
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > most:
            return Body(bytes(raw[:head]), max(announced, len(raw), limit + 1))
    if announced > limit:
        return Body(bytes(raw[:head]), announced)
    return Body(bytes(raw), len(raw))
