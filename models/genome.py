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
    looked = [
        e for e in _standing(Examined, known) if e.assembly in (assembly, "") or chromosome == "M"
    ]
    place = chromosome, position
    if any(_covers(e.ranges, *place) and not _covers(e.uncallable, *place) for e in looked):
        return Presence.ABSENT
    if any(_covers(e.uncallable, *place) for e in looked):
        return Presence.NO_CALL
    return Presence.NOT_EXAMINED


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
        and fact.rank >= files.get(fact.report, fact.rank)
        and not (fact.report in withdrawn and fact.rank <= withdrawn[fact.report])
    ]
