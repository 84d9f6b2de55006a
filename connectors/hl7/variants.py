"""Clinical-genomics results: the OBX of one group (OBX-4) are one variant.

After HL7's Laboratory Results Interface, clinical genomics (LOINC panel 81247-9). The identity of a
variant is the report's order number and its group, so that an amended report replaces it variant by
variant; an amendment has to bring the whole group. A variant counts only where it is *present*:
absent, not called and not examined are three other things. What the answers' codes mean, and which
LOINC list each is from, is in `connectors.genomics.answers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from connectors.facts import AnyFact, Observation, Presence, Statement, Variant
from connectors.genomics import specimens
from connectors.genomics.answers import answer, is_negative
from connectors.genomics.described import (
    ASSESSMENT,
    CODES,
    GENE,
    OVERALL,
    RANGES,
    TELLS_OF_A_VARIANT,
    described,
    genes_of,
    symbol,
)
from connectors.hl7.context import Context
from connectors.hl7.regions import read_regions, source_class
from connectors.identity import SHORT

__all__ = ["CODES", "take_variants"]

_RANGE = re.compile(r"(?:[^:^]*:)?\s*(\d{1,11})\s*(?:[-^]\s*(\d{1,11})?\s*)?")
_PERCENT: Final = frozenset(("%", "percent", "pct"))


def take_variants(
    found: Iterable[Observation], context: Context, of_specimens: str = ""
) -> Iterator[AnyFact]:
    """Observations with those of variants turned into variants.

    `of_specimens`: the source class of the message's specimens (`connectors.genomics.specimens`).
    """
    groups: dict[tuple[str, str], list[Observation]] = {}
    for observation in found:
        if observation.system == "LN" and observation.code in CODES:
            key = observation.id[:SHORT], observation.sub_id
            groups.setdefault(key, []).append(observation)
        else:
            yield observation
    by_report: dict[str, dict[str, list[Observation]]] = {}
    for (report, group), observations in groups.items():
        by_report.setdefault(report, {})[group] = observations
    for report, of_report in by_report.items():
        yield from _read_report(report, of_report, context, of_specimens)


def _read_report(
    report: str, groups: dict[str, list[Observation]], context: Context, of_specimens: str
) -> Iterator[AnyFact]:
    """One report's variants, regions and genes; `groups` are its OBX by OBX-4."""
    told = {g: found for g, found in groups.items() if _tells_of_a_variant(found)}
    general = {g: found for g, found in groups.items() if g not in told}
    named: set[str] = set()  # genes of which a variant is told
    for group, observations in told.items():
        variant = _variant(report, group, observations, context)
        named.add(variant.gene)
        said = variant.source_class or source_class(general)
        source = specimens.source_class(said, variant.presence, of_specimens)
        yield replace(variant, source_class=source)
    source = source_class(groups) or of_specimens
    yield from read_regions(report, groups, source, context)
    negative = any(_is_negative(o) for found in groups.values() for o in found)
    for observations in general.values():
        yield from _genes(report, observations, named, negative, source, context)


def _tells_of_a_variant(observations: list[Observation]) -> bool:
    return any(o.code in TELLS_OF_A_VARIANT for o in observations)


def _variant(report: str, group: str, observations: list[Observation], context: Context) -> Variant:
    said: dict[str, str] = {}
    numbers: dict[str, float] = {}
    for o in observations:
        if o.code == ASSESSMENT:
            said[ASSESSMENT] = Presence.NO_CALL  # unless it is answered
        if isinstance(o.value, float):
            if not o.comparator:  # "more than one copy" says of none how many there are
                numbers[o.code] = o.value / 100 if o.unit in _PERCENT else o.value
        elif isinstance(o.value, str):
            said[o.code] = _symbol(o.value) if o.code == GENE else answer(o.code, o.value)
    ranges = {code: _range(text) for code, text in said.items() if code in RANGES}
    ranges |= {code: (int(n), None) for code, n in numbers.items() if code in RANGES}
    newest = max(observations, key=lambda o: o.rank)
    if newest.status == "X":  # cannot be obtained: it comes without values
        said[ASSESSMENT] = Presence.NO_CALL
    return Variant(
        id=context.key.short("variant", report, group),
        rank=newest.rank,
        removed=all(o.removed for o in observations),
        time=newest.time,
        status=newest.status,
        report=report,
        visit=context.visit,
        **described(said, numbers, ranges),
    )


def _genes(
    report: str,
    observations: list[Observation],
    named: set[str],
    negative: bool,
    source: str,
    context: Context,
) -> Iterator[Variant | Statement]:
    """Genes that were studied without a finding: absent where the report is negative as a whole.

    A gene of which a variant is told is none of them any more. A list that is deleted comes without
    its genes: it is withdrawn as a whole.
    """
    for o in (o for o in observations if o.code == GENE):
        if o.removed:
            yield _withdrawn(report, o)
        for gene in filter(None, map(_symbol, str(o.value or "").split("\n"))):
            yield Variant(
                id=context.key.short("gene", report, gene),
                rank=o.rank,
                removed=o.removed or gene in named,
                presence=Presence.ABSENT if negative else Presence.NO_CALL,
                time=o.time,
                status=o.status,
                source_class=source,
                gene=gene,
                report=report,
                visit=context.visit,
            )


def _withdrawn(report: str, o: Observation) -> Statement:
    return Statement(
        id=genes_of(report),
        rank=o.rank,
        removed=True,
        kind=Statement.DOCUMENT,
        code=o.code,
        system=o.system,
        time=o.time,
    )


def _is_negative(o: Observation) -> bool:
    return o.code == OVERALL and isinstance(o.value, str) and is_negative(o.value)


def _symbol(text: str) -> str:
    """HGNC symbol of `HGNC:1100^BRCA1^HGNC`, `BRCA1` …"""
    parts = [part.strip() for part in text.split("^")]
    by_number = parts[0].upper().startswith("HGNC:") and len(parts) > 1
    return symbol(parts[1] if by_number else parts[0])


def _range(text: str) -> tuple[int | None, int | None]:
    """`123^456`, `123-456`, `chr1:123-456` or `123`; nothing of what is none of these."""
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        return None, None
    return int(found[1]), int(found[2]) if found[2] else None
