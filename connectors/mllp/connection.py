"""One sender's connection: frames in, answers out in the same order, each after its confirmation.

A slow or dead broker shows as answers that come late: when as many messages wait as may, nothing
more is read from the socket, TCP slows the sender down, and memory stays bounded. No message is
refused for that, and none is answered before it is safe.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from functools import partial
from typing import cast

from connectors.admission import FEW, Admission
from connectors.kafka import AppendError, Log
from connectors.mllp.acknowledge import Acknowledger, codes
from connectors.mllp.budget import Budget
from connectors.mllp.frames import Event, Framer, wrap
from connectors.mllp.intake import Entry, Intake
from connectors.mllp.tally import Tally
from connectors.mllp.writing import Outbox
from connectors.settings import MllpSettings

_log = logging.getLogger(__name__)


class Shared:
    """What all connections of a server have in common."""

    def __init__(
        self,
        settings: MllpSettings,
        log: Log,
        intake: Intake,
        acknowledger: Acknowledger,
        tally: Tally,
        admission: Admission,
    ) -> None:
        self.settings = settings
        self.log = log
        self.intake = intake
        self.acknowledger = acknowledger
        self.tally = tally
        self.admission = admission
        self.budget = Budget(settings.max_unacknowledged_bytes)
        self.open: set[Connection] = set()


class _Slot:
    """A message's place in the order of answers."""

    __slots__ = ("begun", "connection", "cost", "done", "entry")

    def __init__(self, connection: Connection, entry: Entry, begun: float, cost: int) -> None:
        self.connection = connection
        self.entry = entry
        self.begun = begun
        self.cost = cost
        self.done = False

    def confirmed(self, error: AppendError | None) -> None:
        """The broker has the record, or never will."""
        self.connection.confirmed(self, error)


class Connection(asyncio.Protocol):
    """The server's side of one connection."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._framer = Framer(shared.settings.max_message_bytes)
        self._loop = asyncio.get_running_loop()
        self._backlog: deque[Event] = deque()  # received, and not yet taken: no room
        self._slots: deque[_Slot] = deque()
        self._reading = True
        self._choked = False  # the sender does not read its answers
        self._input_ended = False
        self._stopping = False
        self._named: set[str] = set()  # reasons that this connection was already logged for
        self.lost = asyncio.Event()

    # ── asyncio.Protocol ────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._outbox = Outbox(self._transport)
        shared = self._shared
        if len(shared.open) >= shared.settings.max_connections:
            _log.warning("connection refused: mllp.max_connections are open")
            self._transport.close()
            return
        _keep_alive(self._transport)
        shared.open.add(self)
        shared.tally.connections(+1)

    def data_received(self, data: bytes) -> None:
        self._shared.tally.bytes += len(data)
        if self in self._shared.open:
            self._backlog.extend(self._framer.feed(data))
            self.go_on()

    def eof_received(self) -> bool:
        self._end_input()
        self._outbox.flush()  # answers of this very turn: asyncio may close behind us
        # Half closed: what was sent is still answered. (TLS knows no half-closed connections.)
        return self._transport.get_extra_info("sslcontext") is None and bool(
            self._slots or self._backlog
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self._choked = False
        if self in self._shared.open:
            self._shared.open.discard(self)
            self._shared.tally.connections(-1)
            self._end_input()

    def pause_writing(self) -> None:
        self._choked = True
        self.go_on()

    def resume_writing(self) -> None:
        self._choked = False
        self.go_on()

    # ── in ──────────────────────────────────────────────────────────────────────────────────

    def go_on(self) -> None:
        """Take what there is room for; read on when nothing is left over."""
        backlog, shared = self._backlog, self._shared
        most = shared.settings.max_unacknowledged
        if shared.admission.behind:
            most = min(FEW, most)
        while backlog and not (self._choked or self._stopping) and len(self._slots) < most:
            if not shared.budget.has_room:
                shared.budget.wait(self.go_on)
                break
            self._take(backlog.popleft())
        self._read(not (backlog or self._choked or self._stopping or len(self._slots) >= most))

    def _take(self, event: Event) -> None:
        shared = self._shared
        entry = shared.intake.take(event)
        slot = _Slot(self, entry, self._loop.time(), shared.budget.take(len(entry.value)))
        self._slots.append(slot)
        shared.tally.waiting += 1
        if entry.reason is not None:
            self._note(entry)
        if entry.topic:
            shared.log.append(entry.topic, entry.value, entry.headers, slot.confirmed)
        else:  # in the loop's next turn: as if the log had confirmed at once
            self._loop.call_soon(slot.confirmed, None)

    def _read(self, on: bool) -> None:
        if on == self._reading or self._input_ended or self.lost.is_set():
            return
        self._reading = on
        if on:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _end_input(self) -> None:
        """Nothing more will come. Complete frames are still taken, an incomplete one is noted."""
        if self._input_ended:
            return
        self._input_ended = True
        if not self._stopping:  # when we are the one who hangs up, nobody lost anything
            self._backlog.extend(self._framer.close())
        self.go_on()

    def stop(self) -> None:
        """Read no more; close when all that was taken is answered."""
        self._stopping = True
        self.go_on()
        self._close_when_done()

    def abort(self) -> None:
        """Hang up without another word."""
        self._transport.abort()

    # ── out ─────────────────────────────────────────────────────────────────────────────────

    def confirmed(self, slot: _Slot, error: AppendError | None) -> None:
        """The fate of a record is known."""
        shared = self._shared
        if error is not None:
            self._not_appended(slot, error)
            return
        shared.budget.give_back(slot.cost)
        accepted = slot.entry.refused is None
        if accepted:
            shared.admission.logged()
        if accepted and shared.admission.behind:
            slot.entry = slot.entry._replace(value=b"")  # the log has it
            shared.admission.hold(self, partial(self._may_answer, slot))
        else:
            self._may_answer(slot)

    def _may_answer(self, slot: _Slot) -> None:
        slot.done = True
        if self._slots[0] is slot:
            self._answer_those_done()
            self.go_on()

    def _not_appended(self, slot: _Slot, error: AppendError) -> None:
        shared = self._shared
        if error.too_large and slot.entry.reason is None:
            slot.entry = shared.intake.too_large(slot.entry)
            self._note(slot.entry)
            entry = slot.entry
            shared.log.append(entry.topic, entry.value, entry.headers, slot.confirmed)
            return
        # Not in the log, so no answer: the sender keeps the message and sends it again.
        _log.error("connection closed, a record could not be appended: %s", error)
        shared.budget.give_back(slot.cost)
        shared.tally.waiting -= 1
        self._slots.remove(slot)
        self.abort()
        self._answer_those_done()

    def _answer_those_done(self) -> None:
        slots, tally, now = self._slots, self._shared.tally, self._loop.time()
        while slots and slots[0].done:
            slot = slots.popleft()
            tally.waiting -= 1
            sent = self._answer(slot.entry) if slot.entry.answered else ()
            tally.answered(sent, now - slot.begun)
        self._close_when_done()

    def _answer(self, entry: Entry) -> tuple[str, ...]:
        refused = entry.refused
        sent = codes(
            entry.header,
            accepted=refused is None,
            mode=entry.mode,
            letter=refused.letter if refused else "R",
        )
        if not self.lost.is_set():
            for code in sent:
                answer = self._shared.acknowledger.write(code, entry.header, refused)
                self._outbox.put(wrap(answer))
        return sent

    def _close_when_done(self) -> None:
        ended = self._stopping or (self._input_ended and not self._backlog)
        if ended and not self._slots and not self.lost.is_set():
            self._outbox.close()

    def _note(self, entry: Entry) -> None:
        self._shared.tally.quarantined(str(entry.reason))
        if entry.reason not in self._named:
            self._named.add(str(entry.reason))
            _log.warning(
                "to quarantine: %s (further ones of this connection only count)", entry.reason
            )


def _keep_alive(transport: asyncio.Transport) -> None:
    """A sender whose machine is gone must not hold its connection for ever."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
