"""What an OBX says besides its value and time: read once, looked up from then on."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from connectors.hl7.context import Context, RefusedError
from connectors.hl7.syntax import Code, Syntax
from connectors.hl7.tables import DEFAULT_STATUS, STATUSES, StatusRule, Value
from connectors.identity import SHORT
from connectors.quarantine import Reason

_CODE, _STATUS = 3, 11  # fields


class Shape(NamedTuple):
    """The same in message after message."""

    code: Code
    what: str  # hash of code and sub-id: the second half of the identity
    sub_id: str
    unit: str
    flag: str
    status: str
    rule: StatusRule
    is_number: bool  # an NM of a status that has a value: the usual case


ShapeKey = tuple[str, str, str, str, str, str]  # OBX-2, 3, 4, 6, 8 and 11


def read_shape(
    value_type: str, code: str, sub_id: str, unit: str, flag: str, status: str, context: Context
) -> Shape:
    """From OBX-2, 3, 4, 6, 8 and 11. Raises `RefusedError`, its location a field number."""
    syntax = context.syntax
    found = syntax.code(code)
    if found is None:
        raise RefusedError(Reason.NO_CODE, "OBX-3 has no identifier", str(_CODE))
    found, unit = _meant(found, syntax.first(unit), context)
    status = syntax.first(status) or DEFAULT_STATUS
    rule = STATUSES.get(status)
    sub_id = _sub_id(sub_id, syntax)
    if rule is None:
        raise RefusedError(Reason.UNKNOWN_STATUS, "outside table 0085", str(_STATUS))
    return Shape(
        code=found,
        what=_hashed(found.system, found.code, sub_id),
        sub_id=sub_id,
        unit=unit,
        flag=syntax.first(flag),
        status=status,
        rule=rule,
        is_number=value_type == "NM" and rule.value is Value.REQUIRED,
    )


def _meant(found: Code, unit: str, context: Context) -> tuple[Code, str]:
    """The code and unit that the site's own ones stand for."""
    codes = context.profile.codes
    unit = codes.units.get(unit, unit)
    if found.system == "LN":
        return found, unit
    meaning = codes.meanings.get((found.system, found.code))
    if meaning is None:
        return found, unit
    text = meaning.name or found.text
    return Code(meaning.code, meaning.system, text, meaning.answers), unit or meaning.unit


def _sub_id(field: str, syntax: Syntax) -> str:
    """OBX-4: text, or an OG (v2.8.2): OG-1, else group and sequence."""
    parts = syntax.components(field)
    if len(parts) == 1:
        return syntax.text(field)
    return syntax.part(parts, 1) or ".".join(
        filter(None, (syntax.part(parts, 2), syntax.part(parts, 3)))
    )


def _hashed(*parts: str) -> str:
    return blake2b("\x1f".join(parts).encode(), digest_size=SHORT // 2).hexdigest()
