"""Senders that offer more than is taken, in a process of their own.

Messages *arrive* at the senders by the clock, whatever becomes of them; each line sends what has
arrived as soon as its window of unanswered messages has room, and what has not been sent waits at
the sender. So `offered` is what would have been sent if every answer had come at once. Messages are
made from a pool: each round through it is another set of patients.

`python -m tests.chaos.flood` reads one JSON object (`Plan`) on stdin and writes one (`Seen`) when
its time is over. What `Plan.urgent` holds is sent by a line before what waits there, at its second.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import cast

import msgspec

_START, _END = b"\x0b", b"\x1c\r"
_TICK_S = 0.005


class Plan(msgspec.Struct, kw_only=True):
    """What is to be offered."""

    port: int
    rate: float  # messages a second, over all lines
    seconds: float
    lines: int
    window: int  # unanswered messages of a line
    pool: list[bytes]  # of patients named C0…
    urgent: list[list[bytes]] = []  # some each second, over the lines in turn


class Seen(msgspec.Struct, kw_only=True):
    """What became of it."""

    arrived: int = 0
    sent: int = 0
    refused: int = 0  # answers other than AA
    reconnected: int = 0
    ack_s: list[float] = []
    late_s: float = 0.0  # how long the message that is sent last had waited at its sender
    acknowledged: bytes = b""  # digests


def digest(raw: bytes) -> bytes:
    """Eight bytes that tell a message from another."""
    return hashlib.blake2b(raw, digest_size=8).digest()


@dataclass
class _Line(asyncio.Protocol):
    plan: Plan
    number: int
    seen: Seen
    began: float
    acknowledged: list[bytes]
    open: deque[tuple[bytes, float]] = field(default_factory=deque)
    first: deque[bytes] = field(default_factory=deque)  # urgent ones
    taken: int = 0  # of those that have arrived
    rest: bytes = b""
    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        for raw, _ in self.open:
            self.transport.write(_START + raw + _END)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None

    def data_received(self, data: bytes) -> None:
        *answers, self.rest = (self.rest + data).split(_END)
        now = time.monotonic()
        for answer in answers:
            raw, sent = self.open.popleft()
            if b"\rMSA|AA|" in answer:
                self.acknowledged.append(digest(raw))
                self.seen.ack_s.append(now - sent)
            else:
                self.seen.refused += 1
        self.go_on()

    def go_on(self) -> None:
        """Send what has arrived and the window allows."""
        now, frames = time.monotonic(), []
        while self.transport is not None and len(self.open) < self.plan.window:
            raw = self._next(now)
            if raw is None:
                break
            self.open.append((raw, now))
            frames.append(_START + raw + _END)
        if frames and self.transport is not None:
            self.transport.write(b"".join(frames))
            self.seen.sent += len(frames)

    def _next(self, now: float) -> bytes | None:
        if self.first:
            return self.first.popleft()
        of_line = self.plan.rate / self.plan.lines
        if self.taken >= (now - self.began) * of_line:
            return None
        self.seen.late_s = now - self.began - self.taken / of_line
        place = self.number + self.taken * self.plan.lines
        self.taken += 1
        turn, at = divmod(place, len(self.plan.pool))
        return self.plan.pool[at].replace(b"C0", b"R%d-0" % turn)


async def flood(plan: Plan) -> Seen:
    """Until the time is over; what is unanswered then is given up."""
    loop, seen, acknowledged = asyncio.get_running_loop(), Seen(), list[bytes]()
    began = time.monotonic()
    lines = [_Line(plan, n, seen, began, acknowledged) for n in range(plan.lines)]
    urgent = deque(enumerate(plan.urgent))
    while (passed := time.monotonic() - began) < plan.seconds:
        for line in lines:
            if line.transport is None:
                seen.reconnected += bool(line.open)
                await loop.create_connection(lambda line=line: line, "127.0.0.1", plan.port)  # type: ignore[misc]
            line.go_on()
        while urgent and urgent[0][0] <= passed:
            number, together = urgent.popleft()
            lines[number % plan.lines].first.extend(together)
        await asyncio.sleep(_TICK_S)
    seen.arrived = int(plan.rate * (time.monotonic() - began))
    for line in lines:
        if line.transport is not None:
            line.transport.abort()
    seen.acknowledged = b"".join(acknowledged)
    return seen


def main() -> int:
    """Standard input to standard output."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(flood(plan))))
    return 0


def digests(seen: Seen) -> set[bytes]:
    """Of what was acknowledged."""
    raw = seen.acknowledged
    return {raw[at : at + 8] for at in range(0, len(raw), 8)}


if __name__ == "__main__":
    sys.exit(main())
