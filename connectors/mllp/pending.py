"""What a sender still waits for: which answers a message asked for, and which came."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from connectors.hl7.header import Header, HeaderError, scan

_ON_SUCCESS = ("AL", "SU")


class Answer(NamedTuple):
    """The last answer that a message was to get.

    `code` is AA, AE, AR, CA, CE or CR (tables 0008), or "" when the message asked for no answer
    to a success (MSH-15 and MSH-16 NE or ER): then it is known only that the bytes were written.
    """

    code: str
    control_id: str  # MSA-2
    text: str  # MSA-3, or ERR-8 of a refusal; "" where there is none
    seconds: float  # first written → this answer

    @property
    def accepted(self) -> bool:
        """Does the receiver say that it has the message?"""
        return self.code in ("AA", "CA", "")


class Pending:
    """One message on its way."""

    __slots__ = ("accept", "application", "control_id", "frame", "future", "seconds", "sent_at")

    def __init__(self, raw: bytes, frame: bytes, future: asyncio.Future[Answer]) -> None:
        header = _header(raw)
        self.frame = frame
        self.future = future
        self.sent_at = 0.0
        self.control_id = header.control_id if header else ""
        asked = (header.accept.upper(), header.application_accept.upper()) if header else ("", "")
        original = asked == ("", "")
        self.accept = asked[0] in _ON_SUCCESS
        self.application = original or asked[1] in _ON_SUCCESS

    @property
    def silent(self) -> bool:
        """Will a success go unanswered?"""
        return not (self.accept or self.application)

    def is_last(self, code: str) -> bool:
        """Is nothing more to come after an answer with this code?"""
        return not (code == "CA" and self.application)


class Waiting:
    """The messages on their way, found by control id; those with the same one, oldest first."""

    def __init__(self) -> None:
        self._by_id: dict[str, deque[Pending]] = {}
        self._all: dict[int, Pending] = {}  # in the order of sending

    def __len__(self) -> int:
        return len(self._all)

    def add(self, pending: Pending) -> None:
        """A message goes out."""
        self._all[id(pending)] = pending
        self._by_id.setdefault(pending.control_id, deque()).append(pending)

    def find(self, control_id: str) -> Pending | None:
        """The message that an answer with this MSA-2 is for."""
        same = self._by_id.get(control_id)
        return same[0] if same else None

    def remove(self, pending: Pending) -> None:
        """It is answered, or nobody waits for it any more."""
        if self._all.pop(id(pending), None) is None:
            return
        same = self._by_id[pending.control_id]
        same.remove(pending)
        if not same:
            del self._by_id[pending.control_id]

    def in_order(self) -> list[Pending]:
        """All of them, as sent."""
        return list(self._all.values())


class Acknowledgement(NamedTuple):
    """What an answer says."""

    code: str  # MSA-1
    control_id: str  # MSA-2
    text: str


def read_acknowledgement(payload: bytes) -> Acknowledgement | None:
    """MSA (and the words of ERR) of an answer; None when it is none."""
    header = _header(payload)
    if header is None:
        return None
    segments: dict[str, list[str]] = {}
    for line in payload.replace(b"\n", b"\r").split(b"\r"):
        fields = line.decode("latin-1").split(header.field)
        segments.setdefault(fields[0], fields)
    msa = [*segments.get("MSA", []), "", "", "", ""]
    if not msa[1]:
        return None
    err = [*segments.get("ERR", []), *[""] * 9]
    return Acknowledgement(msa[1].strip().upper(), msa[2], msa[3] or err[8] or err[7])


def _header(raw: bytes) -> Header | None:
    try:
        return scan(raw)
    except HeaderError as error:
        return error.header
