"""Which charset a message is in: the site's override, else MSH-18 (HL7 table 0211), else UTF-8.

Blank means ASCII by the standard, but sites send undeclared UTF-8 or Latin-1. UTF-8 contains
ASCII and refuses nearly all text in other charsets, so blank is read as strict UTF-8 and anything
else is refused, not guessed: no character is ever replaced. A site that sends undeclared Latin-1
is given an override.
"""

from __future__ import annotations

import codecs
from functools import lru_cache
from typing import Final

DEFAULT: Final = "utf-8"
_JAPANESE: Final = "iso2022_jp_ext"
_ASCII: Final = ("ascii", DEFAULT)

# HL7 v2.8.2 table 0211, and spellings of the same that are sent in practice. Encodings in which
# a line end is not the byte 0x0D cannot be carried by MLLP and are not here (UTF-16, UTF-32).
CODECS: Final[dict[str, str]] = {
    "": DEFAULT,
    "ASCII": "ascii",
    "US-ASCII": "ascii",
    "ISO IR6": "ascii",
    **{f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
    **{f"ISO-8859-{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
    "UNICODE UTF-8": "utf-8",
    "UNICODE": "utf-8",  # "any encoding of Unicode", withdrawn in v2.5; over MLLP only this one
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "ISO IR14": _JAPANESE,
    "ISO IR87": _JAPANESE,
    "ISO IR159": _JAPANESE,
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
}


class UnknownCharsetError(ValueError):
    """A charset that is not known, or that MLLP cannot carry."""


@lru_cache(maxsize=64)
def codec(override: str, declared: str, repetition: str) -> str:
    """The name of the Python codec. Of a repeated MSH-18 the first is the message's default.

    ASCII with Japanese sets beside it (`~ISO IR87`, as JAHIS has it) is one codec, which reads the
    escape sequences that switch between them.

    Raises `UnknownCharsetError`. `override` may also be a Python codec name.
    """
    sets = [name.strip() for name in declared.split(repetition or "\0")]
    named = override.strip() or sets[0]
    found = CODECS.get(named.upper())
    if not override and found in _ASCII:
        found = next((_JAPANESE for n in sets if CODECS.get(n.upper()) == _JAPANESE), found)
    if found is None and override:
        try:
            found = codecs.lookup(named).name
        except LookupError:
            found = None
    if found is None or found.startswith(("utf-16", "utf-32")):
        raise UnknownCharsetError(named)
    return found
