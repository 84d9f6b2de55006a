"""Markers of a brain tumour as a laboratory reports them in HL7 v2: variants, by group of OBX-4.

After HL7's Laboratory Results Interface, clinical genomics (LOINC panel 81247-9): one group for
what was found, or not found, in each of IDH1 and IDH2, and one for the loss of each arm of a 1p/19q
codeletion. Methylation of the MGMT promoter is no variant and stays a result of its own.

Nothing is made up. A change of a codon by one base has one description in cDNA, so p.Arg132His says
c.395G>A as well; of a mutation that nobody specified no variant is known, and it stays the coded
result that it is. So does "intact" of 1p/19q: it says that not both arms are lost, and not which
one is there.

Sources: RefSeq NM_005896.4 (IDH1) and NM_002168.4 (IDH2), HGNC, and UCSC's cytoBand of GRCh38 for
the borders of the arms; LOINC's answers are those of `connectors.genomics.answers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from connectors.cohorts.tumour import LOCAL, LOINC
from connectors.genomics.hgvs import normalised
from connectors.hl7.build import Code

PANEL: Final[Code] = ("81247-9", "Master HL7 genetic variant reporting panel", LOINC)
IDH, CODELETION = "idh-status", "1p19q-status"


class Line(NamedTuple):
    """One OBX. `group` is OBX-4."""

    code: Code
    value: float | str | Code
    unit: str = ""
    group: str = ""
    type: str = ""


class _Gene(NamedTuple):
    number: str  # HGNC
    transcript: str
    changes: dict[str, str]  # protein → cDNA: missense variants that are hotspots in gliomas


_GENES: Final = {
    "IDH1": _Gene(
        "HGNC:5382",
        "NM_005896.4",
        {
            "p.Arg132His": "c.395G>A",
            "p.Arg132Cys": "c.394C>T",
            "p.Arg132Gly": "c.394C>G",
            "p.Arg132Ser": "c.394C>A",
            "p.Arg132Leu": "c.395G>T",
        },
    ),
    "IDH2": _Gene(
        "HGNC:5383",
        "NM_002168.4",
        {"p.Arg172Lys": "c.515G>A", "p.Arg172Trp": "c.514A>T", "p.Arg172Met": "c.515G>T"},
    ),
}
# (sequence, first and last base, counted from 1) of the arms on GRCh38.
_ARMS: Final = (("NC_000001.11", 1, 123_400_000), ("NC_000019.10", 26_200_001, 58_617_616))
_DESCRIBED = re.compile(r"\s*(IDH[12])\s+(p\.\S+)\s*")

_PRESENT: Final[Code] = ("LA9633-4", "Present", LOINC)
_ABSENT: Final[Code] = ("LA9634-2", "Absent", LOINC)


def variant_of(text: str) -> str:
    """`IDH1 p.R132H`, in whatever spelling, as `IDH1 p.Arg132His`; "" for what is no known one."""
    found = _DESCRIBED.fullmatch(text)
    if found is None:
        return ""
    protein = normalised(found[2])
    return f"{found[1]} {protein}" if protein in _GENES[found[1]].changes else ""


def reported(results: Sequence[Line], variant: str = "") -> list[Line]:
    """The lines of a report: coded markers as variants where a variant says the same.

    `variant`: which IDH mutation it is, as `variant_of` writes it, where that is known.
    """
    found: list[Line] = []
    for line in results:
        said = line.code[0], line.value
        if said == (IDH, "mutated") and variant:
            found += _mutation(*variant.split(" "))
        elif said == (IDH, "wildtype"):
            found += [one for n, gene in enumerate(_GENES) for one in _not_found(gene, n)]
        elif said == (CODELETION, "codeleted"):
            found += [one for n, arm in enumerate(_ARMS) for one in _lost(arm, n)]
        else:
            found.append(line)
    return found


def _mutation(symbol: str, protein: str) -> Iterator[Line]:
    gene, group = _GENES[symbol], "2a"
    yield _gene(symbol, group)
    transcript = gene.transcript
    yield _line("51958-7", "Transcript reference sequence [ID]",
                (transcript, transcript, "RefSeq-T"), group)  # fmt: skip
    yield _line("48004-6", "DNA change (c.HGVS)", f"{transcript}:{gene.changes[protein]}", group)
    yield _line("48005-3", "Amino acid change (p.HGVS)", protein, group)
    yield _line("48019-4", "DNA change type", ("LA6690-7", "Substitution", LOINC), group)
    yield _line("53037-8", "Genetic variation clinical significance",
                ("LA6668-3", "Pathogenic", LOINC), group)  # fmt: skip
    yield from _assessed(_PRESENT, group)


def _not_found(symbol: str, number: int) -> Iterator[Line]:
    """The gene was looked at."""
    group = f"2{'ab'[number]}"
    yield _gene(symbol, group)
    yield from _assessed(_ABSENT, group)


def _lost(arm: tuple[str, int, int], number: int) -> Iterator[Line]:
    """All of a chromosome's arm."""
    (sequence, first, last), group = arm, f"2{'cd'[number]}"
    yield _line("48013-7", "Genomic reference sequence [ID]",
                (sequence, sequence, "RefSeq-G"), group)  # fmt: skip
    yield _line("62374-4", "Human reference sequence assembly version",
                ("LA26806-2", "GRCh38", LOINC), group)  # fmt: skip
    yield _line("92822-6", "Genomic coordinate system",
                ("LA30102-0", "1-based character counting", LOINC), group)  # fmt: skip
    where = (str(first), str(last), "")
    yield _line("81254-5", "Genomic allele start-end", where, group)._replace(type="NR")
    yield _line("48019-4", "DNA change type", ("LA14034-5", "Copy number loss", LOINC), group)
    yield from _assessed(_PRESENT, group)


def _gene(symbol: str, group: str) -> Line:
    return _line("48018-6", "Gene studied [ID]", (_GENES[symbol].number, symbol, "HGNC"), group)


def _assessed(presence: Code, group: str) -> Iterator[Line]:
    somatic = ("LA6684-0", "Somatic", LOINC)
    yield _line("48002-0", "Genomic source class", somatic, group)
    yield _line("69548-6", "Genetic variant assessment", presence, group)


def _line(code: str, name: str, value: str | Code, group: str) -> Line:
    return Line((code, name, LOINC), value, group=group)


def coded(code: str, name: str, value: float | str, unit: str = "") -> Line:
    """A result under a code of ours."""
    return Line((code, name, LOCAL), value, unit)
