"""What is known of a patient's genes: variants that stand, and the markers that follow from them.

A marker of a tumour may be reported as one coded result or as variants of its genes. Variants are
turned into the coded result here, so that models read one series, whoever reported it:

- `idh-status` is `mutated` by a missense variant in codon 132 of IDH1 or 172 of IDH2, or where a
  laboratory calls one of these genes of the tumour (likely) pathogenic and says no more. It is
  `wildtype` when both genes, or their codons, were looked at in the tumour and nothing was found.
  One of them alone says nothing, nor does a position without a call, a variant whose description
  cannot be read, or one that is called pathogenic elsewhere in the gene (IDH2 R140 is a mutation of
  leukaemias). A mutation once found is not undone by a later report that does not find it: only by
  its own correction.
- `1p19q-status` is `codeleted` when both whole arms are lost, `intact` when one is said not to be.

**Whose genome it is.** Germline findings say nothing of the tumour. Where a report does not say
which it is, what it finds counts: hotspots of IDH and losses of whole arms are hardly ever
inherited. What it does not find counts for nothing: the blood of every patient is wild type. Only
what is said to be somatic can be absent from a tumour.

MGMT methylation is no variant; it comes as a result.

Source: WHO Classification of Tumours, Central Nervous System, 5th edition (2021).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

from connectors.facts import AnyFact, Examined, Observation, Presence, Statement, Variant
from models import arms
from models.codons import CODONS, Codon, Effect, codon_of, effect
from models.reported import examined, standing

IDH, CODELETION = "idh-status", "1p19q-status"
CODES: Final = (IDH, CODELETION)
_PATHOGENIC: Final = frozenset(("pathogenic", "likely pathogenic", "oncogenic", "likely oncogenic"))
_HARMLESS: Final = frozenset(("benign", "likely benign"))

_Sources = Sequence[Sequence[Variant | Examined]]  # groups, each of which has to say it


def variants(facts: Iterable[AnyFact]) -> list[Variant]:
    """The variants that stand (`models.reported`), by chromosome and position; every presence."""
    found = standing(Variant, facts)
    return sorted(found, key=lambda v: (v.gene, v.chromosome, v.position or 0, v.id))


class Unused(StrEnum):
    """Why a finding about a marker's gene or arm does not count towards the marker."""

    GERMLINE = "germline"  # it is of the patient, not of the tumour
    UNNAMED = "unnamed"  # not found, in a genome that nobody calls the tumour's
    NO_HOTSPOT = "no_hotspot"  # something else than another amino acid in the codon
    UNREADABLE = "unreadable"  # a description that says nothing of the codon


def why_unused(v: Variant) -> Unused | None:
    """None for what counts, and for what speaks for itself: not called, not examined."""
    if v.presence not in (Presence.PRESENT, Presence.ABSENT) or not concerns(v):
        return None
    if v.source_class == "germline":
        return Unused.GERMLINE
    if v.presence is Presence.ABSENT:
        return None if v.source_class == "somatic" else Unused.UNNAMED
    codon = codon_of(v)
    if codon is None or _is_mutation(v, codon):
        return None
    return Unused.UNREADABLE if effect(v, codon) is Effect.UNKNOWN else Unused.NO_HOTSPOT


def concerns(fact: AnyFact) -> bool:
    """May a marker depend on this fact?"""
    if isinstance(fact, Variant):
        return codon_of(fact) is not None or arms.of_arm(fact)
    if isinstance(fact, Examined):
        return any(_touches(fact, codon) for codon in CODONS)
    return isinstance(fact, Statement) and fact.kind == Statement.DOCUMENT


def markers(facts: Iterable[AnyFact]) -> list[Observation]:
    """Markers as coded results, from the facts that `concerns` picks; at most one of each value."""
    known = list(facts)
    found = [v for v in variants(known) if v.source_class != "germline"]
    somatic = [v for v in found if v.source_class == "somatic"]
    looked = [e for e in examined(known) if e.source_class == "somatic"]
    codeleted = _first_of(CODELETION, "codeleted", arms.lost(found), "intact", [arms.kept(somatic)])
    return [*_idh(found, looked), *codeleted]


def _idh(found: list[Variant], looked: list[Examined]) -> list[Observation]:
    of_codon = [[v for v in found if codon_of(v) is codon] for codon in CODONS]
    pairs = list(zip(CODONS, of_codon, strict=True))
    mutated = [v for codon, vs in pairs for v in vs if _is_mutation(v, codon)]
    open_since = min((v.time for c, vs in pairs for v in vs if _leaves_open(v, c)), default=None)
    absent = [_looked_at(codon, vs, looked) for codon, vs in pairs]
    said = _first_of(IDH, "mutated", [mutated], "wildtype", absent)
    if open_since is None:
        return said
    return [o for o in said if o.value == "mutated" or o.time < open_since]


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


def _is_mutation(v: Variant, codon: Codon) -> bool:
    if v.presence is not Presence.PRESENT or v.significance in _HARMLESS:
        return False
    if effect(v, codon) is Effect.MISSENSE:
        return True
    is_bare = not (v.position or v.hgvs_c or v.hgvs_p or v.hgvs_g)
    return is_bare and v.source_class == "somatic" and v.significance in _PATHOGENIC


def _leaves_open(v: Variant, codon: Codon) -> bool:
    """Is something of the gene found that is neither the hotspot nor harmless?"""
    if v.presence is not Presence.PRESENT or v.significance in _HARMLESS:
        return False
    found = effect(v, codon)
    return found in (Effect.OTHER, Effect.UNKNOWN) or v.significance in _PATHOGENIC


def _looked_at(
    codon: Codon, of_codon: list[Variant], looked: list[Examined]
) -> list[Variant | Examined]:
    """What says that the gene, or its codon, was looked at in the tumour and nothing found."""
    somatic = [v for v in of_codon if v.source_class == "somatic"]
    whole = [v for v in somatic if not (v.position or v.hgvs_c or v.hgvs_p or v.hgvs_g)]
    found: list[Variant | Examined] = [v for v in whole if v.presence is Presence.ABSENT]
    unread = {
        v.report
        for v in of_codon
        if v.presence is Presence.NO_CALL
        and effect(v, codon) not in (Effect.ELSEWHERE, Effect.SILENT)
    }
    return found + [e for e in looked if e.report not in unread and _covers(e, codon)]


def _touches(looked: Examined, codon: Codon) -> bool:
    first = codon.first.get(looked.assembly.partition(".")[0])
    return first is not None and any(
        c == codon.chromosome and a <= first + 2 and first <= b
        for c, a, b in (*looked.ranges, *looked.uncallable)
    )


def _covers(looked: Examined, codon: Codon) -> bool:
    first = codon.first.get(looked.assembly.partition(".")[0])
    if first is None:
        return False
    here = [(a, b) for c, a, b in looked.ranges if c == codon.chromosome]
    unread = [(a, b) for c, a, b in looked.uncallable if c == codon.chromosome]
    seen = any(a <= first and first + 2 <= b for a, b in here)
    return seen and not any(a <= first + 2 and first <= b for a, b in unread)


def _when(fact: Variant | Examined) -> tuple[float, str]:
    return fact.time, fact.id


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
