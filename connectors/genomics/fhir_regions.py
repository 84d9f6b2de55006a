"""Regions that a FHIR genomics report studied (LOINC 53041-0): one `Examined`, and its genes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from connectors.facts import Examined, Presence, Variant
from connectors.genomics.described import (
    ASSEMBLY,
    COUNTING,
    RANGES_EXAMINED,
    SEQUENCE,
    SOURCE,
    one_based,
)
from connectors.genomics.fhir_findings import Parts, Version
from connectors.genomics.regions import MOST_RANGES, Range, joined
from connectors.genomics.sequences import placed
from connectors.identity import IdentityKey
from connectors.interpretation import RefusedError
from connectors.quarantine import Reason

REGION_STUDIED: Final = "53041-0"
_UNCALLABLE: Final = "uncallable-regions"  # a code of the guide (TbdCodes)


class Regions:
    """Gathers what a report says of regions, Observation by Observation."""

    def __init__(self, report: str, visit: str, of_specimens: str) -> None:
        self._report, self._visit, self._of_specimens = report, visit, of_specimens
        self._ranges: dict[str, list[Range]] = {RANGES_EXAMINED: [], _UNCALLABLE: []}
        self._assemblies: set[str] = set()
        self._sources: set[str] = set()
        self._version: Version | None = None
        self._genes: dict[str, tuple[Version, Presence | None]] = {}

    def hear_of(self, parts: Parts) -> None:
        """Whose genome a finding of the report is of: where they agree, the regions are, too."""
        self._sources.add(parts.said.get(SOURCE, ""))

    def add(self, parts: Parts, version: Version) -> None:
        """One Observation of a region. Raises `RefusedError`."""
        self.hear_of(parts)
        for gene in parts.genes:
            self._genes[gene] = (version, parts.missing)
        spans = [(name, ends) for name, ends in parts.several if name in self._ranges]
        if not spans and parts.missing is None:
            return  # genes alone, or ranges in words: nothing to compute with
        chromosome, assembly = placed(parts.said.get(SEQUENCE, ""))
        assembly = parts.said.get(ASSEMBLY, "") or assembly
        if not chromosome or (not assembly and chromosome != "M"):
            detail = "a range, and no reference sequence (48013-7) of a known assembly"
            raise RefusedError(Reason.NO_ASSEMBLY, detail)
        for name, ends in spans:
            first, last = one_based(*ends, parts.said.get(COUNTING, ""))
            if first is None or last is None or last < first:
                raise RefusedError(Reason.BAD_VALUE, "a range without a low and a high end")
            self._ranges[name].append((chromosome, first, last))
        self._assemblies |= {assembly} - {""}
        if self._version is None or version.rank > self._version.rank:
            self._version = version

    def facts(
        self, told: set[str], negative: bool, key: IdentityKey
    ) -> Iterator[Examined | Variant]:
        """The ranges, and the genes; those of which a variant is told are no more without one.

        Raises `RefusedError`.
        """
        for gene, (version, missing) in self._genes.items():
            presence = missing or (Presence.ABSENT if negative else Presence.NO_CALL)
            of_gene = self._gene(gene, presence, version, key)
            yield replace(of_gene, removed=True) if gene in told else of_gene
        if self._version is not None:
            yield self._examined(self._version, key)

    @property
    def _source(self) -> str:
        said = self._sources & {"germline", "somatic"}
        if not said:
            return self._of_specimens
        return said.pop() if len(said) == 1 else ""

    def _gene(self, gene: str, presence: Presence, version: Version, key: IdentityKey) -> Variant:
        return Variant(
            id=key.short("gene", self._report, gene),
            rank=version.rank,
            removed=version.removed,
            presence=presence,
            time=version.time,
            status=version.status,
            source_class=self._source,
            gene=gene,
            report=self._report,
            visit=self._visit,
        )

    def _examined(self, version: Version, key: IdentityKey) -> Examined:
        if len(self._assemblies) > 1:
            raise RefusedError(Reason.NO_ASSEMBLY, "regions on two assemblies in one report")
        ranges = joined(self._ranges[RANGES_EXAMINED])
        uncallable = joined(self._ranges[_UNCALLABLE])
        if len(ranges) + len(uncallable) > MOST_RANGES:
            detail = f"more than {MOST_RANGES:,} regions"
            raise RefusedError(Reason.TOO_MANY_VARIANTS, detail)
        return Examined(
            id=key.short("examined", self._report),
            rank=version.rank,
            removed=version.removed,
            time=version.time,
            source_class=self._source,
            assembly=next(iter(self._assemblies), ""),
            ranges=ranges,
            uncallable=uncallable,
            report=self._report,
            visit=self._visit,
        )
