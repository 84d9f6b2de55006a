"""What becomes of a frame: the record that goes to the log, and what is answered afterwards.

A message with a usable header goes to `tocsin.wire.hl7` exactly as sent. Everything else goes to
`tocsin.quarantine` with its bytes, and the sender is refused: it still has the message, and whoever
looks after the feed sees why. Neither is answered before the broker has confirmed the record.

An oversized frame is never kept whole: memory is bounded by the limit that it broke. Its first
64 KB are in quarantine for diagnosis; the refusal leaves the message with its sender, who sends it
again once `mllp.max_message_bytes` allows it.

A message of a paused source goes nowhere: its sender is told so, keeps it, and sends it again. One
that asks for no answer to that would be lost, so it is taken like any other.
"""

from __future__ import annotations

from typing import NamedTuple

from connectors import topics
from connectors.clock import Clock
from connectors.contract import encode
from connectors.hl7.batch import is_batch
from connectors.hl7.header import Header, HeaderError, scan
from connectors.kafka import Headers
from connectors.mllp.acknowledge import PAUSED, Mode, Refusal, codes, refusal
from connectors.mllp.frames import HEAD_BYTES, Frame, Violation
from connectors.mllp.sources import Alike, Sources
from connectors.quarantine import Reason, quarantined
from connectors.settings import MllpSettings
from connectors.trace import new_traceparent

CONTENT_TYPE = "application/hl7-v2+er7"
# What a quarantine record keeps of a frame: in base64, and with its own fields, it stays below the
# megabyte that a broker takes by default.
KEPT_BYTES = 512 * 1024


class Destinations(NamedTuple):
    """The topics written to."""

    wire: str = topics.WIRE_HL7
    quarantine: str = topics.QUARANTINE


DEFAULT = Destinations()


class Entry(NamedTuple):
    """One record to append, and the answer that its confirmation allows."""

    topic: str  # "": there is nothing to append
    value: bytes
    headers: Headers
    header: Header | None  # of the message, as far as it could be read
    refused: Refusal | None  # None: the message is accepted
    reason: Reason | None  # of the quarantine
    answered: bool  # False: there is no complete frame to answer
    mode: Mode = Mode.MESSAGE  # which answers its source gets


class Intake:
    """Decides, without I/O."""

    def __init__(
        self,
        settings: MllpSettings,
        destinations: Destinations,
        clock: Clock,
        trace_ratio: float,
        sources: Sources | None = None,
    ) -> None:
        self._settings = settings
        self._to = destinations
        self._clock = clock
        self._ratio = trace_ratio
        self._sources = sources or Alike()

    def take(self, event: Frame | Violation) -> Entry:
        """The record for a frame, or for bytes that are none."""
        if isinstance(event, Violation):
            return self._violated(event)
        try:
            header = scan(event.payload)
        except HeaderError as error:
            if error.header is not None and is_batch(event.payload):
                # Acknowledged as a whole, by its own header; the sequencer reads its messages.
                return self._wire(event.payload, error.header)
            return self._quarantine(
                error.reason, error.detail, event.payload, error.header, location=error.location
            )
        return self._wire(event.payload, header)

    def too_large(self, entry: Entry) -> Entry:
        """The broker takes no record of this size: the message is refused after all."""
        size = len(entry.value)
        detail = f"{size} bytes are more than the broker takes; {_kept(min(size, HEAD_BYTES))}"
        return self._quarantine(Reason.OVERSIZED, detail, entry.value[:HEAD_BYTES], entry.header)

    def _wire(self, payload: bytes, header: Header) -> Entry:
        source = self._source(header)
        mode = self._sources.mode(source)
        if self._sources.is_paused(source) and codes(
            header, accepted=False, mode=mode, letter=PAUSED.letter
        ):
            return Entry("", b"", (), header, PAUSED, None, True, mode)
        headers = (
            (topics.HEADER_SOURCE, source),
            (topics.HEADER_RECEIVED_AT, f"{self._clock():.6f}"),
            (topics.HEADER_CONTENT_TYPE, CONTENT_TYPE),
            (topics.HEADER_TRACEPARENT, new_traceparent(self._ratio)),
        )
        return Entry(self._to.wire, payload, headers, header, None, None, True, mode)

    def _source(self, header: Header) -> str:
        return self._settings.source or f"{header.application}|{header.facility}"

    def _violated(self, event: Violation) -> Entry:
        limit = self._settings.max_message_bytes
        detail = {
            Reason.EMPTY_FRAME: "a frame with nothing in it",
            Reason.OVERSIZED: f"{event.size} bytes are more than mllp.max_message_bytes ({limit});"
            f" {_kept(len(event.raw))}",
            Reason.TRUNCATED: f"the frame broke off after {event.size} bytes",
            Reason.NOT_HL7: f"{event.size} bytes outside any frame",
        }[event.reason]
        framed = event.reason in (Reason.EMPTY_FRAME, Reason.OVERSIZED)
        header = _readable(event.raw)
        return self._quarantine(event.reason, detail, event.raw, header, answered=framed)

    def _quarantine(
        self,
        reason: Reason,
        detail: str,
        raw: bytes,
        header: Header | None,
        *,
        location: str = "",
        answered: bool = True,
    ) -> Entry:
        if len(raw) > KEPT_BYTES:
            detail = f"{detail}; {_kept(KEPT_BYTES)}"
        source = self._source(header) if header else self._settings.source
        record = quarantined(
            reason,
            detail,
            raw=raw[:KEPT_BYTES],
            received_at=self._clock(),
            source=source,
            location=location,
            message_type=header.kind if header else "",
            control_id=header.control_id if header else "",
        )
        refused, mode = refusal(reason, detail, location), self._sources.mode(source)
        return Entry(
            self._to.quarantine, encode(record), (), header, refused, reason, answered, mode
        )


def _kept(size: int) -> str:
    return f"the first {size} bytes are kept here, the message stays with its sender"


def _readable(raw: bytes) -> Header | None:
    """The header of bytes that are refused anyway, as far as it goes."""
    try:
        return scan(raw)
    except HeaderError as error:
        return error.header
