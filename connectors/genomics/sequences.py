"""Chromosomes as RefSeq sequences: which assembly a version of one belongs to; assemblies' names.

Genome Reference Consortium, GRCh37.p13 and GRCh38.p14; compared with two systems' tables of them.
"""

from __future__ import annotations

import re
from typing import Final

# Version of NC_0000nn in GRCh37; in GRCh38 each is one higher.
_GRCH37: Final = (
    *(10, 11, 11, 11, 9, 11, 13, 10, 11, 10, 9, 11),  # 1 to 12
    *(10, 8, 9, 9, 10, 9, 9, 10, 8, 10),  # 13 to 22
    *(10, 9),  # X, Y
)
_NUCLEAR = re.compile(r"NC_0000(\d\d)\.(\d{1,3})")
_ASSEMBLIES: Final = {
    "grch37": "GRCh37", "b37": "GRCh37", "build37": "GRCh37", "hg19": "GRCh37", "hs37": "GRCh37",
    "grch38": "GRCh38", "b38": "GRCh38", "build38": "GRCh38", "hg38": "GRCh38", "hs38": "GRCh38",
}  # fmt: skip
_MITOCHONDRION = "NC_012920."  # the same sequence in both


def placed(sequence: str) -> tuple[str, str]:
    """Chromosome and assembly of a RefSeq accession with its version; "" for what is not known.

    >>> placed("NC_000023.11")
    ('X', 'GRCh38')
    """
    accession = sequence.strip().upper()
    if accession.startswith(_MITOCHONDRION):
        return "M", ""
    found = _NUCLEAR.fullmatch(accession)
    if found is None or not 1 <= int(found[1]) <= len(_GRCH37):
        return "", ""
    number, version = int(found[1]), int(found[2])
    chromosome = {23: "X", 24: "Y"}.get(number, str(number))
    newer = version - _GRCH37[number - 1]
    return chromosome, {0: "GRCh37", 1: "GRCh38"}.get(newer, "")


def assembly_of(text: str) -> str:
    """An assembly by its usual name, whatever patch or alias of it is named; else the text.

    >>> assembly_of("hg19"), assembly_of("GRCh38.p14"), assembly_of("NCBI36")
    ('GRCh37', 'GRCh38', 'NCBI36')
    """
    plain = text.lower()
    found = {assembly for name, assembly in _ASSEMBLIES.items() if name in plain}
    return found.pop() if len(found) == 1 else text.strip()
