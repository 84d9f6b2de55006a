"""A source's own codes and units, and what they mean: the mapping that a site writes for itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple


class Meaning(NamedTuple):
    """What a local code stands for."""

    code: str
    system: str  # "LN" for LOINC
    name: str = ""
    unit: str = ""  # UCUM, of values that come without a unit


@dataclass(frozen=True, slots=True)
class CodeMap:
    """(system as sent, code) → meaning, and unit as sent → UCUM. Empty: everything as sent."""

    meanings: dict[tuple[str, str], Meaning] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)


NO_CODES: Final = CodeMap()
