"""What alert managers report back (IHE PCD-05): taken as the care team's own actions.

A report comes on the connection that alerts go out on, or on a port of its own. It is answered
after the action is on `tocsin.feedback`. A report that cannot be understood, or that is about no
alert of ours, goes to quarantine with its bytes; its sender has done its part and is told so.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from connectors import contract, metrics, topics
from connectors.clock import Clock
from connectors.contract import Alert
from connectors.feedback import LONGEST_COMMENT, DismissReason
from connectors.hl7.header import Header, HeaderError, scan
from connectors.kafka import Confirmed, Headers, KafkaLog
from connectors.mllp.acknowledge import Acknowledger, codes
from connectors.mllp.client import Respond
from connectors.mllp.intake import KEPT_BYTES, Destinations, Intake
from connectors.mllp.server import serve_into
from connectors.quarantine import Reason, quarantined
from connectors.settings import MllpSettings
from connectors.sinks import pcd05
from connectors.sinks.pcd05 import Did, NotAReportError, Status
from connectors.sinks.settings import RepliesSettings
from streams.delivery.ledger import Ledger
from streams.errors import UserError
from streams.feedback_desk import FeedbackDesk, KeyedLog

log = logging.getLogger("tocsin.sinks")

RETRY_S: Final = 1.0  # between attempts to reach the log
_LONGEST_WHO: Final = 200
_DISMISS: Final = {"not_relevant": DismissReason.NOT_RELEVANT}


class Replies:
    """Made and used in one running event loop."""

    def __init__(self, ledger: Ledger, log: KeyedLog, clock: Clock) -> None:
        self._ledger, self._log, self._clock = ledger, log, clock
        self._desk = FeedbackDesk(log, clock)
        self._acknowledger = Acknowledger(f"R{int(clock() * 1000):X}", clock)
        self._tasks: set[asyncio.Task[None]] = set()

    def heard(self, payload: bytes, respond: Respond) -> None:
        """Something that a system said by itself on a connection that alerts go out on."""
        header: Header | None
        try:
            header = scan(payload)
        except HeaderError as error:
            header = error.header
        if header is not None and header.is_acknowledgement:
            return  # a late one, or twice: the client counts it
        task = asyncio.create_task(self._answer(payload, header, respond))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, payload: bytes, header: Header | None, respond: Respond) -> None:
        source = f"{header.application}|{header.facility}" if header else ""
        said = await self.take(payload, source)
        if header is None:
            return
        if not said and not (header.accept or header.application_accept):
            return  # an acknowledgement itself, unless it asks for one
        for code in codes(header, accepted=True):
            respond(self._acknowledger.write(code, header))

    async def take(self, payload: bytes, source: str) -> bool:
        """Returns when everything that follows from it is in the log; False for nothing."""
        try:
            reports = pcd05.read(payload)
            found = [(status, await self._alert(status)) for status in reports]
        except NotAReportError as error:
            await self._quarantine(payload, source, error)
            _count("quarantined")
            return True
        for status, alert in found:
            if status.did is None:
                _count("delivery_step")
                continue
            await self._act(status, alert)
            _count(status.did)
        return bool(found)

    async def _alert(self, status: Status) -> Alert:
        newest = (await self._ledger.known(status.alert_id)).newest
        if newest is None:
            raise NotAReportError(Reason.UNKNOWN_ALERT, "nobody was told of this alert", "OBR-3")
        if status.revision is None or status.revision >= newest.revision:
            return newest
        return msgspec.structs.replace(newest, revision=status.revision)  # the one that was seen

    async def _act(self, status: Status, alert: Alert) -> None:
        click = hashlib.sha256(f"pcd05|{status.id}".encode()).hexdigest()[:24]
        who = status.who[:_LONGEST_WHO] or "unknown"
        why = pcd05.why(status)
        words = f"{status.said}{f' ({why})' if why else ''}"[:LONGEST_COMMENT]
        while True:
            try:
                if status.did is Did.ACKNOWLEDGE:
                    await self._desk.acknowledge(alert, who=who, click=click)
                elif status.did is Did.DISMISS:
                    reason = _DISMISS.get(why, DismissReason.OTHER)
                    await self._desk.dismiss(alert, reason, who=who, comment=words, click=click)
                else:
                    await self._desk.comment(alert, words, who=who, click=click)
            except UserError as error:
                # The broker is slow or away: its sender waits, and the same click counts once.
                log.warning("a report waits for the log: %s", error)
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _quarantine(self, payload: bytes, source: str, error: NotAReportError) -> None:
        item = quarantined(
            error.reason,
            error.detail,
            raw=payload[:KEPT_BYTES],
            received_at=self._clock(),
            source=source,
            location=error.location,
            message_type="ORA^R41",
        )
        written = asyncio.Event()
        raw = contract.encode(item)
        self._log.append(topics.QUARANTINE, raw, (), lambda _: written.set(), key=item.id)
        await written.wait()


class _ReportLog:
    """`connectors.kafka.Log` for the port: what is accepted there is taken as a report."""

    def __init__(self, replies: Replies, kafka: KafkaLog, destinations: Destinations) -> None:
        self._replies, self._kafka, self._to = replies, kafka, destinations
        self._tasks: set[asyncio.Task[None]] = set()

    def append(self, topic: str, value: bytes, headers: Headers, confirmed: Confirmed) -> None:
        """Take a record; `confirmed` is called once, later, in the event loop."""
        if topic != self._to.wire:
            self._kafka.append(topic, value, headers, confirmed)
            return
        source = str(dict(headers).get(topics.HEADER_SOURCE, ""))
        task = asyncio.create_task(self._take(value, source, confirmed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, value: bytes, source: str, confirmed: Confirmed) -> None:
        await self._replies.take(value, source)
        confirmed(None)

    async def flush(self, timeout_s: float) -> bool:
        """Wait until everything is confirmed; False when the time is over before."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        return not self._tasks and await self._kafka.flush(timeout_s)


@asynccontextmanager
async def listen(
    settings: RepliesSettings, kafka: KafkaLog, replies: Replies, clock: Clock
) -> AsyncIterator[str]:
    """Serve the port for reports; yields its address, "" when it is off. Raises `MllpError`."""
    if settings.port is None:
        yield ""
        return
    mllp = MllpSettings(host=settings.host, port=settings.port, tls=settings.tls)
    to = Destinations(wire="reports")  # no topic: read here and now
    intake = Intake(mllp, to, clock, 0.0)
    stop = asyncio.Event()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve_into(
            _ReportLog(replies, kafka, to),
            mllp,
            intake,
            clock=clock,
            on_ready=ready.set_result,
            stop=stop,
        )
    )
    try:
        waited: set[asyncio.Future[Any]] = {serving, ready}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        yield ready.result()
    finally:
        stop.set()
        await serving


def _count(outcome: str) -> None:
    metrics.counter("tocsin_sinks_reports").add(1, {"outcome": outcome})
