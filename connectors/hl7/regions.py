"""Regions that a clinical-genomics report examined: LOINC 51959-5, on the sequence of its group.

After HL7's Laboratory Results Interface, 5.4: the reference sequence (48013-7) stands in group
`1a`, its ranges in `1a.a`, `1a.b` …
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from connectors.facts import Examined, Observation
from connectors.genomics.answers import answer
from connectors.genomics.described import (
    ASSEMBLY,
    COUNTING,
    RANGES_EXAMINED,
    SEQUENCE,
    SOURCE,
    one_based,
)
from connectors.genomics.regions import MOST_RANGES, Range, joined
from connectors.genomics.sequences import placed
from connectors.hl7.context import Context, Issue
from connectors.quarantine import Reason

_LONGEST_POSITION: Final = 11  # digits


def read_regions(
    report: str, groups: Mapping[str, list[Observation]], source: str, context: Context
) -> Iterator[Examined]:
    """What a report of a source class looked at, as one; `groups` are its OBX by OBX-4."""
    found = [o for of_group in groups.values() for o in of_group if o.code == RANGES_EXAMINED]
    ranges: list[Range] = []
    assemblies: set[str] = set()
    for o in found:
        chromosome, assembly = _place(o.sub_id, groups)
        mapped = list(_ranges(o, chromosome, _said(o.sub_id, COUNTING, groups)))
        if chromosome and (assembly or chromosome == "M"):
            ranges += mapped
            assemblies |= {assembly} - {""}
    ranges = joined(ranges)
    standing = [o for o in found if not o.removed]
    if (standing and not ranges) or len(assemblies) > 1 or len(ranges) > MOST_RANGES:
        detail = "ranges that were examined, and not on sequences (48013-7) of one known assembly"
        context.issues.append(Issue(Reason.NO_ASSEMBLY, detail, "OBX 51959-5"))
    elif found:
        newest = max(found, key=lambda o: o.rank)
        yield Examined(
            id=context.key.short("examined", report),
            rank=newest.rank,
            removed=not standing,
            time=newest.time,
            source_class=source,
            assembly=next(iter(assemblies), ""),
            ranges=ranges,
            report=report,
            visit=context.visit,
        )


def source_class(groups: Mapping[str, list[Observation]]) -> str:
    """Of the whole report, where its groups agree: whose genome was looked at."""
    said = {_said(group, SOURCE, groups) for group in groups} & {"germline", "somatic"}
    return said.pop() if len(said) == 1 else ""


def _place(group: str, groups: Mapping[str, list[Observation]]) -> tuple[str, str]:
    chromosome, assembly = placed(_said(group, SEQUENCE, groups))
    return chromosome, _said(group, ASSEMBLY, groups) or assembly


def _said(group: str, code: str, groups: Mapping[str, list[Observation]]) -> str:
    """What a group, or the one that it is part of, says under a code."""
    while group:
        for o in groups.get(group, ()):
            if o.code == code and isinstance(o.value, str):
                return answer(code, o.value)
        group = group.rpartition(".")[0]
    return ""


def _ranges(o: Observation, chromosome: str, counting: str) -> Iterator[Range]:
    for line in o.value.split("\n") if isinstance(o.value, str) else ():
        parts = [part.strip() for part in line.replace("^", "-").split("-")]
        if len(parts) == 2 and all(p.isdecimal() and len(p) <= _LONGEST_POSITION for p in parts):
            first, last = one_based(int(parts[0]), int(parts[1]), counting)
            if first is not None and last is not None and first <= last:
                yield chromosome, first, last
