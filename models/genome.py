"""What is known of a patient's genes: a view over variants, whatever order they came in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from connectors.facts import AnyFact, Examined, Presence, Rank, Statement, Variant

_Reported = TypeVar("_Reported", Variant, Examined)


def variants(facts: Iterable[AnyFact]) -> list[Variant]:
    """The variants that stand, by chromosome and position; every presence.

    A file is a report and a document at once (`connectors.genomics.vcf`): variants of an older file
    of the same sample do not count. Reports in messages replace each other variant by variant, and
    one that was entered in error takes what it said before along.
    """
    standing = _standing(Variant, list(facts))
    return sorted(standing, key=lambda v: (v.gene, v.chromosome, v.position or 0, v.id))


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
        for v in _standing(Variant, known)
        if (v.assembly, v.chromosome) == (assembly, chromosome)
        and v.position is not None
        and v.position <= position <= max(v.end or 0, v.position + max(len(v.ref), 1) - 1)
    }
    for presence in (Presence.PRESENT, Presence.ABSENT, Presence.NO_CALL):
        if presence in told:
            return presence
    examined: dict[str, list[Examined]] = {}  # by report: what it looked at, and where in vain
    for fact in _standing(Examined, known):
        if fact.assembly in (assembly, "") or chromosome == "M":
            examined.setdefault(fact.report, []).append(fact)
    said = {_looked(facts, chromosome, position) for facts in examined.values()}
    return next(
        (p for p in (Presence.ABSENT, Presence.NO_CALL) if p in said), Presence.NOT_EXAMINED
    )


def _looked(of_report: list[Examined], chromosome: str, position: int) -> Presence:
    if any(_covers(e.uncallable, chromosome, position) for e in of_report):
        return Presence.NO_CALL
    examined = any(_covers(e.ranges, chromosome, position) for e in of_report)
    return Presence.ABSENT if examined else Presence.NOT_EXAMINED


def _covers(ranges: list[tuple[str, int, int]], chromosome: str, position: int) -> bool:
    return any(name == chromosome and first <= position <= last for name, first, last in ranges)


def _standing(kind: type[_Reported], facts: list[AnyFact]) -> list[_Reported]:
    files: dict[str, Rank] = {}
    withdrawn: dict[str, Rank] = {}
    for fact in facts:
        if isinstance(fact, Statement):
            (withdrawn if fact.removed else files)[fact.id] = fact.rank
    return [
        fact
        for fact in facts
        if isinstance(fact, kind)
        and not fact.removed
        # Regions come in a file of their own, whose date says nothing of the variants' file.
        and (isinstance(fact, Examined) or fact.rank >= files.get(fact.report, fact.rank))
        and not (fact.report in withdrawn and fact.rank <= withdrawn[fact.report])
    ]
