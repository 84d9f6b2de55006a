"""Which of the variants and regions that were ever reported still stand, and what that says.

A file is a report and a document at once (`connectors.genomics.vcf`): variants of an older file of
the same sample do not count. Reports in messages replace each other variant by variant, and one
that was entered in error takes what it said before along.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from msgspec.structs import replace

from connectors.facts import AnyFact, Examined, Presence, Rank, Statement, Variant
from connectors.genomics.described import genes_of

_Reported = TypeVar("_Reported", Variant, Examined)


def standing(kind: type[_Reported], facts: Iterable[AnyFact]) -> list[_Reported]:
    """Those that are neither removed, nor of an older file, nor of a report that was withdrawn."""
    known = list(facts)
    files: dict[str, Rank] = {}
    withdrawn: dict[str, Rank] = {}
    for fact in known:
        if isinstance(fact, Statement):
            (withdrawn if fact.removed else files)[fact.id] = fact.rank
    return [
        fact
        for fact in known
        if isinstance(fact, kind)
        and not fact.removed
        # Regions come in a file of their own, whose date says nothing of the variants' file.
        and (isinstance(fact, Examined) or fact.rank >= files.get(fact.report, fact.rank))
        and not any(fact.rank <= withdrawn[name] for name in _names(fact) if name in withdrawn)
    ]


def _names(fact: Variant | Examined) -> list[str]:
    """By what it may be withdrawn: its report, or that report's list of genes."""
    is_gene = isinstance(fact, Variant) and not (
        fact.position or fact.hgvs_c or fact.hgvs_p or fact.hgvs_g
    )
    return [fact.report, genes_of(fact.report)] if is_gene else [fact.report]


def examined(facts: Iterable[AnyFact]) -> list[Examined]:
    """What each report looked at, as one: regions and uncallable ones may come apart.

    Regions that came beside a file count from when both are there: that no variant is told in them
    says nothing as long as no variant could have been told.
    """
    known = list(facts)
    files = {f.id: f.time for f in known if isinstance(f, Statement) and not f.removed}
    of_report: dict[tuple[str, str], list[Examined]] = {}
    for fact in standing(Examined, known):
        if fact.beside and fact.report not in files:
            continue
        since = max(fact.time, files[fact.report]) if fact.beside else fact.time
        of_report.setdefault((fact.report, fact.assembly), []).append(replace(fact, time=since))
    return [_as_one(of_report[name]) for name in sorted(of_report)]


def _as_one(parts: list[Examined]) -> Examined:
    first = min((p for p in parts if p.ranges), key=_when, default=min(parts, key=_when))
    return replace(
        first,
        ranges=sorted({r for p in parts for r in p.ranges}),
        uncallable=sorted({r for p in parts for r in p.uncallable}),
    )


def _when(fact: Examined) -> tuple[float, str]:
    return fact.time, fact.id


def presence_at(
    facts: Iterable[AnyFact], assembly: str, chromosome: str, position: int
) -> Presence:
    """What reports together say of one base: not mentioned and not examined are two things.

    A variant that is present counts before one that is absent there, and that before a place that
    was examined without a variant being told (wild type). The position counts from 1.
    """
    known = list(facts)
    told = {
        v.presence
        for v in standing(Variant, known)
        if (v.assembly, v.chromosome) == (assembly, chromosome)
        and v.position is not None
        and v.position <= position <= max(v.end or 0, v.position + max(len(v.ref), 1) - 1)
    }
    for presence in (Presence.PRESENT, Presence.ABSENT, Presence.NO_CALL):
        if presence in told:
            return presence
    said = {
        _looked(e, chromosome, position)
        for e in examined(known)
        if e.assembly in (assembly, "") or chromosome == "M"
    }
    return next(
        (p for p in (Presence.ABSENT, Presence.NO_CALL) if p in said), Presence.NOT_EXAMINED
    )


def _looked(of_report: Examined, chromosome: str, position: int) -> Presence:
    if _covers(of_report.uncallable, chromosome, position):
        return Presence.NO_CALL
    found = _covers(of_report.ranges, chromosome, position)
    return Presence.ABSENT if found else Presence.NOT_EXAMINED


def _covers(ranges: list[tuple[str, int, int]], chromosome: str, position: int) -> bool:
    return any(name == chromosome and first <= position <= last for name, first, last in ranges)
