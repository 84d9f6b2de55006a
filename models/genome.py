"""What is known of a patient's genes: a view over variants, whatever order they came in."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.facts import AnyFact, Rank, Statement, Variant


def variants(facts: Iterable[AnyFact]) -> list[Variant]:
    """The variants that stand, by chromosome and position; every presence.

    A file is a report and a document at once (`connectors.genomics.vcf`): variants of an older file
    of the same sample do not count. Reports in messages replace each other variant by variant.
    """
    known = [fact for fact in facts if not fact.removed]
    files: dict[str, Rank] = {fact.id: fact.rank for fact in known if isinstance(fact, Statement)}
    standing = [
        fact
        for fact in known
        if isinstance(fact, Variant) and fact.rank >= files.get(fact.report, fact.rank)
    ]
    return sorted(standing, key=lambda v: (v.gene, v.chromosome, v.position or 0, v.id))
