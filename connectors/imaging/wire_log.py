"""What the imaging process writes: datasets and objects as they came, and what nobody can read."""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaError, KafkaException

from connectors import contract, topics
from connectors.clock import Clock
from connectors.journal import Journal
from connectors.quarantine import Reason, quarantined

MOST_BYTES: Final = 9_000_000  # of a record: what the broker takes that `tocsin up` starts
KEPT_BYTES: Final = 64 * 1024  # of what is set aside
_TOO_LARGE: Final = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE)


class WireLog:
    """Returns when the broker has a record. Raises `KafkaException`; for one thread at a time."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    def append(self, content_type: str, raw: bytes, source: str) -> bool:
        """Write to `tocsin.wire.imaging`; False: too large, its beginning is in quarantine."""
        headers = topics.record_headers(content_type, source, self._clock())
        if len(raw) <= MOST_BYTES:
            try:
                self._journal.append(topics.WIRE_IMAGING, raw, headers)
            except KafkaException as error:
                if error.args[0].code() not in _TOO_LARGE:
                    raise
            else:
                return True
        self.set_aside(Reason.OVERSIZED, f"{len(raw):,} bytes of {content_type}", raw, source)
        return False

    def set_aside(
        self, reason: Reason, detail: str, raw: bytes, source: str, place: str = ""
    ) -> None:
        """To quarantine; by its `place` in the log, else its beginning, and its sender keeps it."""
        record = quarantined(
            reason,
            detail,
            raw=raw[:KEPT_BYTES],
            received_at=self._clock(),
            source=source,
            wire=place,
            message_type="DICOM",
        )
        self._journal.append(topics.QUARANTINE, contract.encode(record), [])
