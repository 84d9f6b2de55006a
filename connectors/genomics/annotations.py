"""Gene and HGVS of a VCF record as annotators write them: SnpEff's ANN, Ensembl VEP's CSQ.

ANN has a fixed order and its first entry for an allele is the one of the highest impact. CSQ names
its fields in the header; its entries are in no order of importance, so the one that VEP picked
counts, else the one of the MANE or canonical transcript, else the one of the highest impact.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

_CSQ = re.compile(r"##INFO=<ID=CSQ,[^\n]*Format: ([^\n\">]+)")
_IMPACTS: Final = ("HIGH", "MODERATE", "LOW", "MODIFIER", "")


class Annotation(NamedTuple):
    """What is said of one alternative allele; "" each where nothing is."""

    gene: str = ""
    transcript: str = ""
    hgvs_c: str = ""
    hgvs_p: str = ""


class Annotations:
    """Reads the annotations of a file's records."""

    def __init__(self, header: str) -> None:
        found = _CSQ.search(header)
        self._fields = [name.strip() for name in found[1].split("|")] if found else []
        self._has_ann = "##INFO=<ID=ANN," in header

    def of(self, info: Callable[[str], Any], ref: str, alt: str, number: int) -> Annotation:
        """Of the record's alternative `number` (from 1), whatever the case of its bases."""
        if self._has_ann:
            found = _by_snpeff(str(info("ANN") or ""), alt)
            if found is not None:
                return found
        if self._fields:
            return self._by_vep(str(info("CSQ") or ""), ref, alt, number)
        return Annotation()

    def _by_vep(self, field: str, ref: str, alt: str, number: int) -> Annotation:
        # Of alleles that begin with the same base VEP names the rest; "-" where none is left.
        alt = alt.upper()
        alleles = {alt, alt[1:] or "-"} if alt[:1] == ref[:1].upper() else {alt}
        entries = []
        for text in field.split(","):
            entry = dict(zip(self._fields, text.split("|"), strict=False))
            told = entry.get("ALLELE_NUM", "")
            if told == str(number) if told else entry.get("Allele", "").upper() in alleles:
                entries.append(entry)
        if not entries:
            return Annotation()
        best = min(entries, key=_importance)
        is_transcript = best.get("Feature_type", "Transcript") == "Transcript"
        return Annotation(
            best.get("SYMBOL", ""),
            best.get("Feature", "") if is_transcript else "",
            unquote(best.get("HGVSc", "")),
            unquote(best.get("HGVSp", "")),  # "=" is written as %3D
        )


def _importance(entry: dict[str, str]) -> tuple[bool, bool, bool, int]:
    impact = entry.get("IMPACT", "")
    return (
        entry.get("PICK") != "1",
        not entry.get("MANE_SELECT"),
        entry.get("CANONICAL") != "YES",
        _IMPACTS.index(impact) if impact in _IMPACTS else len(_IMPACTS),
    )


def _by_snpeff(field: str, alt: str) -> Annotation | None:
    """Allele|Annotation|Impact|Gene|Gene_ID|Type|Feature|Biotype|Rank|c.|p.|…"""
    for entry in field.split(","):
        parts = entry.split("|")
        if len(parts) > 10 and parts[0].upper() == alt.upper():
            transcript = parts[6] if parts[5] == "transcript" else ""
            return Annotation(parts[3], transcript, parts[9], parts[10])
    return None
