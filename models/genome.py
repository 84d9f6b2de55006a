"""What is known of a patient's genes: views over variants, whatever order they came in.

Absent, not called and not examined are three different things:
only a report that looked at a gene says that it is wild type.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from connectors.facts import AnyFact, Presence, Rank, Statement, Variant


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


def gene(facts: Iterable[AnyFact], symbol: str, source_class: str = "") -> Presence:
    """What the newest report that looked at a gene says of it; germline and somatic apart.

    `source_class` "" asks for either. A report with a variant in the gene says *present*, whatever
    else it says of it; one that could not call a variant does not say *absent*.
    """
    about = [
        variant
        for variant in variants(facts)
        if variant.gene == symbol and source_class in ("", variant.source_class)
    ]
    if not about:
        return Presence.NOT_EXAMINED
    newest = max(about, key=attrgetter("rank", "report")).report
    said = {variant.presence for variant in about if variant.report == newest}
    for presence in (Presence.PRESENT, Presence.NO_CALL, Presence.ABSENT):
        if presence in said:
            return presence
    return Presence.NOT_EXAMINED
