"""Sends timed messages over several MLLP connections, at a pace, and counts what came of them.

One patient's messages share a connection and keep their order; each connection is pipelined up to
its window. Used by the cohort replays and by the simulated hospital.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Protocol

from connectors.clock import Clock
from connectors.mllp.client import Answer, MllpClient
from connectors.replay.timed import Timed, message_type

POSITIVE = frozenset({"AA", "CA"})  # table 0008
_PROGRESS_S = 0.25
_YIELD_EVERY = 64  # messages; lets answers be read while sending as fast as possible


class Sends(Protocol):
    """What is needed of an MLLP client (`connectors.mllp.client.MllpClient`)."""

    async def submit(self, raw: bytes) -> asyncio.Future[Answer]:
        """Send one message as soon as there is room; messages go out in the order of the calls."""
        ...


class NotDeliveredError(Exception):
    """Messages that were not acknowledged; the text says how many and what the first answer was."""


@dataclass(slots=True)
class Counts:
    """What was sent and what came back."""

    sent: int = 0
    acknowledged: int = 0
    observations: int = 0
    by_type: Counter[str] = field(default_factory=Counter)
    by_code: Counter[str] = field(default_factory=Counter)
    patients: set[str] = field(default_factory=set)
    time: float = 0.0  # hospital time reached, epoch seconds
    first_refusal: str = ""

    def check(self) -> None:
        """Raises `NotDeliveredError` unless every message was positively acknowledged."""
        if self.acknowledged == self.sent:
            return
        codes = ", ".join(f"{n} {code}" for code, n in sorted(self.by_code.items()))
        raise NotDeliveredError(
            f"{self.sent - self.acknowledged} of {self.sent} messages were not accepted "
            f"({codes or 'no answers'}); the first: {self.first_refusal or 'no answer came'}."
        )


@dataclass(frozen=True, slots=True)
class Pace:
    """How hospital time runs against this machine's."""

    speed: float | None = None  # hospital seconds per second; None: as fast as answers come
    rate: float | None = None  # most messages per second
    # Hospital seconds without any message after which the rest of the pause is left out.
    longest_pause: float | None = None
    begin: float | None = None  # messages before this hospital time are sent without waiting
    duration: float | None = None  # seconds of paced sending after which it ends
    clock: Clock | None = None  # no message is sent before its time by this clock


async def deliver(
    messages: Iterable[Timed],
    clients: Sequence[Sends],
    *,
    pace: Pace | None = None,
    progress: Callable[[Counts], None] | None = None,
    counts: Counts | None = None,
) -> Counts:
    """Send everything over connected clients, wait for every answer.

    What a client raises passes through (`MllpUnreachableError` when its patience ends). `counts`
    may be handed in, to be read by others while it grows.
    """
    counts = counts if counts is not None else Counts()
    delivery = _Delivery(clients, counts)
    reporter = asyncio.create_task(_report(counts, progress)) if progress else None
    try:
        await _Clock(pace or Pace()).feed(messages, delivery)
        await delivery.finish()
    finally:
        if reporter:
            reporter.cancel()
            await asyncio.gather(reporter, return_exceptions=True)
    if progress:
        progress(counts)
    return counts


async def send_all(
    messages: Iterable[Timed],
    host: str,
    port: int,
    *,
    connections: int = 4,
    window: int = 64,
    pace: Pace | None = None,
    progress: Callable[[Counts], None] | None = None,
    counts: Counts | None = None,
) -> Counts:
    """`deliver` over new connections to one address. Raises `MllpUnreachableError`."""
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(MllpClient(host, port, window=window))
            for _ in range(connections)
        ]
        return await deliver(messages, clients, pace=pace, progress=progress, counts=counts)


async def _report(counts: Counts, progress: Callable[[Counts], None]) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_S)
        progress(counts)


class _Delivery:
    """The connections and what is under way on them."""

    def __init__(self, clients: Sequence[Sends], counts: Counts) -> None:
        self._counts = counts
        self._clients = clients
        self._open: set[asyncio.Future[Answer]] = set()
        self._failure: BaseException | None = None

    async def send(self, message: Timed) -> None:
        """Returns as soon as the connection has taken the message."""
        if self._failure is not None:
            raise self._failure
        client = self._clients[zlib.crc32(message.key.encode()) % len(self._clients)]
        future = await client.submit(message.raw)
        self._count(message)
        self._open.add(future)
        future.add_done_callback(self._answered)

    def _count(self, message: Timed) -> None:
        counts = self._counts
        counts.sent += 1
        counts.by_type[message_type(message.raw) or "unreadable"] += 1
        counts.observations += message.raw.count(b"\rOBX|")
        counts.patients.add(message.key)
        counts.time = max(counts.time, message.time)

    def _answered(self, future: asyncio.Future[Answer]) -> None:
        self._open.discard(future)
        if future.cancelled():
            return
        self._failure = self._failure or future.exception()
        if future.exception() is not None:
            return
        answer, counts = future.result(), self._counts
        counts.by_code[answer.code] += 1
        if answer.code in POSITIVE:
            counts.acknowledged += 1
        elif not counts.first_refusal:
            reason = answer.text or "no reason given"
            counts.first_refusal = f"{answer.code} to {answer.control_id}: {reason}"

    async def finish(self) -> None:
        """Wait for every answer."""
        while self._open:
            await asyncio.wait(self._open)
        if self._failure is not None:
            raise self._failure


class _Clock:
    """Holds each message back until it is due."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._begun: float | None = None  # the loop's time when paced sending began
        self._hospital = 0.0  # hospital time that `_begun` stands for
        self._last = 0.0

    async def feed(self, messages: Iterable[Timed], delivery: _Delivery) -> None:
        """Send until there are no more, or the duration is over."""
        first = self._loop.time()
        for n, message in enumerate(messages):
            due = self._due(message.time)
            if self._pace.rate is not None:
                due = max(due, first + n / self._pace.rate)
            if self._over(due):
                await asyncio.sleep(max(0.0, self._end() - self._loop.time()))
                return
            wait = due - self._loop.time()
            if wait > 0 or n % _YIELD_EVERY == 0:
                await asyncio.sleep(max(0.0, wait))
            await delivery.send(message)

    def _due(self, time: float) -> float:
        pace = self._pace
        if pace.begin is not None and time < pace.begin:
            return 0.0
        if self._begun is None:
            self._begun = self._loop.time()
            self._hospital = self._last = time if pace.begin is None else pace.begin
        due = 0.0
        if pace.speed is not None:
            pause = time - self._last
            if pace.longest_pause is not None and pause > pace.longest_pause:
                self._hospital += pause - pace.longest_pause
            due = self._begun + (time - self._hospital) / pace.speed
        self._last = time
        if pace.clock is not None:
            due = max(due, self._loop.time() + time - pace.clock())
        return due

    def _end(self) -> float:
        if self._begun is None or self._pace.duration is None:
            return float("inf")
        return self._begun + self._pace.duration

    def _over(self, due: float) -> bool:
        return max(due, self._loop.time()) >= self._end()
