"""What must become of a stream of bytes: a second, slow and plain reading of the same rules.

It shares nothing with the server, so that a fault in one of them shows. A whole connection's stream
is read at once, with one regular expression; the server reads it in pieces, as they come.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from connectors.settings import MllpSettings

_HEAD: Final = 64 * 1024  # what is kept of an oversized frame
_STRAY: Final = 4 * 1024  # what is kept of bytes outside any frame
_LONGEST_HEADER: Final = 8 * 1024
_BETWEEN: Final = b"\x00\t\n\r "
_TOKEN: Final = re.compile(rb"([^\x0b]*?)(\x1c\r|(?=\x0b)|\Z)", re.DOTALL)
_LINE: Final = re.compile(rb"[^\r\n]*")


class Fate(StrEnum):
    """Where bytes must be found."""

    WIRE = "wire"  # accepted: `tocsin.wire.hl7`, as sent
    REFUSED = "refused"  # a whole frame, or stray bytes, in quarantine
    EMPTY = "empty_frame"
    OVERSIZED = "oversized"
    TRUNCATED = "truncated"


class Expected(NamedTuple):
    """One event of a stream."""

    fate: Fate
    kept: bytes  # what must be in the log
    framed: bool  # a complete frame, which is answered
    answers: tuple[str, ...]  # codes, in order
    control_id: str  # MSA-2 of each answer


def read_stream(stream: bytes, limit: int = MllpSettings().max_message_bytes) -> Iterator[Expected]:
    """Every event that a connection's bytes must cause, its end included, in order."""
    at = stream.find(b"\x0b")
    yield from _stray(stream if at < 0 else stream[:at])
    while at >= 0:
        body, mark, end = _token(stream, at + 1)
        if mark:
            yield _frame(body, limit)
            at = stream.find(b"\x0b", end)
            yield from _stray(stream[end:] if at < 0 else stream[end:at])
            continue
        at = end if end < len(stream) else -1
        if at >= 0 and body[-1:] == b"\x1c":  # an end without its carriage return
            yield _frame(body[:-1], limit)
        elif body:
            kept = body if len(body) <= limit else body[: min(_HEAD, limit)]
            yield Expected(Fate.TRUNCATED, kept, False, (), "")


def _token(stream: bytes, at: int) -> tuple[bytes, bytes, int]:
    """What follows a start byte, the end mark that it came to (or none), and where that ends."""
    match = _TOKEN.match(stream, at)
    if match is None:  # pragma: no cover - the pattern matches at any place
        raise ValueError(at)
    return match.group(1), match.group(2), match.end()


def _stray(gap: bytes) -> Iterator[Expected]:
    stray = gap.lstrip(_BETWEEN)
    if stray:
        yield Expected(Fate.REFUSED, stray[:_STRAY], False, (), "")


def _frame(body: bytes, limit: int) -> Expected:
    if not body:
        return Expected(Fate.EMPTY, b"", True, ("AR",), "")
    fields, usable = _header(body)
    fate = Fate.WIRE if usable else Fate.REFUSED
    if len(body) > limit:
        fate, body = Fate.OVERSIZED, body[: min(_HEAD, limit)]
    control_id = fields.control_id.decode("latin-1").replace("\x1c", "")
    return Expected(fate, body, True, _codes(fields, fate is Fate.WIRE), control_id)


class _Fields(NamedTuple):
    code: str = ""  # MSH-9.1
    event: str = ""  # MSH-9.2
    control_id: bytes = b""
    accept: bytes = b""
    application: bytes = b""


def _header(body: bytes) -> tuple[_Fields, bool]:
    """What the header says, and whether the message can be accepted."""
    head = body[:_LONGEST_HEADER]
    if head[:3] != b"MSH":
        if head[:2] in (b"\xff\xfe", b"\xfe\xff") or head[:6] in (b"M\0S\0H\0", b"\0M\0S\0H"):
            return _Fields(), False
        head = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n \t")
    line = _LINE.match(head).group()  # type: ignore[union-attr]  # it matches anything
    batch = line[:3] in (b"FHS", b"BHS")
    if not (batch or line[:3] == b"MSH") or not _delimiters(line):
        return _Fields(), False
    fields = line.split(line[3:4]) + [b""] * 20
    if batch:
        return _Fields(control_id=fields[10]), True
    component = fields[1][:1]
    kind = [p.decode("latin-1").strip() for p in fields[8].split(component)] + [""]
    found = _Fields(kind[0], kind[1], fields[9], fields[14], fields[15])
    return found, bool(kind[0] and fields[11])


def _delimiters(line: bytes) -> bool:
    """Are MSH-1 and MSH-2 five, or at least two, usable characters?"""
    if len(line) < 5:
        return False
    field = line[3:4]
    encoding = line[4:10].split(field)[0]
    if not 1 <= len(encoding) <= 5 or encoding[:1] == encoding[1:2]:
        return False
    return all(0x20 < c < 0x7F and not chr(c).isalnum() for c in field + encoding)


def _codes(fields: _Fields, accepted: bool) -> tuple[str, ...]:
    """Table 0008, by MSH-15 and MSH-16; answers are never answered."""
    if fields.code in ("ACK", "MCF") or fields.event == "ACK":
        return ()
    letter = "A" if accepted else "R"
    asked = [f.decode("latin-1").strip().upper() for f in (fields.accept, fields.application)]
    if asked == ["", ""]:
        return ("A" + letter,)
    unwanted = ("", "NE", "ER") if accepted else ("", "NE", "SU")
    commit, application = (a not in unwanted for a in asked)
    if commit and not accepted:
        return ("CR",)
    return ("C" + letter,) * commit + ("A" + letter,) * application
