"""A hospital's number of a patient in an address: `authority|type|number`."""

from __future__ import annotations

import re
from typing import Final

from connectors.identity import Identifier

PATTERN: Final = r"^[^|\x00-\x20]+\|[^|\x00-\x20]+\|[^|\x00-\x1f]*[^|\x00-\x20]$"
_PATTERN: Final = re.compile(PATTERN)


class IdentifierError(ValueError):
    """A text that is no identifier; says how one is written."""


def parse(text: str) -> Identifier:
    """`HOSP|MR|4711`. Raises `IdentifierError`."""
    if not _PATTERN.match(text):
        raise IdentifierError("A patient is named as authority|type|number, e.g. HOSP|MR|4711.")
    authority, kind, number = (part.strip() for part in text.split("|"))
    return Identifier(authority, kind, number)
