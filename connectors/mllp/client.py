"""A pipelined MLLP sender: what `send`, the simulator, the replays and the load tests use.

Answers are matched by MSA-2, never by position. A lost connection is made again, and every message
that was not answered is sent again, in order: at least once.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, cast

from connectors.mllp.frames import Frame, Framer, wrap
from connectors.mllp.pending import Answer, Pending, Waiting, read_acknowledgement
from connectors.mllp.writing import Outbox

__all__ = ["Answer", "Heard", "MllpClient", "MllpUnreachableError", "Respond", "Statistics"]

_LATENCIES_KEPT = 100_000
_LONGEST_ANSWER = 1_000_000
_BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_GOODBYE_S = 1.0
_SETTLED_S = 1.0  # a connection that lasted this long, or brought an answer, ends an outage


Respond = Callable[[bytes], None]  # sends a message on the connection that another came on
Heard = Callable[[bytes, Respond], None]


class MllpUnreachableError(ConnectionError):
    """No connection for longer than the client's patience; the message names the address."""


@dataclass
class Statistics:
    """Counts of one client since it was made."""

    sent: int = 0  # messages, without repetitions
    resent: int = 0
    connections: int = 0
    unmatched: int = 0  # frames that answer nothing that is waited for
    answers: Counter[str] = field(default_factory=Counter)  # final answers by code
    # Seconds from first written to final answer, the most recent hundred thousand.
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES_KEPT))

    def quantile(self, q: float) -> float:
        """The q-quantile of the latencies in seconds; NaN when there are none."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else float("nan")


class MllpClient:
    """One connection, at most `window` messages unanswered on it.

    >>> async def example() -> str:
    ...     async with MllpClient("127.0.0.1", 2575) as client:
    ...         return (await client.send(raw)).code
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        window: int = 100,
        tls: ssl.SSLContext | None = None,
        patience_s: float = 30.0,
        heard: Heard | None = None,
    ) -> None:
        """`patience_s`: how long an outage may last before every waiting `send` fails.

        `heard` is given every frame: a peer may say more than that it has a message.
        """
        self.address = f"{host}:{port}"
        self.stats = Statistics()
        self._host, self._port, self._tls = host, port, tls
        self._patience = patience_s
        self._heard = heard
        self._room = asyncio.Semaphore(window)
        self._waiting = Waiting()
        self._link: _Link | None = None
        self._up = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Connect, and keep connected. Raises `MllpUnreachableError` when patience runs out."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep_connected())
        await self._reached()

    async def send(self, raw: bytes) -> Answer:
        """Send one message and wait for its final answer. Raises `MllpUnreachableError`."""
        return await (await self.submit(raw))

    async def submit(self, raw: bytes) -> asyncio.Future[Answer]:
        """Send one message as soon as the window has room: its answer comes later.

        Messages go out in the order of the calls. Raises `MllpUnreachableError`.
        """
        await self._room.acquire()
        try:
            await self._reached()
            if self._link is not None:
                await self._link.writable.wait()
        except BaseException:
            self._room.release()
            raise
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        pending = Pending(raw, wrap(raw), future)
        future.add_done_callback(lambda _: self._settle(pending))
        self._waiting.add(pending)
        self.stats.sent += 1
        if self._link is not None:
            self._write(self._link, pending)
        return future

    async def drain(self) -> None:
        """Wait until every message sent so far is answered, or has failed."""
        await asyncio.gather(*(p.future for p in self._waiting.in_order()), return_exceptions=True)

    async def close(self) -> None:
        """Close the connection; what is still unanswered is cancelled."""
        keeper, self._keeper = self._keeper, None
        link = self._link
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        if link is not None:  # TLS says goodbye; a peer that does not answer is not waited for long
            with suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await link.lost.wait()
        for pending in self._waiting.in_order():
            pending.future.cancel()

    # ── sending ─────────────────────────────────────────────────────────────────────────────

    def _write(self, link: _Link, pending: Pending) -> None:
        pending.sent_at = pending.sent_at or asyncio.get_running_loop().time()
        link.outbox.put(pending.frame)
        if pending.silent:
            self._answer(pending, "", "")

    def _settle(self, pending: Pending) -> None:
        self._waiting.remove(pending)
        self._room.release()

    # ── answers ─────────────────────────────────────────────────────────────────────────────

    def _received(self, payload: bytes, respond: Respond) -> None:
        if self._heard is not None:
            self._heard(payload, respond)
        said = read_acknowledgement(payload)
        pending = self._waiting.find(said.control_id) if said else None
        if said is None or pending is None:
            self.stats.unmatched += 1
        elif pending.is_last(said.code):
            self._answer(pending, said.code, said.text)

    def _answer(self, pending: Pending, code: str, text: str) -> None:
        self._waiting.remove(pending)  # now: the next answer may be for one with the same id
        if pending.future.done():
            return
        seconds = asyncio.get_running_loop().time() - pending.sent_at
        self.stats.answers[code] += 1
        self.stats.latencies.append(seconds)
        pending.future.set_result(Answer(code, pending.control_id, text, seconds))

    # ── the connection ──────────────────────────────────────────────────────────────────────

    async def _reached(self) -> None:
        if self._up.is_set():
            return
        if self._keeper is None:
            raise MllpUnreachableError(f"The connection to {self.address} is closed.")
        up = asyncio.create_task(self._up.wait())
        try:
            await asyncio.wait({up, self._keeper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            up.cancel()
        if self._keeper is not None and self._keeper.done():
            self._keeper.result()

    async def _keep_connected(self) -> None:
        loop = asyncio.get_running_loop()
        outage, attempts = loop.time(), 0
        try:
            while True:
                link = await self._try_to_connect()
                if link is not None:
                    begun = loop.time()
                    await self._use(link)
                    if link.answered or loop.time() - begun >= _SETTLED_S:
                        outage, attempts = loop.time(), 0
                        continue  # at once: the peer was there a moment ago
                if loop.time() - outage >= self._patience:
                    raise MllpUnreachableError(
                        f"No MLLP server can be reached at {self.address} "
                        f"(tried for {self._patience:g} s)."
                    )
                await asyncio.sleep(_BACKOFF_S[min(attempts, len(_BACKOFF_S) - 1)])
                attempts += 1
        except (MllpUnreachableError, ssl.SSLError) as error:
            self._fail(error)
            raise

    async def _try_to_connect(self) -> _Link | None:
        loop = asyncio.get_running_loop()
        try:
            _, link = await loop.create_connection(
                lambda: _Link(self._received), self._host, self._port, ssl=self._tls
            )
        except ssl.SSLError:
            raise  # certificates do not mend themselves
        except OSError:
            return None
        return link

    async def _use(self, link: _Link) -> None:
        """Send what is unanswered over a new connection, and more until it is lost."""
        self._link = link
        self.stats.connections += 1
        for pending in self._waiting.in_order():
            self.stats.resent += pending.sent_at > 0
            self._write(link, pending)
        self._up.set()
        try:
            await link.lost.wait()
        finally:
            self._link = None
            self._up.clear()
            link.close()

    def _fail(self, error: Exception) -> None:
        for pending in self._waiting.in_order():
            if not pending.future.done():
                pending.future.set_exception(error)


class _Link(asyncio.Protocol):
    """One TCP connection of a client."""

    def __init__(self, received: Heard) -> None:
        self.lost = asyncio.Event()
        self.answered = False
        self.writable = asyncio.Event()
        self.writable.set()
        self._received = received
        self._framer = Framer(_LONGEST_ANSWER)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.outbox = Outbox(cast(asyncio.Transport, transport))

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        for event in self._framer.feed(data):
            self.answered = True
            if isinstance(event, Frame):
                self._received(event.payload, self.respond)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self.writable.set()

    def respond(self, payload: bytes) -> None:
        """Answer what the peer said; nothing once the connection is lost."""
        if not self.lost.is_set():
            self.outbox.put(wrap(payload))

    def close(self) -> None:
        self.outbox.close()
