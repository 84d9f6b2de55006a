"""The MSH segment alone, from raw bytes: what routing and acknowledging a message need.

The body is not looked at and nothing but the header is decoded. Every character of HL7 that has a
meaning here is ASCII, so that latin-1 reads any header without loss and writes it back unchanged.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from connectors.quarantine import Reason

# HL7 v2.5.1 section 2.5.3: what an answer uses when the message did not say.
FIELD = "|"
ENCODING = "^~\\&"

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LONGEST_HEADER = 8 * 1024
_BATCH = (b"FHS", b"BHS")
_FIELDS = 20
_DELIMITERS_END = 10  # MSH, one separator, at most five encoding characters, one separator


class Header(NamedTuple):
    """MSH as sent: raw strings, "" where a field is absent."""

    field: str  # MSH-1
    encoding: str  # MSH-2: component, repetition, escape, sub-component
    application: str  # MSH-3
    facility: str  # MSH-4
    receiving_application: str  # MSH-5
    receiving_facility: str  # MSH-6
    time: str  # MSH-7
    message_type: str  # MSH-9, e.g. ORU^R01^ORU_R01
    control_id: str  # MSH-10
    processing_id: str  # MSH-11
    version: str  # MSH-12
    accept: str  # MSH-15, table 0155
    application_accept: str  # MSH-16, table 0155
    charset: str  # MSH-18

    @property
    def component(self) -> str:
        """The component separator."""
        return self.encoding[:1] or ENCODING[0]

    @property
    def code(self) -> str:
        """MSH-9.1, e.g. `ORU`."""
        return _code_and_event(self.message_type, self.component)[0]

    @property
    def event(self) -> str:
        """MSH-9.2, e.g. `R01`; "" where there is none."""
        return _code_and_event(self.message_type, self.component)[1]

    @property
    def kind(self) -> str:
        """Type and event in the usual notation, e.g. `ORU^R01`, whatever the delimiters."""
        return f"{self.code}^{self.event}" if self.event else self.code

    @property
    def version_number(self) -> tuple[int, ...]:
        """MSH-12.1 as numbers, e.g. (2, 5, 1); () when it is none."""
        return _version_number(self.version, self.component)

    @property
    def is_acknowledgement(self) -> bool:
        """An answer to somebody's message, which must never be answered itself."""
        code, event = _code_and_event(self.message_type, self.component)
        return code in ("ACK", "MCF") or event == "ACK"


_LONGEST_PART = 4  # digits of a part of a version: int() refuses very long numbers


# A feed sends a handful of types, versions and delimiters over and over.
@lru_cache(512)
def _code_and_event(message_type: str, component: str) -> tuple[str, str]:
    parts = [*message_type.split(component, 2), ""]
    return parts[0].strip(), parts[1].strip()


@lru_cache(64)
def _version_number(version: str, component: str) -> tuple[int, ...]:
    parts = version.split(component, 1)[0].strip().split(".")
    usable = all(p.isdecimal() and len(p) <= _LONGEST_PART for p in parts)
    return tuple(int(p) for p in parts) if usable else ()


class HeaderError(Exception):
    """A message whose header cannot be used.

    `header` holds what could be read of it, for the answer; None when nothing could.
    """

    def __init__(
        self, reason: Reason, detail: str, header: Header | None = None, location: str = ""
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail  # a sentence without patient data
        self.header = header
        self.location = location  # e.g. "MSH-12"


def scan(raw: bytes) -> Header:
    """The header of a message. Raises `HeaderError` when there is none that can be used."""
    line = _first_line(raw)
    if line[:3] in _BATCH:
        raise HeaderError(
            Reason.UNSUPPORTED_TYPE,
            "a batch (FHS or BHS) where one message belongs",
            _read(line, batch=True)
            if _delimiters_problem(line[:_DELIMITERS_END]) is None
            else None,
        )
    if line[:3] != b"MSH":
        raise HeaderError(Reason.NOT_HL7, "does not begin with an MSH segment")
    problem = _delimiters_problem(line[:_DELIMITERS_END])
    if problem is not None:
        raise HeaderError(Reason.BAD_HEADER, problem, location="MSH-2")
    header = _read(line)
    if not header.code:
        raise HeaderError(Reason.BAD_HEADER, "MSH-9 (message type) is empty", header, "MSH-9")
    if not header.version:
        raise HeaderError(Reason.BAD_HEADER, "MSH-12 (version) is empty", header, "MSH-12")
    return header


def _first_line(raw: bytes) -> bytes:
    head = raw[:_LONGEST_HEADER]
    if head[:3] != b"MSH":
        _refuse_utf16(head)
        head = head.removeprefix(_UTF8_MARK).lstrip(b"\r\n \t")
    end = head.find(b"\r")
    line = head if end < 0 else head[:end]
    end = line.find(b"\n")
    return line if end < 0 else line[:end]


def _refuse_utf16(head: bytes) -> None:
    bare = head[:6] in (b"M\0S\0H\0", b"\0M\0S\0H")
    if bare or head.startswith(_UTF16_MARKS):
        raise HeaderError(Reason.BAD_CHARSET, "UTF-16, which MLLP cannot carry: send UTF-8")


@lru_cache(64)
def _delimiters_problem(line: bytes) -> str | None:
    """What is wrong with MSH-1 and MSH-2, in words; None when they can be used."""
    if len(line) < 5:
        return "MSH-1 and MSH-2 (delimiters) are missing"
    field = line[3]
    encoding = line[4:].split(line[3:4], 1)[0]
    if not encoding:
        return "MSH-2 (encoding characters) is empty"
    if len(encoding) > 5:
        return "MSH-2 (encoding characters) has more than five characters"
    # `^~\\\\&`, an escape doubled by some program on the way, is common and does no harm here.
    if len(encoding) > 1 and encoding[0] == encoding[1]:
        return "MSH-2 names one character for components and repetitions"
    if any(chr(c).isalnum() or c <= 0x20 or c >= 0x7F for c in (field, *encoding)):
        return "MSH-1 and MSH-2 name a letter, a digit or a blank as delimiter"
    return None


def _read(line: bytes, *, batch: bool = False) -> Header:
    f = line.decode("latin-1").split(line[3:4].decode("latin-1"), _FIELDS)
    f += [""] * (_FIELDS - len(f))
    # f[n] is MSH-(n + 1): MSH-1 is the separator itself. A batch header has the same parties,
    # its control id as FHS-11 or BHS-11, and neither type nor version.
    return Header(
        field=chr(line[3]),
        encoding=f[1],
        application=f[2],
        facility=f[3],
        receiving_application=f[4],
        receiving_facility=f[5],
        time=f[6],
        message_type="" if batch else f[8],
        control_id=f[10] if batch else f[9],
        processing_id="" if batch else f[10],
        version="" if batch else f[11],
        accept="" if batch else f[14],
        application_accept="" if batch else f[15],
        charset="" if batch else f[17],
    )
