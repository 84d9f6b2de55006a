"""A message with one field anew, in its own delimiters and its own charset."""

from __future__ import annotations

import re
from typing import Final

from connectors.hl7.batch import is_batch, split
from connectors.hl7.charset import UnknownCharsetError, codec
from connectors.hl7.header import Header, HeaderError, scan
from streams.errors import UserError

_SETTING: Final = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d{1,6})\])?-(\d{1,6})=(.*)", re.DOTALL)
_HEADERS: Final = ("MSH", "FHS", "BHS")  # their field 1 is the separator itself
_MARK: Final = b"\xef\xbb\xbf"
_MOST_FIELDS: Final = 200


def charset_of(raw: bytes, override: str = "") -> str | None:
    """The Python codec of a message (of a batch: of its first message); None when unknown.

    `override` is the site's charset for the source.
    """
    first = next(iter(split(raw).messages), raw) if is_batch(raw) else raw
    try:
        header: Header | None = scan(first)
    except HeaderError as error:
        header = error.header
    declared, repetition = (header.charset, header.encoding[1:2]) if header else ("", "")
    try:
        return codec(override, declared, repetition)
    except UnknownCharsetError:
        return None


def with_field(raw: bytes, change: str, override: str = "") -> bytes:
    """A message with one field anew, by `SEG[n]-F=value`. Raises `UserError`.

    The value is what stands between two field separators. Every other byte stays, except that
    segments end with a carriage return.
    """
    parsed = _SETTING.fullmatch(change)
    if parsed is None:
        raise UserError(f"{change!r} does not say which field: e.g. 'PID-3=4711^^^HOSP^MR'.")
    name, occurrence, number, value = parsed.groups()
    if "\r" in value or "\n" in value:
        raise UserError("A field cannot hold the end of a line: use --file or --edit.")
    charset = charset_of(raw, override)
    text, as_written = _text(raw.removeprefix(_MARK), charset)
    lines = text.replace("\r\n", "\r").replace("\n", "\r").split("\r")
    separator = _separator(lines)
    places = [
        n for n, line in enumerate(lines) if line.lstrip(" \t\0").startswith(name + separator)
    ]
    at = int(occurrence or 1)
    if not 1 <= at <= len(places):
        raise UserError(f"The message has no {name}[{at}].")
    fields = lines[places[at - 1]].split(separator)
    index = int(number) - (1 if name in _HEADERS else 0)
    if index < 1 or index > _MOST_FIELDS:
        raise UserError(f"{name}-{number} cannot be set.")
    fields += [""] * (index + 1 - len(fields))
    fields[index] = _encoded(value, charset).decode(as_written)
    lines[places[at - 1]] = separator.join(fields)
    mark = _MARK if raw.startswith(_MARK) else b""
    return mark + "\r".join(lines).encode(as_written)


def as_text(raw: bytes, override: str = "") -> str:
    """The message as lines that can be edited; `rewritten` is the way back."""
    text, _ = _text(raw.removeprefix(_MARK), charset_of(raw, override))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def rewritten(raw: bytes, text: str, override: str = "") -> bytes:
    """The edited text in the charset that `raw` is written in. Raises `UserError`."""
    charset = charset_of(raw, override)
    _, as_written = _text(raw.removeprefix(_MARK), charset)
    try:
        body = text.replace("\r\n", "\r").replace("\n", "\r").encode(as_written)
    except UnicodeError:
        raise UserError(f"The message cannot be written: it is not text in {as_written}.") from None
    return (_MARK if raw.startswith(_MARK) else b"") + body


def _text(raw: bytes, charset: str | None) -> tuple[str, str]:
    """The text, and the codec that gives the same bytes back.

    In some charsets a delimiter's byte may be half of a character, so they are decoded; what is
    not text in its charset goes through Latin-1, which takes every byte unchanged.
    """
    try:
        text = raw.decode(charset or "latin-1")
        if charset and text.encode(charset) == raw:
            return text, charset
    except UnicodeError:
        pass
    return raw.decode("latin-1"), "latin-1"


def _encoded(value: str, charset: str | None) -> bytes:
    try:
        return value.encode(charset or "ascii")
    except UnicodeError:
        said = f"the message's charset ({charset})" if charset else "ASCII, and its charset unknown"
        raise UserError(f"The value cannot be written: it is not text in {said}.") from None


def _separator(lines: list[str]) -> str:
    first = next((line.lstrip(" \t\0") for line in lines if line.strip(" \t\0")), "")
    return first[3:4] if first[:3] in _HEADERS and len(first) > 3 else "|"
