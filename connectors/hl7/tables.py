"""HL7 tables as data: what a result status means, and how a value type is read."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple


class Value(Enum):
    """Does a status come with a value in OBX-5?"""

    REQUIRED = "required"
    OPTIONAL = "optional"
    IGNORED = "ignored"


class StatusRule(NamedTuple):
    """How an observation of one status ranks (`connectors.facts.Rank`) and what it does."""

    final: int
    correction: int
    removes: bool
    value: Value


_PRELIMINARY = StatusRule(0, 0, False, Value.REQUIRED)
_PENDING = StatusRule(0, 0, False, Value.OPTIONAL)
_FINAL = StatusRule(1, 0, False, Value.REQUIRED)
_CONFIRMED = StatusRule(1, 0, False, Value.OPTIONAL)
_CORRECTED = StatusRule(1, 1, False, Value.REQUIRED)
_REMOVED = StatusRule(1, 1, True, Value.IGNORED)

# HL7 v2.8.2 table 0085, observation result status.
STATUSES: Final[dict[str, StatusRule]] = {
    "A": _CORRECTED,  # amended: another interpretation, replaces
    "B": _FINAL,  # appended report: final, with more information
    "C": _CORRECTED,  # corrected: replaces a final result
    "D": _REMOVED,  # deletes the observation
    "F": _FINAL,  # final
    "I": _PENDING,  # specimen in the laboratory, result pending
    "N": _PENDING,  # not asked
    "O": _PENDING,  # order detail only, no result
    "P": _PRELIMINARY,  # preliminary
    "R": _PRELIMINARY,  # entered, not verified
    "S": _PRELIMINARY,  # partial
    "U": _CONFIRMED,  # the preliminary result is final; with a value it is an F
    "V": _CONFIRMED,  # verified without change; without a value it does what U does
    "W": _REMOVED,  # was posted to the wrong patient
    "X": StatusRule(1, 0, False, Value.IGNORED),  # cannot be obtained: final, no value
}

# HL7 table 0123 (OBR-25) where OBX-11 is blank. Older versions of the standard gave OBX-11 the
# default F (v2.5.1 section 7.4.2.11); OBR-25 overrides that only where it is clear.
STATUS_OF_ORDER: Final[dict[str, str]] = {
    "A": "P",  # some results available
    "C": "C",
    "P": "P",
    "R": "R",  # stored, not verified
    "X": "X",
}
DEFAULT_STATUS: Final = "F"


class Reading(Enum):
    """How OBX-5 is read."""

    NUMBER = "number"
    STRUCTURED = "structured number"
    CODED = "code"
    TEXT = "text"
    AS_SENT = "as sent"  # times, ranges, arrays: text with its components
    MARKER = "marker"  # documents, names, addresses: a fact says that there is one, no more


# HL7 tables 0125 of v2.1 to v2.8.2: value types.
VALUE_TYPES: Final[dict[str, Reading]] = {
    "NM": Reading.NUMBER,
    "SN": Reading.STRUCTURED,
    **dict.fromkeys(("CE", "CWE", "CNE", "CF"), Reading.CODED),
    **dict.fromkeys(("ST", "TX", "FT", "ID", "IS", "SI"), Reading.TEXT),
    **dict.fromkeys(
        ("DT", "TM", "TS", "DTM", "DR", "GTS", "NR", "NA", "MA", "VR", "MO", "CP"),
        Reading.AS_SENT,
    ),
    **dict.fromkeys(("ED", "RP"), Reading.MARKER),
    **dict.fromkeys(
        (
            "AD",
            "CK",
            "CN",
            "CX",
            "DLN",
            "EI",
            "HD",
            "PL",
            "PN",
            "PPN",
            "TN",
            "XAD",
            "XCN",
            "XON",
            "XPN",
            "XTN",
        ),
        Reading.MARKER,
    ),
}

COMPARATORS: Final = frozenset({"<", ">", "<=", ">="})
