r"""Writing HL7 v2 in ER7 form: what the simulator, the cohort replays and the tests send.

Every function gives one segment as text; `join` makes a message of them.

>>> segments = message("ADT^A01", "7", 1767268800.0)
>>> segments += [evn("A01", recorded=1767268800.0), pid([("42", "HOSP", "MR")], family="O|Neil")]
>>> join(segments).split(b"\r")[2]
b'PID|1||42^^^HOSP^MR||O\\F\\Neil'

Times are UTC epoch seconds and are written with their offset. Text is escaped, so no value can
break out of its component.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

Code = tuple[str, str, str]  # code, text, coding system: ("8867-4", "Heart rate", "LN")
PatientId = tuple[str, str, str]  # number, assigning authority, type: ("42", "HOSP", "MR")

DELIMITERS = "|^~\\&"

_ESCAPES = str.maketrans(
    {
        "\\": "\\E\\",
        "|": "\\F\\",
        "^": "\\S\\",
        "~": "\\R\\",
        "&": "\\T\\",
        "\n": "\\.br\\",
        "\r": "\\X0D\\",
    }
)


def escape(text: str) -> str:
    """Text as it may stand in a component; a line end becomes the `.br` formatting command."""
    return text.replace("\r\n", "\n").translate(_ESCAPES)


def timestamp(epoch: float) -> str:
    """A DTM in UTC: seconds, and milliseconds where there are any (`20260101120000.250+0000`)."""
    at = datetime.fromtimestamp(round(epoch, 3), UTC)
    text = f"{at:%Y%m%d%H%M%S}".rjust(14, "0")  # years below 1000 come out short
    return f"{text}.{at.microsecond // 1000:03}+0000" if at.microsecond else f"{text}+0000"


def segment(name: str, fields: dict[int, str]) -> str:
    """A segment of ready-made fields by their number (not MSH: its numbers count differently)."""
    last = max((n for n, value in fields.items() if value), default=0)
    return "|".join([name, *(fields.get(n, "") for n in range(1, last + 1))])


def components(*parts: str) -> str:
    """Escaped components, without empty ones at the end."""
    return "^".join(map(escape, parts)).rstrip("^")


def join(segments: Iterable[str], charset: str = "utf-8") -> bytes:
    """The message as bytes; each segment ends with a carriage return.

    Raises `UnicodeEncodeError` for text that the charset cannot express.
    """
    return "".join(f"{s}\r" for s in segments).encode(charset)


def message(
    type: str,
    control_id: str,
    sent: float,
    source: tuple[str, str] = ("APP", "FAC"),
    version: str = "2.5.1",
) -> list[str]:
    """The beginning of a message: a list with its MSH segment, to append segments to."""
    return [msh(type, control_id, sent, source=source, version=version)]


def msh(
    type: str,
    control_id: str,
    sent: float,
    *,
    source: tuple[str, str] = ("APP", "FAC"),
    target: tuple[str, str] = ("TOCSIN", ""),
    version: str = "2.5.1",
    charset: str = "UNICODE UTF-8",
    accept: str = "",
    application: str = "",
    profile: str = "",
) -> str:
    """MSH. `type` is MSH-9 (`ORU^R01^ORU_R01`), `accept` and `application` are MSH-15 and 16.

    `profile` is MSH-21, ready-made.
    """
    numbered = {
        2: escape(source[0]),
        3: escape(source[1]),
        4: escape(target[0]),
        5: escape(target[1]),
        6: timestamp(sent),
        8: type,
        9: escape(control_id),
        10: "P",
        11: version,
        14: accept,
        15: application,
        17: charset,
        20: profile,
    }
    return segment("MSH", {1: DELIMITERS[1:], **numbered})


def evn(event: str = "", *, recorded: float | None = None, occurred: float | None = None) -> str:
    """EVN: recorded EVN-2, occurred EVN-6."""
    return segment("EVN", {1: event, 2: _time(recorded), 6: _time(occurred)})


def pid(
    identifiers: Sequence[PatientId],
    *,
    family: str = "",
    given: str = "",
    birth_date: str = "",
    sex: str = "",
    account: str = "",
    died_at: float | None = None,
) -> str:
    """PID. `birth_date` is YYYY, YYYYMM or YYYYMMDD; `account` PID-18; a time of death PID-29."""
    fields = {
        1: "1",
        3: "~".join(components(n, "", "", a, t) for n, a, t in identifiers),
        5: components(family, given),
        7: birth_date,
        8: sex,
        18: components(account),
        29: _time(died_at),
        30: "Y" if died_at is not None else "",
    }
    return segment("PID", fields)


def pv1(
    patient_class: str = "I",
    *,
    ward: str = "",
    room: str = "",
    bed: str = "",
    visit: str = "",
    visit_authority: str = "",
    admitted: float | None = None,
    discharged: float | None = None,
) -> str:
    """PV1. Location PV1-3, visit number PV1-19, times of admission PV1-44 and discharge PV1-45."""
    fields = {
        1: "1",
        2: escape(patient_class),
        3: components(ward, room, bed),
        19: components(visit, "", "", visit_authority, "VN" if visit and visit_authority else ""),
        44: _time(admitted),
        45: _time(discharged),
    }
    return segment("PV1", fields)


def obr(
    code: Code,
    *,
    set_id: int = 1,
    placer: str = "",
    filler: str = "",
    authority: str = "",
    observed: float | None = None,
    changed: float | None = None,
    status: str = "F",
) -> str:
    """OBR. Order numbers OBR-2/3, observed OBR-7, status changed OBR-22, status OBR-25."""
    fields = {
        1: str(set_id),
        2: components(placer, authority if placer else ""),
        3: components(filler, authority if filler else ""),
        4: components(*code),
        7: _time(observed),
        22: _time(changed),
        25: status,
    }
    return segment("OBR", fields)


def obx(
    code: Code,
    value: float | str | Code | None,
    *,
    set_id: int = 1,
    type: str = "",
    unit: str = "",
    unit_system: str = "UCUM",
    sub_id: str = "",
    flag: str = "",
    status: str = "F",
    observed: float | None = None,
    comparator: str = "",
) -> str:
    """OBX. Numbers are sent as NM, as SN with a comparator, text as ST, unless `type` says else.

    Text is escaped as one component; a `Code` is sent with its text and system, as CWE.
    `observed` is OBX-14. No value leaves OBX-5 empty (status D, U, X).
    """
    if isinstance(value, tuple):
        kind, shown = "CWE", components(*value)
    elif comparator:
        kind, shown = "SN", components(comparator, _number(value))
    elif isinstance(value, int | float):
        kind, shown = "NM", _number(value)
    else:
        kind, shown = ("ST" if value is not None else ""), escape(value or "")
    fields = {
        1: str(set_id),
        2: type or kind,
        3: components(*code),
        4: escape(sub_id),
        5: shown,
        6: components(unit, unit, unit_system) if unit else "",
        8: escape(flag),
        11: status,
        14: _time(observed),
    }
    return segment("OBX", fields)


def _time(epoch: float | None) -> str:
    return "" if epoch is None else timestamp(epoch)


def _number(value: float | str | None) -> str:
    """The shortest decimal that reads back as the same number; HL7 NM knows no exponent."""
    if not isinstance(value, int | float):
        return "" if value is None else str(value)
    text = repr(value)
    return f"{Decimal(text):f}" if "e" in text else text.removesuffix(".0")
