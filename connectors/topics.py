"""The Kafka topics, and which partition a patient belongs to."""

from __future__ import annotations

import zlib

PREFIX = "tocsin."

WIRE_HL7 = PREFIX + "wire.hl7"
WIRE_IMAGING = PREFIX + "wire.imaging"
WIRE_GENOMICS = PREFIX + "wire.genomics"
CONFIG = PREFIX + "config"
FEEDBACK = PREFIX + "feedback"
FACTS = PREFIX + "facts"
SCORES = PREFIX + "scores"
ALERTS = PREFIX + "alerts"
DELIVERIES = PREFIX + "deliveries"
QUARANTINE = PREFIX + "quarantine"
AUDIT = PREFIX + "audit"

ALL = (
    WIRE_HL7,
    WIRE_IMAGING,
    WIRE_GENOMICS,
    CONFIG,
    FEEDBACK,
    FACTS,
    SCORES,
    ALERTS,
    DELIVERIES,
    QUARANTINE,
    AUDIT,
)
COMPACTED = frozenset({CONFIG})
# Topics whose partition is chosen by `partition_of`, so that a patient's input and output line up.
BY_PATIENT = frozenset({FACTS, SCORES, ALERTS})

# Headers of wire.* records. An integration engine may publish with none of them.
HEADER_SOURCE = "source"
HEADER_RECEIVED_AT = "received-at"  # epoch seconds, decimal text
HEADER_CONTENT_TYPE = "content-type"
HEADER_SUBJECT = "subject"  # authority|type|number of the patient, where the bytes name none
HEADER_TRACEPARENT = "traceparent"
HEADER_REDRIVE_OF = "redrive-of"  # the quarantine item that this is sent again for


def record_headers(content_type: str, source: str, received_at: float) -> list[tuple[str, bytes]]:
    """Headers of a record of `tocsin.wire.*`."""
    return [
        (HEADER_CONTENT_TYPE, content_type.encode()),
        (HEADER_SOURCE, source.encode()),
        (HEADER_RECEIVED_AT, f"{received_at:.6f}".encode()),
    ]


def partition_of(patient: str, partitions: int) -> int:
    """The partition of `facts`, `scores` and `alerts` that holds a patient (never changes)."""
    return zlib.crc32(patient.encode()) % partitions
