"""What alert managers report back (IHE PCD-05): taken as the care team's own actions.

A report comes on the connection that alerts go out on, or to `tocsin mllp` like any other message;
then it is read from the wire log. A report that cannot be understood, or that is about no alert of
ours, goes to quarantine; its sender has done its part and is told so.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import Final

import msgspec

from connectors import contract, metrics, topics
from connectors.clock import Clock
from connectors.contract import Alert
from connectors.feedback import LONGEST_COMMENT, DismissReason
from connectors.hl7.header import Header, HeaderError, scan
from connectors.mllp.acknowledge import Acknowledger, codes
from connectors.mllp.client import Respond
from connectors.mllp.intake import KEPT_BYTES
from connectors.quarantine import Reason, quarantined
from connectors.sinks import pcd05
from connectors.sinks.pcd05 import Did, NotAReportError, Status
from streams.delivery.dispatcher import Record
from streams.delivery.kafka import LogReader
from streams.delivery.ledger import Ledger
from streams.delivery.progress import Progress
from streams.errors import UserError
from streams.feedback_desk import FeedbackDesk, KeyedLog

log = logging.getLogger("tocsin.sinks")

RETRY_S: Final = 1.0  # between attempts to reach the log
_LONGEST_WHO: Final = 200
_MAY_BE_REPORT: Final = b"ORA"
_HEADER_BYTES: Final = 1_000
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

    async def take_from_log(self, record: Record) -> None:
        """A message that may be a report, as it stands in the wire log."""
        try:
            header = scan(record.value)
        except HeaderError:
            return  # the sequencer has put it into quarantine
        if pcd05.is_report(header):
            source = f"{header.application}|{header.facility}"
            wire = f"{record.topic}/{record.partition}/{record.offset}"
            await self.take(record.value, source, wire)

    async def take(self, payload: bytes, source: str, wire: str = "") -> bool:
        """Returns when everything that follows from it is in the log; False for nothing.

        `wire` is where it stands in the wire log, "" when it does not.
        """
        try:
            reports = pcd05.read(payload)
            found = [(status, await self._alert(status)) for status in reports]
        except NotAReportError as error:
            await self._quarantine(payload, source, wire, error)
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

    async def _quarantine(
        self, payload: bytes, source: str, wire: str, error: NotAReportError
    ) -> None:
        item = quarantined(
            error.reason,
            error.detail,
            raw=payload[:KEPT_BYTES],
            received_at=self._clock(),
            source=source,
            wire=wire,
            location=error.location,
            message_type="ORA^R41",
        )
        written = asyncio.Event()
        raw = contract.encode(item)
        self._log.append(topics.QUARANTINE, raw, (), lambda _: written.set(), key=item.id)
        await written.wait()


async def read_reports(reader: LogReader, replies: Replies, stop: asyncio.Event) -> None:
    """Take the reports in the wire log, until `stop`."""
    progress = Progress()
    while not stop.is_set():
        for record in await reader.read():
            if _MAY_BE_REPORT in record.value[:_HEADER_BYTES]:
                await replies.take_from_log(record)
            progress.begin((record.topic, record.partition), record.offset, 0)
        await reader.commit(progress.committable())


def _count(outcome: str) -> None:
    metrics.counter("tocsin_sinks_reports").add(1, {"outcome": outcome})
