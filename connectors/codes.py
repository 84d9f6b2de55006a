"""A source's own codes and units, and what they mean: the mapping that a site writes for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

OWN: Final = "99TCS"  # system of Tocsin's own codes, for what no LOINC code says (docs/reference)
NO_ANSWERS: Final[Mapping[str, str]] = MappingProxyType({})


class Meaning(NamedTuple):
    """What a local code stands for."""

    code: str
    system: str  # "LN" for LOINC
    name: str = ""
    unit: str = ""  # UCUM, of values that come without a unit
    answers: Mapping[str, str] = NO_ANSWERS  # as sent, in lower case → as meant


@dataclass(frozen=True, slots=True)
class CodeMap:
    """(system as sent, code) → meaning, and unit as sent → UCUM. Empty: everything as sent."""

    meanings: dict[tuple[str, str], Meaning] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)


NO_CODES: Final = CodeMap()
