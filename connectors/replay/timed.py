"""A message and the moment at which a real interface would have sent it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import merge
from typing import NamedTuple


class Timed(NamedTuple):
    """One message. Messages with the same `key` must arrive in order: they share a connection."""

    time: float  # UTC epoch seconds; its MSH-7, unless it is sent again
    raw: bytes
    key: str  # the patient


def message_type(raw: bytes) -> str:
    """MSH-9 as `ORU^R01`; "" for bytes without one."""
    fields = raw[:200].split(b"\r", 1)[0].split(b"|", 9)
    if len(fields) < 9:
        return ""
    return b"^".join(fields[8].split(b"^")[:2]).decode("latin-1")


def control_id(raw: bytes) -> str:
    """MSH-10; "" for bytes without one."""
    fields = raw[:300].split(b"\r", 1)[0].split(b"|", 10)
    return fields[9].decode("latin-1") if len(fields) > 9 else ""


def in_time_order(patients: Iterable[Iterable[Timed]]) -> Iterator[Timed]:
    """All patients' messages by time; each patient's messages must be in order already."""
    return merge(*patients, key=lambda m: m.time)
