"""Batches: FHS, BHS, messages, BTS, FTS. HL7 v2.5.1 section 2.10.3.

The envelope says nothing of patients: its messages are read one by one. A count that does not
fit is an issue beside them, never a reason to drop what is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_SEGMENT_END: Final = re.compile(rb"\r\n|\r|\n")
_ENVELOPE: Final = frozenset((b"FHS", b"BHS", b"BTS", b"FTS"))


class Batch(NamedTuple):
    """What an envelope holds."""

    messages: list[bytes]
    faults: list[str]  # locations of counts that do not fit: "BTS[1]-1"


def is_batch(raw: bytes) -> bool:
    """Does an envelope begin here?"""
    return raw.lstrip(b"\r\n \t\0\xef\xbb\xbf")[:3] in (b"FHS", b"BHS")


def split(raw: bytes) -> Batch:
    """The messages of a batch, in order, each with the bytes that it had.

    >>> split(b"BHS|^~\\\\&|\\rMSH|a\\rPID|1\\rMSH|b\\rBTS|3\\r")
    Batch(messages=[b'MSH|a\\rPID|1\\r', b'MSH|b\\r'], faults=['BTS[1]-1'])
    """
    messages: list[bytes] = []
    faults: list[str] = []
    of_batch = batches = 0
    is_open = False  # BHS may be left out (section 2.10.3): the first message opens a batch too
    trailers = {b"BTS": 0, b"FTS": 0}
    current: list[bytes] = []
    for line, whole in _lines(raw.lstrip(b"\xef\xbb\xbf")):
        name = line[:3]
        if name == b"MSH" or name in _ENVELOPE:
            if current:
                messages.append(b"".join(current))
                current = []
            if name == b"BHS" or (name in (b"MSH", b"BTS") and not is_open):
                batches, of_batch, is_open = batches + 1, 0, True
            if name == b"MSH":
                of_batch += 1
                current = [whole]
            elif name in trailers:
                trailers[name] += 1
                found = of_batch if name == b"BTS" else batches
                said = _count(line)
                if said is not None and said != found:
                    faults.append(f"{name.decode()}[{trailers[name]}]-1")
                is_open = False
        elif current:
            current.append(whole)
        elif line.strip():
            faults.append("BHS")  # a line between the messages that belongs to none
    if current:
        messages.append(b"".join(current))
    return Batch(messages, faults)


def _lines(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(segment, segment with its end)."""
    start = 0
    for end in _SEGMENT_END.finditer(raw):
        yield raw[start : end.start()].lstrip(b"\0 "), raw[start : end.end()]
        start = end.end()
    if start < len(raw):
        yield raw[start:].lstrip(b"\0 "), raw[start:]


def _count(line: bytes) -> int | None:
    """Field 1 of a trailer; the delimiter is whatever follows the name.

    None: not said. -1, which fits nothing: said, and no count.
    """
    field = line[4:].split(line[3:4], 1)[0].strip() if len(line) > 4 else b""
    if field in (b"", b'""'):
        return None
    return int(field) if field.isdigit() and len(field) < 10 else -1
