"""What becomes of a request: the record that goes to the log, and the answer that follows.

As at the MLLP port (`connectors.mllp.intake`): what can be read goes to a wire topic exactly as it
was sent; what is malformed goes to quarantine, as far as it is kept, and its sender is refused;
neither is answered before the broker has confirmed the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from connectors import topics
from connectors.clock import Clock
from connectors.contract import encode
from connectors.http.answers import Answer, Refused, later
from connectors.http.kinds import Kind, media_of
from connectors.interpretation import RefusedError
from connectors.kafka import Headers
from connectors.mllp.sources import Alike, Sources
from connectors.quarantine import Reason, quarantined
from connectors.trace import checked, new_traceparent
from connectors.wire import parameters

HEAD_BYTES: Final = 64 * 1024  # kept of what is too large
KEPT_BYTES: Final = 512 * 1024  # kept of what is malformed: in base64 it fits a record
_LONGEST_SUBJECT: Final = 300
PAUSED_S: Final = 60
_STATUS: Final = {Reason.UNSUPPORTED_CONTENT: 422, Reason.NO_PATIENT: 422, Reason.OVERSIZED: 413}


class Request(NamedTuple):
    """A request with its body, from a sender that may send."""

    kind: Kind
    named: str  # what the path names: a resource type, a study
    content_type: str
    source: str
    subject: str
    said: Mapping[str, str]  # parameters of the address
    traceparent: str
    body: bytes


class Entry(NamedTuple):
    """One record to append, and the answer that its confirmation allows."""

    topic: str
    value: bytes
    headers: Headers
    answer: Answer
    reason: Reason | None = None  # of the quarantine


class Intake:
    """Decides, without I/O."""

    def __init__(self, clock: Clock, trace_ratio: float, sources: Sources | None = None) -> None:
        self._clock = clock
        self._ratio = trace_ratio
        self._sources = sources or Alike()

    def admit(self, kinds: tuple[Kind, ...], content_type: str, source: str) -> None:
        """Before the body is read. Raises `Refused`."""
        if self._sources.is_paused(source):
            detail = "this source is paused: too much of what it sent could not be understood"
            raise Refused(later(PAUSED_S, detail, "paused"))
        known = [media for kind in kinds for media in kind.media]
        if media_of(content_type) not in known:
            detail = f"the content type is one of {', '.join(known)}"
            raise Refused(Answer(415, detail, Reason.UNSUPPORTED_CONTENT))

    def take(self, request: Request) -> Entry:
        """The record for a request."""
        kind, body = request.kind, request.body
        said = {**parameters(request.content_type), **request.said}
        try:
            if kind.needs_subject and not request.subject:
                detail = "the header `subject` has to say whose it is: authority|type|number"
                raise RefusedError(Reason.NO_PATIENT, detail, "subject")
            if len(request.subject) > _LONGEST_SUBJECT or not request.subject.isprintable():
                raise RefusedError(Reason.NO_PATIENT, "the header `subject` is none", "subject")
            topic, content_type, answer = kind.look(body, said, request.named)
        except RefusedError as refused:
            return self._refuse(request, *refused.issue)
        headers = [
            *topics.record_headers(content_type, request.source, self._clock()),
            (
                topics.HEADER_TRACEPARENT,
                (checked(request.traceparent) or new_traceparent(self._ratio)).encode(),
            ),
        ]
        if request.subject:
            headers.append((topics.HEADER_SUBJECT, request.subject.encode()))
        return Entry(topic, body, headers, answer)

    def too_large(self, request: Request, size: int, limit: str) -> Entry:
        """Longer than is taken, here or by the broker: its beginning is kept."""
        head = request._replace(body=request.body[:HEAD_BYTES])
        detail = f"{size:,} bytes are more than {limit}"
        return self._refuse(head, Reason.OVERSIZED, detail, "")

    def _refuse(self, request: Request, reason: Reason, detail: str, location: str) -> Entry:
        record = quarantined(
            reason,
            detail,
            raw=request.body[:KEPT_BYTES],
            received_at=self._clock(),
            source=request.source,
            location=location,
            message_type=f"HTTP {request.kind.name}",
            trace=checked(request.traceparent),
        )
        answer = Answer(_STATUS.get(reason, 400), detail, reason)
        return Entry(topics.QUARANTINE, encode(record), [], answer, reason)
