"""What a specimen is of: a tumour's own tissue can lack a variant, any other says nothing of it.

A tumour's tissue holds inherited variants too, so it tells whose material was looked at, and not
where a variant that was found comes from.

Source: HL7 table 0487 and SNOMED CT, as mCODE and the genomics-reporting guide use them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from connectors.facts import Presence

TUMOUR: Final = frozenset(("TUMOR", "258435002"))  # HL7 table 0487; SNOMED CT, tumour tissue
SOMATIC: Final = "somatic"


def source_of(specimens: Iterable[Iterable[str]]) -> str:
    """The source class of specimens by the codes of their types; "" where one is something else."""
    types = [frozenset(codes) for codes in specimens]
    return SOMATIC if types and all(codes & TUMOUR for codes in types) else ""


def source_class(said: str, presence: Presence, of_specimens: str) -> str:
    """What is said, else for what was not found the class of the specimens."""
    return said or ("" if presence is Presence.PRESENT else of_specimens)
