"""Which answers a message gets, and how they are written (HL7 v2 chapter 2, sections 2.9 and 2.13).

| MSH-15 | MSH-16 | accept ack | application ack |
|---|---|---|---|
| blank | blank | – | always (original mode) |
| AL, SU on success, ER on error | | CA, CR | |
| | AL, SU on success, ER on error | | AA, AR |

An accept ack says that the message is in safe storage. Tocsin's application ack says nothing more
than that: what a message means is found out later, and what cannot be understood goes to
quarantine and is not sent back. So both go out together, after the broker has confirmed.

A source whose header does not say what it waits for gets another `Mode` in the site file.
"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from connectors.clock import Clock
from connectors.hl7.header import ENCODING, FIELD, Header
from connectors.quarantine import Reason

NAME = "TOCSIN"  # who answers, where the message names no receiver
_VERSION = "2.5.1"  # of an answer to something that names none
_VERSION_NUMBER = (2, 5, 1)

# Table 0155. Anything else in MSH-15 or MSH-16 is read as AL: better one answer too many.
_NEVER, _SUCCESS, _ERROR = "NE", "SU", "ER"


class Mode(StrEnum):
    """Which answers a source gets. Each member's comment is its documentation."""

    MESSAGE = "message"  # as each message's MSH-15 and MSH-16 ask
    ALWAYS = "always"  # an application ack at once (AA, AE or AR), whatever the message asks
    COMMIT = "commit"  # an accept ack alone (CA, CE or CR)
    BOTH = "both"  # an accept ack, then an application ack
    ERRORS = "errors"  # an application ack (AE, AR) where a message is refused, otherwise none
    NEVER = "never"  # none


# What a mode puts in place of MSH-15 and MSH-16.
_INSTEAD: Final[dict[Mode, tuple[str, str]]] = {
    Mode.ALWAYS: ("", ""),
    Mode.COMMIT: ("AL", "NE"),
    Mode.BOTH: ("AL", "AL"),
    Mode.ERRORS: ("NE", "ER"),
    Mode.NEVER: ("NE", "NE"),
}

_NO_HEADER = Header(FIELD, ENCODING, "", "", "", "", "", "", "", "", "", "", "", "")


class Refusal(NamedTuple):
    """Why a message is refused, as ERR says it."""

    code: str  # table 0357
    meaning: str  # the code in words
    location: tuple[str, ...]  # ERL: segment, sequence, field
    sentence: str  # for people, without patient data
    # Table 0008: R, rejected as it stands (AR, CR); E, an error on this side (AE, CE)
    letter: Literal["R", "E"] = "R"


PAUSED: Final = Refusal(
    "207",
    "Application internal error",
    ("MSH", "1", "3"),
    "This source is paused: too many of its messages could not be understood. Keep this message "
    "and send it again later.",
    "E",
)

# Reason → table 0357 code and its meaning. 100 is "segment sequence error: message segments not in
# the proper order, or required segments missing".
_CODES: dict[Reason, tuple[str, str]] = {
    Reason.NOT_HL7: ("100", "Segment sequence error"),
    Reason.EMPTY_FRAME: ("100", "Segment sequence error"),
    Reason.BAD_HEADER: ("101", "Required field missing"),
    Reason.BAD_CHARSET: ("102", "Data type error"),
    Reason.UNSUPPORTED_TYPE: ("200", "Unsupported message type"),
}
_OTHERWISE = ("207", "Application internal error")


def refusal(reason: Reason, sentence: str, location: str = "") -> Refusal:
    """A reason of the quarantine in the words of HL7; the location as in `MSH-12`."""
    code, meaning = _CODES.get(reason, _OTHERWISE)
    number = location.partition("-")[2]
    return Refusal(code, meaning, ("MSH", "1", number) if number else ("MSH", "1"), sentence)


def codes(
    header: Header | None,
    *,
    accepted: bool,
    mode: Mode = Mode.MESSAGE,
    letter: Literal["R", "E"] = "R",
) -> tuple[str, ...]:
    """The acknowledgement codes (table 0008) that go out, in order; () for silence.

    `letter` is that of the refusal. A refused accept ack is the last word: no application ack
    follows it.
    """
    if header is not None and header.is_acknowledgement:
        return ()
    asked = ("", "") if header is None else (header.accept, header.application_accept)
    accept, application = (a.strip().upper() for a in _INSTEAD.get(mode, asked))
    second = "A" if accepted else letter
    if not accept and not application:
        return ("A" + second,)
    out = []
    if _asked(accept, accepted):
        out.append("C" + second)
    if _asked(application, accepted) and (accepted or not out):
        out.append("A" + second)
    return tuple(out)


def _asked(condition: str, accepted: bool) -> bool:
    if condition in ("", _NEVER):  # in enhanced mode, a blank beside a value means never
        return False
    if condition in (_SUCCESS, _ERROR):
        return accepted == (condition == _SUCCESS)
    return True


class Acknowledger:
    """Writes answers. Equal clocks and equal starts give equal bytes."""

    def __init__(self, start: str, clock: Clock) -> None:
        """`start` names this run of the process: with a count it makes MSH-10 of each answer."""
        self._start = start
        self._clock = clock
        self._count = itertools.count(1)
        self._second, self._text = -1, ""  # MSH-7 is written once a second

    def write(self, code: str, header: Header | None, refused: Refusal | None = None) -> bytes:
        """An answer as a message, in the sender's delimiters and version."""
        h = header or _NO_HEADER
        field, component = h.field, h.component
        version = h.version or _VERSION
        application = h.receiving_application or ("" if header else NAME)
        msh = field.join(
            (
                f"MSH{field}{h.encoding}",
                application,
                h.receiving_facility,
                h.application,
                h.facility,
                self._now(),
                "",
                _message_type(h.event, h.version_number or _VERSION_NUMBER, component),
                f"{self._start}{next(self._count):X}",
                h.processing_id or "P",
                version,
            )
        )
        msa = f"MSA{field}{code}{field}{h.control_id}"
        if refused is None:
            return _bytes(f"{msh}\r{msa}\r")
        if _before(h, 2, 7):  # MSA-3 is withdrawn in v2.7
            msa += field + _escape(refused.sentence, h)
        return _bytes(f"{msh}\r{msa}\r{_err(h, refused)}\r")

    def _now(self) -> str:
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).strftime("%Y%m%d%H%M%S+0000")
        return self._text


def _bytes(text: str) -> bytes:
    """Latin-1, as it was read; an echoed 0x1C would end the answer's own frame."""
    return text.replace("\x1c", "").encode("latin-1", "replace")


@lru_cache(512)
def _message_type(event: str, version: tuple[int, ...], component: str) -> str:
    """MSH-9: the event came with v2.3, the structure with v2.3.1."""
    if not event or version < (2, 3):
        return "ACK"
    return component.join(("ACK", event) if version < (2, 3, 1) else ("ACK", event, "ACK"))


def _err(h: Header, refused: Refusal) -> str:
    """ERR: one field with code and location before v2.5, fields of their own from then on."""
    component = h.component
    sub = (h.encoding[3:4] or ENCODING[3]) if len(h.encoding) != 1 else " "
    sentence = _escape(refused.sentence, h)
    if _before(h, 2, 5):  # ELD: segment, sequence, field, code (a CE, with sub-components)
        where = [*refused.location, "", ""][:3]
        coded = sub.join((refused.code, _escape(refused.meaning, h), "HL70357"))
        return h.field.join(("ERR", component.join((*where, coded))))
    coded = component.join((refused.code, _escape(refused.meaning, h), "HL70357"))
    location = component.join(refused.location)
    return h.field.join(("ERR", "", location, coded, "E", "", "", "", sentence))


def _before(h: Header, *version: int) -> bool:
    """Is the message of an older version? One that names none is answered as v2.5.1."""
    return (h.version_number or _VERSION_NUMBER) < version


def _escape(text: str, h: Header) -> str:
    """Our own words may hold a character that this sender uses as a delimiter."""
    return "".join(" " if c == h.field or c in h.encoding else c for c in text)
