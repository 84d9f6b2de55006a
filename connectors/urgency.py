"""Which messages go first when many wait: the rule, computed from the bytes of a message alone.

An HL7 v2 message *is urgent* when

- a result in it is flagged by its sender as critical: OBX-8 holds HH, LL, AA, > or < (table 0078:
  beyond panic limits, very abnormal, off the instrument's scale);
- or its order is to be done at once: TQ1-9, OBR-27.6 or OBR-5 is S or STAT;
- or a vital sign in it, named by a LOINC code, would score three points by itself in NEWS2;
- or it begins a stay, or one anew (ADT A01, A04, A06, A13): an alert is of a stay, which has to be
  known by then.

Being urgent changes nothing about what is stored or scored, only when: so a message that is taken
for urgent wrongly does no harm, and one that is not recognised waits as long as all others, which
`connectors.admission` keeps short. Other delimiters than `|^~` are not read.

Source of the limits: Royal College of Physicians, National Early Warning Score (NEWS) 2, 2017;
saturation by scale 1.
"""

from __future__ import annotations

import re
from typing import Final

_NO_LIMIT: Final = 1e9
# LOINC code → urgent at or below, at or above. Celsius for temperatures.
_LIMITS: Final = {
    **dict.fromkeys((b"9279-1", b"19840-8", b"76270-8"), (8.0, 25.0)),  # respiratory rate
    **dict.fromkeys((b"2708-6", b"59408-5", b"20564-1"), (91.0, _NO_LIMIT)),  # saturation
    **dict.fromkeys((b"8480-6", b"76534-7", b"8459-0", b"76215-3"), (90.0, 220.0)),  # systolic
    **dict.fromkeys((b"8867-4", b"8889-8", b"76282-3"), (40.0, 131.0)),  # heart rate
    **dict.fromkeys((b"8310-5", b"8331-1", b"8329-5"), (35.0, _NO_LIMIT)),  # temperature
}
_END = rb"(?=[|~^\r\n]|$)"
_BEGINS_A_STAY: Final = (b"|ADT^A01", b"|ADT^A04", b"|ADT^A06", b"|ADT^A13")
_HEADER: Final = 300  # bytes in which MSH-9 is looked for
# Literal beginnings: they are found fast, and stand nowhere but at the beginning of a segment. No
# two runs beside one another may take the same bytes: time would grow with the square of a message.
_MARKED: Final = (
    re.compile(
        rb"OBX\|(?:[^|\r\n]*\|){7}(?:[^|\r\n]*~)?(?:HH|LL|AA|[<>])" + _END,
    ),
    re.compile(rb"TQ1\|(?:[^|\r\n]*\|){8}(?:S|STAT)" + _END),
    re.compile(
        rb"OBR\|(?:[^|\r\n]*\|){4}(?:(?:[^|\r\n]*\|){22}(?:[^|^\r\n]*\^){5})?(?:S|STAT)" + _END
    ),
)
_NUMBER: Final = re.compile(
    rb"OBX\|[^|\r\n]*\|NM\|([^|^\r\n]+)(?:\^[^|\r\n]*)?\|[^|\r\n]*\|(\d+(?:\.\d*)?)\|(?!\[degF\])"
)


def is_urgent(raw: bytes) -> bool:
    """Does this message go before others? Never raises for any bytes.

    >>> is_urgent(b"MSH|^~\\\\&|\\rOBX|1|NM|2823-3^K^LN||7.1|mmol/L|3.5-5|HH\\r")
    True
    """
    if not raw.startswith(b"MSH|^~"):
        return False
    if any(raw.find(event, 0, _HEADER) >= 0 for event in _BEGINS_A_STAY):
        return True
    if any(mark.search(raw) for mark in _MARKED):
        return True
    for code, text in _NUMBER.findall(raw):
        limits = _LIMITS.get(code)
        if limits is not None and not limits[0] < float(text) < limits[1]:
            return True
    return False
