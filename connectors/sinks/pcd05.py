"""IHE ACM PCD-05, Report Alert Status (ORA^R41): what became of an alert that was sent as PCD-04.

An alert manager says in it what people did. OBR-3 or OBR-29 names the alert, else MSA-2: the
control id of a PCD-04 message begins with it. A status stands in an OBX, as the profile's word or
as the facet `MDC_ATTR_ALARM_INACTIVATION_STATE`. Where there is none, a PRT names whoever
acknowledged (HL7 v2.8; AAP of table 0912). An ORA^R41 with neither acknowledges that the message
arrived, and says nothing of people.

Sources: IHE PCD TF-2, 3.5 (PCD-05) and 3.7 (PCD-07, whose words an alert manager hands on). The
states of the facet were compared with public PCD-04 senders and parsers, which number it 68483 or,
in older ones, 68167: so it is known by its value, not by its number. The words could not be
compared with a second source; one that is not in the table goes to quarantine, and nothing is
taken for an acknowledgement by mistake.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple

from connectors.hl7.charset import UnknownCharsetError, codec
from connectors.hl7.header import Header, HeaderError, scan
from connectors.hl7.syntax import ForeignLineError, Syntax, segments
from connectors.quarantine import Reason


class Did(StrEnum):
    """What a person did, in the words of `tocsin.feedback`. Members' comments document them."""

    ACKNOWLEDGE = "acknowledge"  # somebody has taken it
    DISMISS = "dismiss"  # somebody says that it is nothing
    COMMENT = "comment"  # somebody declined it: the alert stays open


class Status(NamedTuple):
    """One report about one alert."""

    id: str  # of the report: sender and MSH-10
    alert_id: str
    revision: int | None  # None: the report does not say which
    did: Did | None  # None: a step of delivery (sent, delivered, read)
    said: str  # the status as sent
    who: str  # a person where one is named, otherwise the sending system
    at: str  # MSH-7 as sent


class NotAReportError(Exception):
    """A message that reports on no alert of ours."""

    def __init__(self, reason: Reason, detail: str, location: str = "") -> None:
        super().__init__(detail)
        self.reason, self.detail, self.location = reason, detail, location


# The profile's words for what became of a notification, lower case, without blanks.
_SAID: Final[dict[str, tuple[Did, str] | None]] = {
    "accepted": (Did.ACKNOWLEDGE, ""),
    "acceptedpositive": (Did.ACKNOWLEDGE, "true_positive"),
    "acceptednotrelevant": (Did.DISMISS, "not_relevant"),
    "acceptedfalse": (Did.DISMISS, "false_positive"),
    "alert-acknowledged": (Did.ACKNOWLEDGE, ""),
    "rejected": (Did.COMMENT, "declined"),
    "undeliverable": (Did.COMMENT, "could not be delivered"),
    # Steps on the way, and states of the sound: nobody has decided anything.
    "received": None,
    "delivered": None,
    "read": None,
    "cancelled": None,
    "cancelledother": None,
    "callbackstart": None,
    "callbackend": None,
    "completedreceived": None,
    "enabled": None,
    "audio-paused": None,
    "audio-off": None,
    "alarm-paused": None,
    "alarm-off": None,
}
_ALERT_ID: Final = re.compile(
    r"(?P<alert>[0-9a-f]{24})(?:\.(?P<revision>[1-9][0-9]{0,8}))?(?:\.T[0-9a-f]{19})?"
)
_ACKNOWLEDGING: Final = "AAP"  # table 0912: alert acknowledging provider


def is_report(header: Header) -> bool:
    """May this be a PCD-05 message?"""
    return header.code == "ORA"


def why(status: Status) -> str:
    """The reason that a status gives: `false_positive`; "" for none."""
    known = _SAID.get(_plain(status.said))
    return known[1] if known else ""


def read(raw: bytes) -> list[Status]:
    """The reports in one message; [] for a plain acknowledgement. Raises `NotAReportError`."""
    try:
        header = scan(raw)
        charset = codec("", header.charset, header.encoding[1:2])
        lines = segments(raw.decode(charset), header.field)
    except HeaderError as error:
        raise NotAReportError(error.reason, error.detail, error.location) from None
    except UnknownCharsetError:
        raise NotAReportError(
            Reason.UNSUPPORTED_CHARSET, "MSH-18 names a charset that is not known"
        ) from None
    except UnicodeError:
        raise NotAReportError(
            Reason.BAD_CHARSET, "the bytes are not text in the declared charset"
        ) from None
    except ForeignLineError as error:
        raise NotAReportError(Reason.FOREIGN_LINE, f"line {error.number} is no segment") from None
    if not is_report(header):
        raise NotAReportError(
            Reason.UNSUPPORTED_TYPE, f"{header.kind} is no report on an alert (ORA^R41)", "MSH-9"
        )
    return _reports(header, lines, Syntax(header.field, header.encoding, charset))


def _reports(header: Header, lines: list[list[str]], syntax: Syntax) -> list[Status]:
    reader = _Reader(header, syntax)
    for line in lines:
        reader.take(line)
    if reader.found:
        return reader.found
    if any(line[0] == "OBX" for line in lines):
        raise NotAReportError(Reason.UNKNOWN_STATUS, "no OBX-5 holds a status that is known")
    return reader.acknowledged()


class _Reader:
    """Segment by segment: which alert, who, and what they did."""

    def __init__(self, header: Header, syntax: Syntax) -> None:
        self.found: list[Status] = []
        self._header, self._syntax = header, syntax
        self._system = f"{header.application}|{header.facility}"
        self._alert: tuple[str, int | None] | None = None
        self._who = self._system
        self._acknowledging = ""  # the person of a PRT

    def acknowledged(self) -> list[Status]:
        """What a PRT says where no OBX says anything."""
        if self._acknowledging:
            self._note(Did.ACKNOWLEDGE, _ACKNOWLEDGING, self._acknowledging)
        return self.found

    def take(self, line: list[str]) -> None:
        """One segment."""
        syntax = self._syntax
        if line[0] == "MSA":
            self._alert = _named([syntax.text(_field(line, 2))])
        elif line[0] == "OBR":
            # Whatever MSA answers, this is about what OBR names.
            self._alert, self._who = _alert_of(line, syntax), self._system
        elif line[0] == "PRT":
            self._who = _person(_field(line, 5), syntax) or self._system
            if syntax.part(syntax.components(_field(line, 4)), 1) == _ACKNOWLEDGING:
                self._acknowledging = self._who
        elif line[0] == "OBX" and _plain(said := _value(line, syntax)) in _SAID:
            known = _SAID[_plain(said)]
            who = _person(_field(line, 16), syntax) or self._who
            self._note(known[0] if known else None, said, who)

    def _note(self, did: Did | None, said: str, who: str) -> None:
        if self._alert is None:
            raise NotAReportError(
                Reason.BAD_VALUE, "neither OBR-29, OBR-3 nor MSA-2 names an alert of ours", "OBR-3"
            )
        self.found.append(
            Status(
                id=f"{self._system}|{self._header.control_id}|{len(self.found)}",
                alert_id=self._alert[0],
                revision=self._alert[1],
                did=did,
                said=said,
                who=who,
                at=self._header.time,
            )
        )


def _alert_of(obr: list[str], syntax: Syntax) -> tuple[str, int | None] | None:
    """From OBR-3 (the alert, or one revision of it), else from the parent in OBR-29."""
    parent = syntax.components(_field(obr, 29))
    first = syntax.part(syntax.components(_field(obr, 3)), 1)
    return _named([first, syntax.part(parent, 2), syntax.part(parent, 1)])


def _named(candidates: list[str]) -> tuple[str, int | None] | None:
    for candidate in candidates:
        found = _ALERT_ID.fullmatch(candidate)
        if found is not None:
            revision = found["revision"]
            return found["alert"], int(revision) if revision else None
    return None


def _value(obx: list[str], syntax: Syntax) -> str:
    first = syntax.components(syntax.repetitions(_field(obx, 5))[0])
    return syntax.part(first, 1)


def _person(field: str, syntax: Syntax) -> str:
    """XCN: the number of a person, with the authority where there is one."""
    return syntax.part(syntax.components(syntax.repetitions(field)[0]), 1)


def _field(line: list[str], number: int) -> str:
    return line[number] if number < len(line) else ""


def _plain(text: str) -> str:
    return text.lower().replace(" ", "")
