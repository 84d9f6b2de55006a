"""What is known of a patient's genes: variants that stand, and the markers that follow from them.

A marker of a tumour may be reported as one coded result or as variants of its genes. Variants are
turned into the coded result here, so that models read one series, whoever reported it:

- `idh-status` is `mutated` by a missense variant in codon 132 of IDH1 or 172 of IDH2, or by any
  variant of these genes that the laboratory calls (likely) pathogenic; `wildtype` when both genes
  were looked at and nothing was found. One of them alone says nothing, nor does a position without
  a call. A mutation once found is not undone by a later report that does not find it: only by its
  own correction.
- `1p19q-status` is `codeleted` when both whole arms are lost, `intact` when one is said not to be.

Germline findings say nothing of the tumour. MGMT methylation is no variant; it comes as a result.

Source: WHO Classification of Tumours, Central Nervous System, 5th edition (2021); coordinates of
the codons: Ensembl, transcripts NM_005896.4 and NM_002168.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from connectors.facts import AnyFact, Examined, Observation, Presence, Statement, Variant
from models.reported import examined, standing

IDH, CODELETION = "idh-status", "1p19q-status"
CODES: Final = (IDH, CODELETION)
_PATHOGENIC: Final = frozenset(("pathogenic", "likely pathogenic"))
_HARMLESS: Final = frozenset(("benign", "likely benign"))
_LOSSES: Final = frozenset(("deletion", "copy number loss", "copy_number_loss", "loss"))


class _Codon(NamedTuple):
    """A codon whose missense variants are the marker. Both genes lie on the reverse strand."""

    protein: str  # as HGVS begins
    chromosome: str
    first: dict[str, int]  # assembly → its lowest position
    silent: frozenset[tuple[int, str]]  # (place from the lowest, base) that changes no amino acid


_CODONS: Final = {
    "IDH1": _Codon(
        "p.Arg132",
        "2",
        {"GRCh37": 209_113_111, "GRCh38": 208_248_387},
        frozenset(((0, "C"), (0, "G"), (0, "T"))),
    ),
    "IDH2": _Codon(
        "p.Arg172",
        "15",
        {"GRCh37": 90_631_837, "GRCh38": 90_088_605},
        frozenset(((0, "T"), (2, "G"))),
    ),
}
# (chromosome, latest start, earliest end) of a loss that takes a whole arm, in bases: the rough
# borders hold on GRCh37 and GRCh38 alike.
_ARMS: Final = {"1p": ("1", 12_000_000, 110_000_000), "19q": ("19", 34_000_000, 55_000_000)}
_LATEST_END_1P: Final = 150_000_000  # beyond it the other arm is lost too: no codeletion


_Sources = Sequence[Sequence[Variant | Examined]]  # groups, each of which has to say it


def variants(facts: Iterable[AnyFact]) -> list[Variant]:
    """The variants that stand (`models.reported`), by chromosome and position; every presence."""
    found = standing(Variant, facts)
    return sorted(found, key=lambda v: (v.gene, v.chromosome, v.position or 0, v.id))


def concerns(fact: AnyFact) -> bool:
    """May a marker depend on this fact?"""
    if isinstance(fact, Variant):
        return _gene(fact) != "" or _arm(fact) != ""
    if isinstance(fact, Examined):
        return any(_touches(fact, codon) for codon in _CODONS.values())
    return isinstance(fact, Statement) and fact.kind == Statement.DOCUMENT


def markers(facts: Iterable[AnyFact]) -> list[Observation]:
    """Markers as coded results, from the facts that `concerns` picks; at most one of each value."""
    known = list(facts)
    tumour = [v for v in variants(known) if v.source_class != "germline"]
    return [*_idh(tumour, examined(known)), *_codeletion(tumour)]


def _idh(tumour: list[Variant], looked: list[Examined]) -> list[Observation]:
    mutated = [v for v in tumour if _is_mutation(v)]
    absent = [_looked_at(gene, tumour, looked) for gene in _CODONS]
    return _first_of(IDH, "mutated", [mutated], "wildtype", absent)


def _first_of(
    code: str, positive: str, found: _Sources, negative: str, absent: _Sources
) -> list[Observation]:
    """Each value as soon as all of its groups have said so; the negative only before the positive.

    The first time counts: what is reported again later does not change what was known earlier.
    """
    one, other = _since(found), _since(absent)
    said = [] if one is None else [_marker(code, positive, one)]
    if other is not None and (one is None or other.time < one.time):
        said.append(_marker(code, negative, other))
    return said


def _since(groups: _Sources) -> Variant | Examined | None:
    """The fact that completes the groups."""
    if not all(groups):
        return None
    return max((min(group, key=_when) for group in groups), key=_when)


def _is_mutation(v: Variant) -> bool:
    gene = _gene(v)
    if v.presence is not Presence.PRESENT or not gene or v.significance in _HARMLESS:
        return False
    return v.significance in _PATHOGENIC or _changes(v, _CODONS[gene])


def _changes(v: Variant, codon: _Codon) -> bool:
    """Is it a missense variant of the codon?"""
    protein = v.hgvs_p.rpartition(":")[2]
    if protein:
        return protein.startswith(codon.protein) and protein[len(codon.protein) :] not in ("", "=")
    place = _place(v, codon)
    return (
        place is not None and len(v.ref) == len(v.alt) == 1 and (place, v.alt) not in codon.silent
    )


def _place(v: Variant, codon: _Codon) -> int | None:
    """0, 1 or 2 where the variant lies in the codon."""
    first = codon.first.get(v.assembly.partition(".")[0])
    if first is None or v.position is None or v.chromosome != codon.chromosome:
        return None
    return v.position - first if 0 <= v.position - first < 3 else None


def _gene(v: Variant) -> str:
    if v.gene in _CODONS:
        return v.gene
    found = (gene for gene, codon in _CODONS.items() if _place(v, codon) is not None)
    return "" if v.gene else next(found, "")


def _looked_at(
    gene: str, tumour: list[Variant], looked: list[Examined]
) -> list[Variant | Examined]:
    """What says that the gene, or its codon, was looked at and is as it should be."""
    of_gene = [v for v in tumour if _gene(v) == gene]
    whole = [v for v in of_gene if not (v.position or v.hgvs_c or v.hgvs_p or v.hgvs_g)]
    found: list[Variant | Examined] = [v for v in whole if v.presence is Presence.ABSENT]
    unread = {v.report for v in of_gene if v.presence is Presence.NO_CALL}
    found += [
        e
        for e in looked
        if e.source_class != "germline" and e.report not in unread and _covers(e, _CODONS[gene])
    ]
    return found


def _touches(looked: Examined, codon: _Codon) -> bool:
    first = codon.first.get(looked.assembly.partition(".")[0])
    return first is not None and any(
        c == codon.chromosome and a <= first + 2 and first <= b
        for c, a, b in (*looked.ranges, *looked.uncallable)
    )


def _covers(looked: Examined, codon: _Codon) -> bool:
    first = codon.first.get(looked.assembly.partition(".")[0])
    if first is None:
        return False
    here = [(a, b) for c, a, b in looked.ranges if c == codon.chromosome]
    unread = [(a, b) for c, a, b in looked.uncallable if c == codon.chromosome]
    seen = any(a <= first and first + 2 <= b for a, b in here)
    return seen and not any(a <= first + 2 and first <= b for a, b in unread)


def _codeletion(tumour: list[Variant]) -> list[Observation]:
    of_arm = [[v for v in tumour if _arm(v) == arm] for arm in _ARMS]
    lost = [[v for v in vs if v.presence is Presence.PRESENT] for vs in of_arm]
    kept = [v for vs in of_arm for v in vs if v.presence is Presence.ABSENT]
    return _first_of(CODELETION, "codeleted", lost, "intact", [kept])


def _when(fact: Variant | Examined) -> tuple[float, str]:
    return fact.time, fact.id


def _arm(v: Variant) -> str:
    """The arm of which the variant is the loss; "" for all others."""
    loss = v.change.casefold() in _LOSSES or v.alt == "<DEL>"
    loss = loss or (v.copy_number is not None and v.copy_number < 1.5)
    if not loss or v.position is None or v.end is None:
        return ""
    for arm, (chromosome, latest, earliest) in _ARMS.items():
        whole = v.position <= latest and v.end >= earliest and v.chromosome == chromosome
        if whole and (v.end <= _LATEST_END_1P if arm == "1p" else v.position >= 10_000_000):
            return arm
    return ""


def _marker(code: str, value: str, source: Variant | Examined) -> Observation:
    return Observation(
        id=f"genome:{code}:{value}",
        rank=source.rank,
        code=code,
        system="99TCS",
        time=source.time,
        status="F",
        value=value,
    )
