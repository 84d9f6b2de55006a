"""HGVS descriptions in one spelling, so that two laboratories' words for a variant are equal.

After the HGVS nomenclature (version 21). Nothing is projected or shifted: that needs the reference
sequence. What two spellings of one description differ in is taken away: spaces, a gene in brackets
behind the reference, brackets around a predicted protein change, one-letter amino acids, `*` and
`X` for a stop, bases that `del`, `dup`, `inv` and `=` need not state, capitals. The version of the
reference stays. Where a field is of one kind only, `kind` stands for a missing `p.` or `c.`.

>>> normalised("NM_000546.6(TP53):c.215_216delCA")
'NM_000546.6:c.215_216del'
>>> normalised("p.(R97Pfs*23)")
'p.Arg97ProfsTer23'
>>> normalised("IDH1 R132H", "p")
'IDH1:p.Arg132His'
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

LONGEST: Final = 2_000  # characters that are looked at; longer text is kept as it is
_THREE: Final = {
    "A": "Ala", "B": "Asx", "C": "Cys", "D": "Asp", "E": "Glu", "F": "Phe", "G": "Gly",
    "H": "His", "I": "Ile", "K": "Lys", "L": "Leu", "M": "Met", "N": "Asn", "O": "Pyl",
    "P": "Pro", "Q": "Gln", "R": "Arg", "S": "Ser", "T": "Thr", "U": "Sec", "V": "Val",
    "W": "Trp", "Y": "Tyr", "Z": "Glx", "*": "Ter", "X": "Ter",
}  # fmt: skip

_ACCESSION = re.compile(r"(?:[A-Z]{2}_|LRG_|ENS[A-Z]*[GTP])\d+\S*", re.IGNORECASE)
_WHOLE = re.compile(
    r"(?:(?P<ref>[^:()]+)(?:\((?P<inner>[^()]+)\))?:)?(?P<kind>[cgmnp])\.(?P<what>.+)",
    re.IGNORECASE,
)
_SYMBOL = re.compile(r"[A-Z][A-Z0-9-]+")
# Both descriptions in one field, as knowledge bases write a variant's name.
_BOTH = re.compile(r"(.*\b[cgn]\.[^\s(,;]+)[\s,;]*(?:\((p\.\S+)\)|[\s,;](p\.\S+))\s*")
_POINT = r"(?:[-*]?\d+(?:[+-](?:\d+|\?))?|\?)"
_PLACE = rf"(?:{_POINT}|\({_POINT}_{_POINT}\))"
_BASES = r"[ACGTUNRYSWKMBDHV]+"
_STATED = rf"(?:{_BASES}|\d+)?"
_NUCLEOTIDE = re.compile(
    rf"(?P<from>{_PLACE})(?:_(?P<to>{_PLACE}))?"
    rf"(?:(?P<old>{_BASES})>(?P<new>{_BASES})"
    rf"|del(?P<gone>{_STATED})ins(?P<instead>{_BASES}|\d+)"
    rf"|(?P<plain>del|dup|inv){_STATED}"
    rf"|ins(?P<added>{_BASES}|\d+)"
    rf"|(?P<same>{_BASES})?=)"
)
_WORDS: Final = re.compile(r"delins|del|dup|ins|inv", re.IGNORECASE)
_AMINO = r"(?:Xaa|" + "|".join(sorted(set(_THREE.values()))) + r"|[A-Z*])"
_AMINOS = rf"(?:{_AMINO})+"
_NAMES = re.compile("|".join(("Xaa", *sorted(set(_THREE.values())))), re.IGNORECASE)
_SMALL = re.compile("DELINS|DEL|DUP|INS|EXT|FS")
_PROTEIN = re.compile(
    rf"(?P<one>{_AMINO})(?P<at>\d+)(?:_(?P<other>{_AMINO})(?P<until>\d+))?"
    rf"(?:(?P<word>delins|ins)(?P<seq>{_AMINOS})|(?P<plain>del|dup)(?:{_AMINOS}|\d+)?"
    rf"|(?P<now>{_AMINO})?fs(?:(?:Ter|\*|X)(?P<stop>\d+|\?))?"
    rf"|(?P<longer>{_AMINO})?ext(?:(?P<tail>Ter|\*|X)?(?P<by>-?\d+|\?))"
    rf"|(?P<new>{_AMINO}|=|\?))"
)
_WITHOUT_PLACE: Final = frozenset(("=", "?", "0", "0?"))


def normalised(text: str, kind: str = "") -> str:
    """A description in one spelling; text that is none, as it came but for spaces around it."""
    return _parsed(text, kind) or text.strip()


def parted(text: str) -> tuple[str, str]:
    """The description of the DNA, and one of the protein where it stands behind it, else "".

    >>> parted("NM_005896.4(IDH1):c.395G>A (p.Arg132His)")
    ('NM_005896.4(IDH1):c.395G>A', 'p.Arg132His')
    """
    found = _BOTH.fullmatch(text) if len(text) <= LONGEST else None
    dna, protein = (found[1], found[2] or found[3]) if found else (text, "")
    return (dna, protein) if is_hgvs(dna) and is_hgvs(protein) else (text, "")


def is_hgvs(text: str) -> bool:
    """Whether `normalised` understands it (alleles in square brackets and repeats are not)."""
    return _parsed(text) is not None


def reference_of(text: str) -> str:
    """The reference sequence with its version: `NM_000546.6`; "" where none is named."""
    reference, colon, _ = normalised(text).partition(":")
    return reference if colon else ""


def _parsed(text: str, kind: str = "") -> str | None:
    if len(text) > LONGEST:
        return None
    return next((p for one in _ways(text, kind) if (p := _read(one)) is not None), None)


def _ways(text: str, kind: str) -> Iterator[str]:
    """The text without its spaces; with a colon behind a reference, and with its kind."""
    yield "".join(text.split())
    first, *rest = text.split(maxsplit=1)[:2] or [""]
    reference, what = (f"{first}:", rest[0]) if rest and _is_reference(first) else ("", text)
    plain = "".join(what.split())
    yield f"{reference}{plain}"
    if kind and plain not in _WITHOUT_PLACE:
        yield f"{reference}{kind}.{plain}"


def _is_reference(word: str) -> bool:
    """An accession, or a gene's symbol with a digit: "NO R132H" names no gene."""
    has_digit = any(letter.isdecimal() for letter in word)
    return has_digit and ("_" in word or _SYMBOL.fullmatch(word) is not None)


def _read(text: str) -> str | None:
    whole = _WHOLE.fullmatch(text)
    if whole is None:
        return None
    kind = whole["kind"].lower()
    what = (_protein if kind == "p" else _nucleotide)(whole["what"])
    if what is None:
        return None
    return f"{_reference(whole['ref'] or '', whole['inner'] or '')}{kind}.{what}"


def _reference(name: str, inner: str) -> str:
    """With what is in brackets only where that is a transcript, and no gene."""
    if not name:
        return ""
    if not _ACCESSION.fullmatch(name) and _ACCESSION.fullmatch(inner):
        name, inner = inner, ""  # TP53(NM_000546.6)
    kept = f"({inner.upper()})" if _ACCESSION.fullmatch(inner) else ""
    return f"{_accession(name)}{kept}:"


def _accession(name: str) -> str:
    if not _ACCESSION.fullmatch(name):
        return name
    if name.upper().startswith("LRG_"):
        return "LRG_" + name[4:].lower()  # LRG_199t1
    return name.upper()


def _nucleotide(what: str) -> str | None:
    if what in _WITHOUT_PLACE:
        return what
    found = _NUCLEOTIDE.fullmatch(_WORDS.sub(lambda word: word[0].lower(), what.upper()))
    if found is None:
        return None
    start, end = found["from"], found["to"]
    place = start if end in (None, start) else f"{start}_{end}"
    if found["plain"]:
        return place + found["plain"]
    if found["added"]:
        return f"{place}ins{found['added']}" if end else None  # between two places
    old, new = found["old"] or found["gone"] or "", found["new"] or found["instead"] or ""
    if not new:
        return f"{place}="
    # One base for one is a substitution, all else a deletion with an insertion.
    single = len(old) == len(new) == 1 and (old + new).isalpha()
    return f"{place}{old}>{new}" if single and "_" not in place else f"{place}delins{new}"


def _protein(what: str) -> str | None:
    plain = what[1:-1] if what.startswith("(") and what.endswith(")") else what
    if plain in _WITHOUT_PLACE:
        return plain
    found = _PROTEIN.fullmatch(plain) or _PROTEIN.fullmatch(_cased(plain))
    if found is None:
        return None
    first = _three(found["one"])
    place = first + found["at"]
    if found["other"]:
        last = _three(found["other"]) + found["until"]
        place = place if last == place else f"{place}_{last}"
    return place + _protein_change(found, first)


def _cased(what: str) -> str:
    """`ARG132HIS` or `r132h` as `Arg132His`, `R132H`: amino acids' names, and small words."""
    named = _NAMES.sub(lambda name: name[0].title(), what.upper())
    return _SMALL.sub(lambda word: word[0].lower(), named)


def _protein_change(found: re.Match[str], first: str) -> str:
    if found["word"]:
        return found["word"] + _three(found["seq"])
    if found["plain"]:
        return found["plain"]
    if found["new"]:
        new = _three(found["new"])
        return "=" if new == first and not found["other"] else new
    if found["by"]:
        return f"{_three(found['longer'] or '')}ext{'Ter' if found['tail'] else ''}{found['by']}"
    stop = f"Ter{found['stop']}" if found["stop"] else ""
    return f"{_three(found['now'] or '')}fs{stop}"


def _three(letters: str) -> str:
    """Amino acids in three letters each: `RTer` is `ArgTer`."""
    parts = re.findall(_AMINO, letters)
    return "".join(_THREE.get(part, part) for part in parts) if parts else letters
