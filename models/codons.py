"""Hotspot codons: does a variant, however it is described, change the codon's amino acid?

The descriptions of one variant are asked in this order, and the first that tells counts: alleles at
a place in the genome (of VCF, of a report, of g.HGVS), c.HGVS, p.HGVS. Alleles that do not fit the
genome's bases there are on another assembly or strand and tell nothing. c. and p. count from the
start of a transcript: only those with the codon's own numbering are read, as IDH2 has shorter ones.

Only an amino acid in place of another is a gain of function: a stop, a frameshift, an insertion or
a deletion in the codon breaks the enzyme, and a silent variant does nothing.

Source: bases and numbering of RefSeq NM_005896.4 and NM_002168.4; places after Ensembl; the
genetic code, NCBI table 1. The other transcripts of IDH2 begin 156 and 390 bases later.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final, NamedTuple

from connectors.facts import Variant
from connectors.genomics.sequences import placed


class Effect(Enum):
    """What a variant does to a codon."""

    MISSENSE = auto()  # another amino acid
    OTHER = auto()  # something else happens there: a stop, a frameshift, a deletion …
    SILENT = auto()  # the same amino acid
    ELSEWHERE = auto()  # it lies outside
    UNKNOWN = auto()  # its description says nothing, or cannot be read


class Codon(NamedTuple):
    """A codon on the genome's reverse strand, as both genes are."""

    gene: str
    number: int
    bases: str  # as transcribed
    chromosome: str
    first: dict[str, int]  # assembly → its lowest position
    names: frozenset[str]  # of the gene, in other systems
    references: frozenset[str]  # with this numbering, without version


CODONS: Final = (
    Codon(
        "IDH1", 132, "CGT", "2",
        {"GRCh37": 209_113_111, "GRCh38": 208_248_387},
        frozenset(("IDH1", "HGNC:5382", "3417", "ENSG00000138413")),
        frozenset((
            "NM_005896", "NM_001282386", "NM_001282387", "NP_005887", "NP_001269315",
            "NP_001269316", "ENST00000345146", "ENST00000415913", "ENST00000446179",
        )),
    ),
    Codon(
        "IDH2", 172, "AGG", "15",
        {"GRCh37": 90_631_837, "GRCh38": 90_088_605},
        frozenset(("IDH2", "HGNC:5383", "3418", "ENSG00000182054")),
        frozenset(("NM_002168", "NP_002159", "ENST00000330062")),
    ),
)  # fmt: skip

_BY_NAME: Final = {name: codon for codon in CODONS for name in codon.names | codon.references}
_CHROMOSOMES: Final = frozenset(codon.chromosome for codon in CODONS)
_BASES: Final = "TCAG"
_AMINO: Final = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
_CODE: Final = {
    a + b + c: _AMINO[16 * i + 4 * j + k]
    for i, a in enumerate(_BASES)
    for j, b in enumerate(_BASES)
    for k, c in enumerate(_BASES)
}
_WILD: Final = "Arg"  # of both codons
_COMPLEMENT: Final = str.maketrans("ACGT", "TGCA")
_OF_COPIES: Final = frozenset(("copy number gain", "copy number loss"))
_SEQUENCE = re.compile(r"[ACGT]+")
_ACCESSION = re.compile(r"(?:[NX][MPRC]_|ENS|LRG_)\w+", re.IGNORECASE)
# What `connectors.genomics.hgvs` leaves.
# A place has nine digits at most: more are in no sequence, and no number for Python either.
_CDNA = re.compile(
    r"(\d{1,9})(?:_(\d{1,9}))?(?:([ACGT])>([ACGT])|delins([ACGT]+)|(=|del|dup|inv|ins.*))"
)
_BESIDE = re.compile(r"(?:[-*]\d+|\d+[+-]\d+)(?:_(?:[-*]\d+|\d+[+-]\d+))?\D.*")  # not coding
_GENOMIC = re.compile(
    r"(?:(?:chr)?([^:]+):)?g\.(\d{1,9})(?:_(\d{1,9}))?(?:([ACGT])>([ACGT])|delins([ACGT]+))"
)
_PROTEIN = re.compile(r"([A-Z][a-z]{2})(\d{1,9})(?:_([A-Z][a-z]{2})(\d{1,9}))?(delins)?(\D.*)")
_RESIDUE = re.compile(r"[A-Z][a-z]{2}")
_AMINO_ACIDS = frozenset(
    {
        *("Ala", "Arg", "Asn", "Asp", "Cys", "Gln", "Glu", "Gly", "His", "Ile"),
        *("Leu", "Lys", "Met", "Phe", "Pro", "Ser", "Thr", "Trp", "Tyr", "Val"),
    }
)


def codon_of(v: Variant) -> Codon | None:
    """The codon that the variant may touch: by its place, its gene or its reference sequence."""
    if not v.chromosome or v.chromosome in _CHROMOSOMES:
        for codon in CODONS:
            if any(_overlaps(place, codon) for place in _places(v)):
                return codon
    if v.gene:
        return _BY_NAME.get(v.gene.upper())
    references = (v.transcript, _split(v.hgvs_c)[0], _split(v.hgvs_p)[0])
    found = (_BY_NAME.get(_unversioned(one)) for one in references if one)
    return next(filter(None, found), None)


def effect(v: Variant, codon: Codon) -> Effect:
    """What the variant does to the codon."""
    of_genome = Effect.UNKNOWN
    for place in _places(v):
        of_genome = _by_place(place, codon)
        if of_genome not in (Effect.ELSEWHERE, Effect.UNKNOWN):
            return of_genome
    if v.copy_number is not None or v.change.casefold() in _OF_COPIES:
        return Effect.ELSEWHERE
    for found in (_by_cdna(v, codon), _by_protein(v, codon)):
        if found is not Effect.UNKNOWN:
            return found
    return of_genome


# ── on the genome ───────────────────────────────────────────────────────────────────────────────


class _Place(NamedTuple):
    """Alleles at a place of the genome."""

    assembly: str
    chromosome: str
    position: int
    last: int
    ref: str  # "" where not told
    alt: str


def _places(v: Variant) -> list[_Place]:
    """As the variant's fields and its g.HGVS tell them; copies of whole stretches are none."""
    assembly, found = v.assembly.partition(".")[0], []
    if v.position is not None and v.chromosome:
        last = max(v.end or 0, v.position + max(len(v.ref), 1) - 1)
        alleles = v.ref.upper(), v.alt.upper()
        found.append(_Place(assembly, v.chromosome, v.position, last, *alleles))
    told = _GENOMIC.fullmatch(v.hgvs_g)
    if told is not None:
        sequence, start, end, ref, alt, instead = told.groups("")
        chromosome, of_sequence = placed(sequence)
        where = of_sequence or assembly, chromosome or sequence or v.chromosome
        found.append(_Place(*where, int(start), int(end or start), ref, alt or instead))
    return [one for one in found if _SEQUENCE.fullmatch(one.alt)]


def _overlaps(place: _Place, codon: Codon) -> bool:
    first = codon.first.get(place.assembly)
    if first is None or place.chromosome != codon.chromosome:
        return False
    return place.position <= first + 2 and first <= place.last


def _by_place(place: _Place, codon: Codon) -> Effect:
    if codon.first.get(place.assembly) is None:
        return Effect.UNKNOWN
    if not _overlaps(place, codon):
        return Effect.ELSEWHERE
    first, genome = codon.first[place.assembly], codon.bases[::-1].translate(_COMPLEMENT)
    length = place.last - place.position + 1
    here = range(max(place.position, first), min(place.last, first + 2) + 1)
    if place.ref and (
        len(place.ref) != length
        or any(place.ref[p - place.position] != genome[p - first] for p in here)
    ):
        return Effect.UNKNOWN
    if len(place.alt) != length:
        return Effect.OTHER
    told = {p - first: place.alt[p - place.position] for p in here}
    changed = "".join(told.get(i, base) for i, base in enumerate(genome))
    return _translated(changed[::-1].translate(_COMPLEMENT), codon)


def _translated(bases: str, codon: Codon) -> Effect:
    new = _CODE[bases]
    if new == "*":
        return Effect.OTHER
    return Effect.SILENT if new == _CODE[codon.bases] else Effect.MISSENSE


# ── on a transcript, on its protein ─────────────────────────────────────────────────────────────


def _by_cdna(v: Variant, codon: Codon) -> Effect:
    reference, kind, what = _split(v.hgvs_c)
    if kind != "c" or not _counts_alike(reference or v.transcript, codon):
        return Effect.UNKNOWN
    if _BESIDE.fullmatch(what):
        return Effect.ELSEWHERE
    found = _CDNA.fullmatch(what)
    if found is None:
        return Effect.UNKNOWN
    first = 3 * codon.number - 2
    start, end = int(found[1]), int(found[2] or found[1])
    if start > first + 2 or end < first:
        return Effect.ELSEWHERE
    if found[6] == "=":
        return Effect.SILENT
    here = range(max(start, first), min(end, first + 2) + 1)
    old, new = found[3] or "", found[4] or found[5] or ""
    if old and old != codon.bases[start - first]:
        return Effect.UNKNOWN
    if len(new) != end - start + 1:
        return Effect.OTHER
    told = {p - first: new[p - start] for p in here}
    return _translated("".join(told.get(i, b) for i, b in enumerate(codon.bases)), codon)


def _by_protein(v: Variant, codon: Codon) -> Effect:
    reference, kind, what = _split(v.hgvs_p)
    if kind != "p" or not _counts_alike(reference or v.transcript, codon):
        return Effect.UNKNOWN
    if what == "=":
        return Effect.SILENT
    found = _PROTEIN.fullmatch(what)
    if found is None:
        return Effect.UNKNOWN
    start, end = int(found[2]), int(found[4] or found[2])
    if not start <= codon.number <= end:
        return Effect.ELSEWHERE
    if start == end and found[1] != _WILD:
        return Effect.UNKNOWN  # of another protein
    new = _RESIDUE.findall(found[6])
    one_for_one = len(new) == end - start + 1 and (found[5] or start == end)
    if one_for_one and "".join(new) == found[6]:
        return _replaced(new[codon.number - start])
    if found[6] == "=":
        return Effect.SILENT
    return Effect.UNKNOWN if found[6] == "?" else Effect.OTHER


def _replaced(new: str) -> Effect:
    if new not in _AMINO_ACIDS:  # a stop, one of two, nobody knows which
        return Effect.OTHER
    return Effect.SILENT if new == _WILD else Effect.MISSENSE


def _split(text: str) -> tuple[str, str, str]:
    """`NM_005896.4:c.395G>A` in its three parts."""
    reference, _, description = text.rpartition(":")
    kind, _, what = description.partition(".")
    return reference, kind, what


def _unversioned(reference: str) -> str:
    """Without version, and without what stands in brackets."""
    return reference.partition("(")[0].partition(".")[0].upper()


def _counts_alike(reference: str, codon: Codon) -> bool:
    """Does it count as the codon's number does? A gene's name in its place says nothing else."""
    plain = _unversioned(reference)
    return plain in codon.references or not _ACCESSION.fullmatch(plain)
