"""Values in canonical units, or the reason why not.

Conversion is UCUM by pint and ucumvert, reduced to one affine map for each pair of variable and
unit and remembered, so that the hot path multiplies and adds. The table below holds spellings that
hospitals send and UCUM does not know; anything else that is not UCUM is refused.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, NamedTuple

from connectors.facts import Observation
from models.variables import Variable


class Rejection(StrEnum):
    """Why a value is not used. Each member's comment is its documentation."""

    UNIT_MISSING = "unit_missing"  # a number without a unit, where several could be meant
    UNIT_UNKNOWN = "unit_unknown"  # not UCUM and not a known spelling
    UNIT_INCOMPATIBLE = "unit_incompatible"  # a unit of another kind of quantity
    IMPLAUSIBLE = "implausible"  # outside the variable's plausible range
    NOT_A_NUMBER = "not_a_number"  # text, or not finite, where a number is expected
    UNKNOWN_ANSWER = "unknown_answer"  # a coded answer that the variable does not list
    CONTRADICTION = "contradiction"  # another answer of the same time says another thing


class Affine(NamedTuple):
    """canonical = factor * value + offset."""

    factor: float
    offset: float


# Keys without blanks, in lower case.
_SPELLINGS = {
    "bpm": "/min",
    "beats/min": "/min",
    "breaths/min": "/min",
    "br/min": "/min",
    "insp/min": "/min",
    "1/min": "/min",
    "min-1": "/min",
    "mmhg": "mm[Hg]",
    "torr": "mm[Hg]",
    "mm(hg)": "mm[Hg]",
    "c": "Cel",
    "degc": "Cel",
    "deg.c": "Cel",
    "°c": "Cel",
    "celsius": "Cel",
    "f": "[degF]",
    "degf": "[degF]",
    "deg.f": "[degF]",
    "°f": "[degF]",
    "fahrenheit": "[degF]",
    "percent": "%",
    "pct": "%",
    "k/ul": "10*3/uL",
    "k/cumm": "10*3/uL",
    "thou/ul": "10*3/uL",
    "thous/ul": "10*3/uL",
    "thou/mcl": "10*3/uL",
    "x10e3/ul": "10*3/uL",
    "10e3/ul": "10*3/uL",
    "x10^3/ul": "10*3/uL",
    "10^3/ul": "10*3/uL",
    "x10*3/ul": "10*3/uL",
    "10^9/l": "10*9/L",
    "x10^9/l": "10*9/L",
    "x10e9/l": "10*9/L",
    "10e9/l": "10*9/L",
    "g/l": "g/L",
    "gpt/l": "10*9/L",
    "iu/l": "U/L",
    "[iu]/l": "U/L",
    "u/l": "U/L",
    "units/l": "U/L",
    "meq/l": "meq/L",
    "mval/l": "meq/L",
    "mmol/l": "mmol/L",
    "umol/l": "umol/L",
    "µmol/l": "umol/L",
    "μmol/l": "umol/L",
    "mcmol/l": "umol/L",
    "mg/dl": "mg/dL",
    "mg%": "mg/dL",
    "g/dl": "g/dL",
    "gm/dl": "g/dL",
    "g%": "g/dL",
    "ng/ml": "ng/mL",
    "ng/l": "ng/L",
    "pg/ml": "pg/mL",
    "mcg/l": "ug/L",
    "µg/l": "ug/L",
    "μg/l": "ug/L",
    "cc": "mL",
    "ml": "mL",
    "kgs": "kg",
    "lb": "[lb_av]",
    "lbs": "[lb_av]",
    "inch": "[in_i]",
    "inches": "[in_i]",
    "in": "[in_i]",
    "kpa": "kPa",
    "points": "{score}",
    "score": "{score}",
    "ph": "[pH]",
    "phunits": "[pH]",
    "units": "1",
}
# Of counts alone: giga and tera per litre, which look like grams and tonnes.
_COUNTS = {"g/l": "10*9/L", "t/l": "10*12/L"}
_DIMENSIONLESS = frozenset({"1", "[pH]"})
_SEPARATORS = re.compile(
    r"(?<=[^\W\d_])[\s_/\u2010-\u2014-]+(?=\w)|(?<=\w)[\s_/\u2010-\u2014-]+(?=[^\W\d_])"
)
_NUMBER = re.compile(r"[0-9]{1,5}(?:[.,][0-9]*)?")  # more digits are a code of SNOMED CT
_WHOLE = re.compile(r"^([0-9]+)\.0+$")
_LONGEST = 64  # characters of a unit: longer text is none
# What the libraries raise for text that is nearly a unit: a bare annotation, `10*400`, `cph`.
_BUGS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
_ANNOTATION = re.compile(r"\{[^{}]*\}")  # UCUM: text in braces alone means the unit one


@cache
def _registry() -> Any:
    # Takes about a second: only a unit that is not a variable's own brings it in, once.
    from ucumvert import PintUcumRegistry  # noqa: PLC0415

    return PintUcumRegistry()


def warm() -> None:
    """Load the unit registry now, so that no message waits for it."""
    _registry()


@lru_cache(maxsize=4_096)
def affine(variable: Variable, unit: str) -> Affine | Rejection:
    """How a value in `unit` (as sent) becomes the variable's canonical unit."""
    text = unit.strip()
    if not text:
        return Affine(1.0, 0.0) if variable.unit_optional else Rejection.UNIT_MISSING
    spelling = text.replace(" ", "").lower()
    ucum = _SPELLINGS.get(spelling, text)
    if variable.unit == "10*3/uL":
        ucum = _COUNTS.get(spelling, ucum)
    if ucum == variable.unit:
        return Affine(1.0, 0.0)
    if variable.unit_optional:
        same = ucum in _DIMENSIONLESS or _ANNOTATION.fullmatch(ucum) is not None
        return Affine(1.0, 0.0) if same else Rejection.UNIT_INCOMPATIBLE
    return _by_pint(variable, "1" if _ANNOTATION.fullmatch(ucum) else ucum)


def _by_pint(variable: Variable, ucum: str) -> Affine | Rejection:
    import pint  # noqa: PLC0415 - slow to import, see `_registry`
    from lark.exceptions import LarkError  # noqa: PLC0415 - the UCUM parser's own errors
    from ucumvert.parser import InvalidUcumError  # noqa: PLC0415

    registry = _registry()
    if len(ucum) > _LONGEST:
        return Rejection.UNIT_UNKNOWN
    try:
        given = registry.from_ucum(ucum).units
    except (LarkError, InvalidUcumError, pint.PintError, *_BUGS):
        return Rejection.UNIT_UNKNOWN
    wanted = registry.from_ucum(variable.unit).units
    try:
        zero, one = (_convert(registry, variable, x, given, wanted) for x in (0.0, 1.0))
    except pint.PintError:
        return Rejection.UNIT_INCOMPATIBLE
    except _BUGS:
        return Rejection.UNIT_UNKNOWN
    if not 0 < abs(one - zero) < math.inf:
        return Rejection.UNIT_UNKNOWN
    if "meq" in ucum or "eq/" in ucum:
        one = zero + (one - zero) / variable.valence
    # Twelve digits: one part in 10^12 is below any assay, and 1 mmol/L per mmol/L stays exactly 1.
    return Affine(_rounded(one - zero), _rounded(zero))


def _convert(registry: Any, variable: Variable, x: float, given: Any, wanted: Any) -> float:
    quantity = registry.Quantity(x, given)
    per_mole = {"[substance]": 1}
    mass = registry.Quantity(variable.molar_mass or 1.0, "gram / mole")
    if variable.molar_mass and not quantity.is_compatible_with(wanted):
        has_moles = quantity.dimensionality.get("[substance]", 0) == per_mole["[substance]"]
        quantity = quantity * mass if has_moles else quantity / mass
    return float(quantity.to(wanted).magnitude)


def _rounded(x: float) -> float:
    return float(f"{x:.12g}")


def _other_count(variable: Variable, observation: Observation) -> Rejection | None:
    """Why a number is not of the kind that the variable's answers count; None where it is."""
    value, unit = observation.value, observation.unit.strip().casefold()
    is_number = isinstance(value, float | int) or _NUMBER.fullmatch((value or "").strip())
    if not variable.counted or not is_number or unit in variable.counted:
        return None
    return Rejection.UNIT_INCOMPATIBLE if unit else Rejection.UNIT_MISSING


def canonical(variable: Variable, observation: Observation) -> float | Rejection:
    """The observation's value in the variable's unit, or why it cannot be used.

    A censored value (`<0.01`) counts as its bound: that is the value nearest to the truth that the
    laboratory vouches for.
    """
    value = observation.value
    if variable.answers:
        reason = _other_count(variable, observation)
        return _answer(variable, value) if reason is None else reason
    if not isinstance(value, float | int) or not math.isfinite(value):
        return Rejection.NOT_A_NUMBER
    how = affine(variable, observation.unit)
    if isinstance(how, Rejection):
        return how
    number = how.factor * value + how.offset
    return number if variable.low <= number <= variable.high else Rejection.IMPLAUSIBLE


def _answer(variable: Variable, value: float | str | None) -> float | Rejection:
    text = f"{value:g}" if isinstance(value, float | int) else plain(value or "")
    return _spelled(variable.answers).get(text, Rejection.UNKNOWN_ANSWER)


# By identity: a hundred spellings are not hashed for each value.
_tables: dict[int, tuple[tuple[tuple[str, float], ...], dict[str, float]]] = {}


def _spelled(answers: tuple[tuple[str, float], ...]) -> dict[str, float]:
    """The number of each spelling."""
    kept = _tables.get(id(answers))
    if kept is None:
        table = {plain(text): number for text, number in reversed(answers)}
        kept = _tables[id(answers)] = answers, table  # held, so that its id stays its own
    return kept[1]


@lru_cache(maxsize=4_096)
def plain(text: str) -> str:
    """`Wild-type`, `wild type` and `WILDTYPE` are one answer; `2-3` and `23` are two.

    Blanks, hyphens and slashes count for nothing beside a letter; nor do zeros after the point.
    """
    return _WHOLE.sub(r"\1", _SEPARATORS.sub("", text.strip().casefold()))
