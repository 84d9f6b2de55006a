"""OBX-5: numbers, censored numbers, codes and text. HL7 v2.5.1 section 7.4.2.5 and chapter 2.A."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Final, NamedTuple

from connectors.hl7.context import RefusedError
from connectors.hl7.syntax import NULL, Syntax
from connectors.hl7.tables import COMPARATORS, VALUE_TYPES, Reading
from connectors.quarantine import Reason

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_CENSORED: Final = re.compile(r"(<=|>=|<|>)?\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))")
_LONGEST_NUMBER: Final = 64  # characters: bounds the cache's memory
_LONGEST_TEXT: Final = 200  # characters of a text that may be a result ("positive", "1+")
_LONGEST_KIND: Final = 40  # characters: "application/octet-stream"; more is not a kind of data


class Value(NamedTuple):
    """A value as a fact holds it; `comparator` makes it a bound."""

    value: float | str | None
    comparator: str = ""


NOTHING: Final = Value(None)


def read(value_type: str, field: str, has_unit: bool, syntax: Syntax) -> Value:
    """The value of a field that is not empty. Raises `RefusedError` (location: a field of OBX).

    An explicit null is None. Repetitions of text are lines of one text.
    """
    if field == NULL:
        return NOTHING
    reading = VALUE_TYPES.get(value_type) or VALUE_TYPES.get(syntax.first(value_type))
    if reading is Reading.NUMBER:
        found = number(field)
        return Value(found) if found is not None else _numbers(field, syntax)
    if reading is Reading.STRUCTURED:
        return _structured(field, syntax)
    if reading is Reading.TEXT:
        return _kept_short(syntax.first(value_type), _text(field, has_unit, syntax))
    if reading is Reading.CODED:
        return _joined([_coded(r, syntax) for r in syntax.repetitions(field)])
    if reading is Reading.AS_SENT:
        return _joined([_as_sent(r, syntax) for r in syntax.repetitions(field)])
    if reading is Reading.MARKER:
        return Value(f"[{_marker(syntax.first(value_type), field, syntax)}]")
    detail = "outside table 0125" if value_type.strip() else "OBX-5 has a value, OBX-2 no type"
    raise RefusedError(Reason.UNKNOWN_VALUE_TYPE, detail, "2")


def number(text: str) -> float | None:
    """An HL7 NM: sign, digits, one decimal point; no exponent, no comma. None for other text."""
    return _number(text) if len(text) <= _LONGEST_NUMBER else None


@lru_cache(maxsize=16_384)
def _number(text: str) -> float | None:
    text = text.strip()
    if _NUMBER.fullmatch(text) is None:
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def _numbers(field: str, syntax: Syntax) -> Value:
    """Several numbers are text: no single one of them is the value."""
    parts = [syntax.read_first(r) for r in syntax.repetitions(field)]
    if len(parts) > 1 and all(number(p) is not None for p in parts):
        return Value("\n".join(parts))
    if len(parts) == 1 and not syntax.components(field)[0].strip():
        raise RefusedError(Reason.NO_VALUE, "OBX-5 has components and no value", "5")
    raise RefusedError(Reason.NOT_A_NUMBER, "an NM whose value is no number", "5")


def _structured(field: str, syntax: Syntax) -> Value:
    """SN: comparator^number^separator^number. A range or a ratio stays text."""
    repetitions = syntax.repetitions(field)
    if len(repetitions) > 1:
        return _joined([_shown(_one_structured(r, syntax)) for r in repetitions])
    return _one_structured(field, syntax)


def _one_structured(repetition: str, syntax: Syntax) -> Value:
    parts = syntax.components(repetition)
    comparator, first, separator, second = (syntax.part(parts, n) for n in (1, 2, 3, 4))
    value = number(first)
    if value is None or (second and number(second) is None):
        raise RefusedError(Reason.NOT_A_NUMBER, "an SN without a number", "5")
    if separator or second:
        return Value(f"{comparator.removeprefix('=')}{first}{separator}{second}")
    if comparator in COMPARATORS:
        return Value(value, comparator)
    if comparator in ("", "="):
        return Value(value)
    if comparator == "<>":
        return Value(f"<>{first}")
    raise RefusedError(Reason.BAD_VALUE, "an SN with a comparator that HL7 does not know", "5")


def _shown(value: Value) -> str:
    return f"{value.comparator}{value.value}"


def _kept_short(value_type: str, read: Value) -> Value:
    """Narrative stays in the wire log: it names people, and no model reads it.

    What facts keep is that there is one, and how long it is. A short text may be a result
    ("negative", "1+"), whatever its type.
    """
    text = read.value
    if not isinstance(text, str):
        return read
    if len(text) > _LONGEST_TEXT:
        return Value(f"[{value_type}, {len(text)} characters]")
    return read


def _text(field: str, has_unit: bool, syntax: Syntax) -> Value:
    """Text. With a unit in OBX-6, text that is a (censored) number is that number.

    Many sites send every result as ST; a unit says that a quantity was meant.
    """
    lines = [syntax.text(r) for r in syntax.repetitions(field)]
    if has_unit and len(lines) == 1 and len(lines[0]) <= _LONGEST_NUMBER:
        quantity = _CENSORED.fullmatch(lines[0])
        value = number(quantity[2]) if quantity else None
        if quantity and value is not None:
            return Value(value, quantity[1] or "")
    return _joined(lines)


def _joined(lines: list[str]) -> Value:
    text = "\n".join(lines).strip()
    if not text:
        raise RefusedError(Reason.NO_VALUE, "OBX-5 has delimiters and no value", "5")
    return Value(text)


def _coded(repetition: str, syntax: Syntax) -> str:
    """The code, else what stands for it: text, alternate code, alternate text, original text."""
    parts = syntax.components(repetition)
    code = syntax.part(parts, 1)
    if code.startswith("HGNC:"):
        return syntax.part(parts, 2) or code  # a gene's number; everybody speaks of its symbol
    return code or next((t for n in (2, 4, 5, 9) if (t := syntax.part(parts, n))), "")


def _as_sent(repetition: str, syntax: Syntax) -> str:
    return "^".join(syntax.text(c) for c in syntax.components(repetition)).rstrip("^")


def _marker(value_type: str, field: str, syntax: Syntax) -> str:
    """What stands for a document, name or address: its type, never its content."""
    if value_type not in ("ED", "RP"):
        return value_type
    parts = syntax.components(field)
    first = 2 if value_type == "ED" else 3  # type and subtype of the data
    kind = "/".join(t for n in (first, first + 1) if (t := syntax.part(parts, n)))
    return f"{value_type} {kind}" if kind and len(kind) <= _LONGEST_KIND else value_type
