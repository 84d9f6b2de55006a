"""HL7 times (TS, DTM, DT): `YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]` to UTC epoch seconds.

A time of lower precision stands for its beginning. One without an offset is in the message's zone
(`zone_of`); a local time that a change to daylight saving skips is read with the offset before the
change, and one that occurs twice as the first of the two (PEP 495, fold=0). HL7 v2.5.1 section
2.A.22.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

EARLIEST_YEAR: Final = 1900  # years before it are placeholders (0001, 1899), never observations
_PRECISIONS: Final = frozenset({4, 6, 8, 10, 12, 14})
_LONGEST_FRACTION: Final = 9
_LONGEST: Final = 40  # characters with blanks around: bounds the cache's memory
_WIDEST_OFFSET_MINUTES: Final = 14 * 60


class BadTimeError(ValueError):
    """Text that is no time, or a time that does not exist. The text is not in the message."""


def zone_of(sent: str, zone: str) -> str:
    """The zone of a message's times without an offset, `sent` being its MSH-7.

    By the standard the offset of MSH-7 is the default throughout the message. Where `zone`, the one
    that is set, has that offset at that moment, it is used: it knows about daylight saving.
    """
    if len(sent) > _LONGEST:
        return zone
    body, offset = _cut_offset(sent.strip())
    minute = body.partition(".")[0][:12]
    if not offset or len(minute) not in _PRECISIONS or not _is_digits(minute):
        return zone
    try:
        stated, known = _minute(minute, offset, zone), _minute(minute, "", zone)
    except BadTimeError:
        return zone
    return zone if stated == known else offset


def parse(text: str, zone: str) -> float:
    """Epoch seconds of a TS or DTM. Raises `BadTimeError`.

    `zone` is a known IANA name, or an offset (`zone_of`).
    """
    if len(text) > _LONGEST:
        raise BadTimeError("not in the form YYYYMMDDHHMMSS")
    return _parse(text, zone)


@lru_cache(maxsize=32_768)
def _parse(text: str, zone: str) -> float:
    body, offset = _cut_offset(text.strip())
    if not offset and zone[0] in "+-":
        offset = zone
    whole, dot, fraction = body.partition(".")
    if len(whole) not in _PRECISIONS or not _is_digits(whole):
        raise BadTimeError("not in the form YYYYMMDDHHMMSS")
    seconds = 0.0
    if dot:
        if len(whole) != 14 or not _is_digits(fraction) or len(fraction) > _LONGEST_FRACTION:
            raise BadTimeError("a fraction without seconds or digits")
        seconds = float(f"0.{fraction}")
    if len(whole) == 14:
        if whole[12] > "5":
            raise BadTimeError("no such second")
        seconds += int(whole[12:])
    return _minute(whole[:12], offset, zone) + seconds


def parse_date(text: str) -> str:
    """The date part of a TS as sent (`YYYY`, `YYYYMM` or `YYYYMMDD`). Raises `BadTimeError`."""
    date = _cut_offset(text.strip())[0].partition(".")[0][:8]
    if len(date) not in _PRECISIONS or not _is_digits(date):
        raise BadTimeError("not in the form YYYYMMDD")
    _to_datetime(date, UTC)
    return date


def _cut_offset(text: str) -> tuple[str, str]:
    for sign in "+-":
        at = text.find(sign)
        if at >= 0:
            return text[:at], text[at:]
    return text, ""


@lru_cache(maxsize=32_768)
def _minute(digits: str, offset: str, zone: str) -> float:
    """Epoch seconds of a minute: what the many times of one message share."""
    moment = _to_datetime(digits, _to_zone(offset) if offset else ZoneInfo(zone))
    if moment.year < EARLIEST_YEAR:
        raise BadTimeError(f"before {EARLIEST_YEAR}")
    try:
        return moment.timestamp()
    except OverflowError:
        raise BadTimeError("beyond the calendar") from None


def _to_datetime(digits: str, zone: tzinfo) -> datetime:
    parts = [int(digits[:4]), *(int(digits[at : at + 2]) for at in range(4, len(digits), 2))]
    year, month, day, hour, minute = parts + [0, 1, 1, 0, 0][len(parts) :]
    try:
        return datetime(year, month, day, hour, minute, tzinfo=zone)
    except ValueError:
        raise BadTimeError("no such date or time") from None


def _to_zone(offset: str) -> tzinfo:
    digits = offset[1:]
    if len(digits) != 4 or not _is_digits(digits):
        raise BadTimeError("an offset not in the form +ZZZZ")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    if minutes > _WIDEST_OFFSET_MINUTES or int(digits[2:]) > 59:
        raise BadTimeError("no such offset")
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


def _is_digits(text: str) -> bool:
    return text.isdecimal() and text.isascii()
