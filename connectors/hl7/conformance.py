"""What is wrong with a message, in words: for a person who looks at one in quarantine.

The only place that imports hl7apy, which validates against the published structure of the
message's version. It takes up to seconds for one message and has no part in live traffic.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Final

from connectors.hl7.charset import UnknownCharsetError, codec
from connectors.hl7.header import HeaderError, scan
from connectors.hl7.syntax import ForeignLineError, segments

_NAME = "[A-Z][A-Z0-9_]{0,60}"
_IN = rf"(?P<parent>{_NAME})\.(?P<place>{_NAME})"
_FIELD = re.compile("[A-Z][A-Z0-9]{1,2}_[0-9]+")
_ELEMENT = rf"<\w+ (?P<place>{_NAME})\b.*"

# hl7apy's findings, and how they are told. Field values stay out: they are the patient's.
_FINDINGS: Final = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (rf"Error: Missing required child {_IN}", "is required and missing"),
        (rf"Error: Child limit exceeded {_IN}", "occurs more often than is allowed"),
        (rf"Error: Invalid children detected for {_ELEMENT}", "has parts unknown to its version"),
        (rf"Error: Invalid element found: {_ELEMENT}", "does not belong in this message"),
        (rf"Error: Unknown element found: .*\.{_ELEMENT}", "is unknown to this version"),
        (rf"Warning: Value .* not in table \w+ in element {_IN}", "has a value outside its table"),
        (rf"Warning: Exceeded max length \(\d+\) of {_IN}", "is longer than its version allows"),
    )
)


def explain(raw: bytes) -> list[str]:
    """Sentences without field values, in the order of the message; [] when nothing is wrong."""
    try:
        header = scan(raw)
        charset = codec("", header.charset, header.encoding[1:2])
        text = raw.decode(charset).strip("\ufeff\r\n \t\0")
        lines = segments(text, header.field)
    except HeaderError as error:
        return [f"The header cannot be used: {error.detail}."]
    except UnknownCharsetError:
        return ["MSH-18 names a charset that is not known."]
    except UnicodeError:
        return ["The bytes are not text in the declared charset (UTF-8 where none is declared)."]
    except ForeignLineError as error:
        return [f"Line {error.number} is no segment."]
    lines[0][1] = lines[0][1][:4]  # the truncation character of v2.7 means nothing to hl7apy
    return _findings("\r".join(header.field.join(line) for line in lines))


def _findings(text: str) -> list[str]:
    from hl7apy.exceptions import HL7apyException  # noqa: PLC0415  # slow: only when it is needed
    from hl7apy.parser import parse_message  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="tocsin-conformance-") as folder:
        report = Path(folder) / "report"  # hl7apy reports all findings only to a file
        try:
            parse_message(text).validate(report_file=str(report))
        except HL7apyException as error:
            if not report.exists():
                return [f"hl7apy cannot read it: {_words(error)}."]
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            # Faults of hl7apy on odd messages; their text may hold values of the message.
            return [f"hl7apy cannot judge it: {_words(error)}."]
        return _told(report.read_text().splitlines())


def _told(lines: list[str]) -> list[str]:
    told: dict[str, None] = {}
    for line in lines:
        for pattern, words in _FINDINGS:
            found = pattern.match(line)
            if found is not None:
                parts = found.groupdict()
                told[f"{_place(parts.get('parent') or '', parts['place'])} {words}."] = None
                break
    return list(told)


def _place(parent: str, place: str) -> str:
    """`PID.PID_3` → "PID-3", `PID_3.CX_5` → "PID-3, CX-5", `ADT_A01.PV1` → "PV1"."""
    if not _FIELD.fullmatch(place):
        return place
    shown = place.replace("_", "-")
    return f"{parent.replace('_', '-')}, {shown}" if _FIELD.fullmatch(parent) else shown


def _words(error: Exception) -> str:
    """`InvalidEncodingChars` → "invalid encoding chars"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
