"""Clinical-genomics results: the OBX of one group (OBX-4) are one variant.

After HL7's Laboratory Results Interface, clinical genomics (LOINC panel 81247-9). The identity of a
variant is the report's order number and its group, so that an amended report replaces it variant by
variant; an amendment has to bring the whole group. A variant counts only where it is *present*:
absent, not called and not examined are three other things. What the answers' codes mean, and which
LOINC list each is from, is in `connectors.genomics.answers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from connectors.facts import AnyFact, Observation, Presence, Variant
from connectors.genomics import specimens
from connectors.genomics.answers import NEGATIVE, answer
from connectors.genomics.described import (
    ASSESSMENT,
    CODES,
    GENE,
    OVERALL,
    RANGES,
    TELLS_OF_A_VARIANT,
    described,
    symbol,
)
from connectors.hl7.context import Context
from connectors.hl7.regions import read_regions, source_class
from connectors.identity import SHORT

__all__ = ["CODES", "take_variants"]

_LONGEST_POSITION: Final = 11  # digits


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
        if o.code == ASSESSMENT and not o.removed:
            said[ASSESSMENT] = Presence.NO_CALL  # unless it is answered
        if isinstance(o.value, float):
            numbers[o.code] = o.value / 100 if o.unit == "%" else o.value
        elif isinstance(o.value, str):
            said[o.code] = _symbol(o.value) if o.code == GENE else answer(o.code, o.value)
    ranges = {code: _range(text) for code, text in said.items() if code in RANGES}
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
) -> Iterator[Variant]:
    """Genes that were studied without a finding: absent where the report is negative as a whole."""
    for o in observations:
        if o.code != GENE or not isinstance(o.value, str):
            continue
        for gene in filter(None, map(_symbol, o.value.split("\n"))):
            if gene in named:
                continue
            yield Variant(
                id=context.key.short("gene", report, gene),
                rank=o.rank,
                removed=o.removed,
                presence=Presence.ABSENT if negative else Presence.NO_CALL,
                time=o.time,
                status=o.status,
                source_class=source,
                gene=gene,
                report=report,
                visit=context.visit,
            )


def _is_negative(o: Observation) -> bool:
    return o.code == OVERALL and isinstance(o.value, str) and answer(OVERALL, o.value) == NEGATIVE


def _symbol(text: str) -> str:
    """HGNC symbol of `HGNC:1100^BRCA1^HGNC`, `BRCA1` …"""
    parts = [part.strip() for part in text.split("^")]
    by_number = parts[0].upper().startswith("HGNC:") and len(parts) > 1
    return symbol(parts[1] if by_number else parts[0])


def _range(text: str) -> tuple[int | None, int | None]:
    """`123^456`, `123-456` or `123`."""
    parts = (part.strip() for part in text.replace("^", "-").split("-"))
    found = [int(n) for n in parts if n.isdecimal() and len(n) <= _LONGEST_POSITION]
    return (found[0] if found else None, found[1] if len(found) > 1 else None)
