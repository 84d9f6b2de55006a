"""A message with everything hidden that is not known to be harmless, for people who mend feeds.

What may be seen is a list, so that a segment or field that nobody thought of stays hidden. Hidden
text keeps its shape: letters become `x`, digits `9`, delimiters stay, so that what is wrong with
the form of a message can still be seen.
"""

from __future__ import annotations

from typing import Final

# Fields by number that hold neither a person's identifiers nor what somebody wrote about them.
SHOWN: Final[dict[str, frozenset[int]]] = {
    "MSH": frozenset(range(1, 26)),
    "FHS": frozenset(range(1, 13)),
    "BHS": frozenset(range(1, 13)),
    "BTS": frozenset((1,)),
    "FTS": frozenset((1,)),
    "EVN": frozenset((1, 2, 3, 4, 6)),
    "PID": frozenset((1, 8, 30)),
    "PV1": frozenset((1, 2, 3, 4, 6, 10, 14, 36, 44, 45)),
    "ORC": frozenset((1, 5, 9, 15)),
    "OBR": frozenset((1, 4, 5, 7, 8, 14, 15, 22, 24, 25, 27)),
    "OBX": frozenset((1, 2, 3, 4, 6, 7, 8, 11, 14, 19)),
    "SPM": frozenset((1, 4, 17, 18)),
    "DG1": frozenset((1, 2, 3, 5, 6, 21)),
    "PR1": frozenset((1, 2, 3, 5, 6, 20)),
    "AL1": frozenset((1, 2, 3, 4, 6)),
    "IAM": frozenset((1, 2, 3, 4, 6, 11, 13)),
    "PRB": frozenset((1, 2, 3, 7, 9, 14, 16)),
    "RXA": frozenset((1, 2, 3, 4, 5, 6, 7, 20, 21, 22)),
    "RXE": frozenset((2, 3, 4, 5, 6)),
    "RXR": frozenset((1, 2)),
    "TXA": frozenset((1, 2, 3, 4, 6, 17, 18, 19)),
    "DSC": frozenset((1, 2)),
}
# OBX-5 of these types (OBX-2) is a number, a code or a time.
_SHOWN_VALUES: Final = frozenset(("NM", "SN", "CE", "CWE", "CNE", "DT", "TM", "TS", "DTM"))


def masked(raw: bytes) -> str:
    """The message line by line. Never raises, whatever the bytes.

    >>> print(masked(b"MSH|^~\\\\&|LAB\\rPID|1||4711^^^H||Doe^Jane||1950|F\\r"))
    MSH|^~\\&|LAB
    PID|1||9999^^^x||xxx^xxxx||9999|F
    """
    text = raw.decode("utf-8", "replace").replace("\r\n", "\r").replace("\n", "\r")
    lines = text.strip("\r\0\ufeff ").split("\r")
    field = lines[0][3:4] or "|"
    return "\n".join(_line(line, field) for line in lines)


def _line(line: str, field: str) -> str:
    name, *rest = line.split(field)
    shown = SHOWN.get(name)
    if shown is None:
        # A Z-segment, or no segment at all: its name may be anything.
        known = len(name) == 3 and name.isalnum() and name.isupper()
        return field.join([name if known else _hide(name), *map(_hide, rest)])
    first = 2 if name in ("MSH", "FHS", "BHS") else 1
    harmless = name == "OBX" and len(rest) > 1 and rest[1] in _SHOWN_VALUES
    return field.join(
        [
            name,
            *(
                text if number in shown or (harmless and number == 5) else _hide(text)
                for number, text in enumerate(rest, first)
            ),
        ]
    )


def _hide(text: str) -> str:
    return "".join("9" if c.isdigit() else "x" if c.isalpha() else c for c in text)
