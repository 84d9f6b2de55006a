"""FHIR R4 genomics reports: a DiagnosticReport and its Observations as variants and observations.

After the HL7 genomics-reporting guide (STU2 and STU3). The rules are those of reports in HL7 v2
(`connectors.hl7.variants`): a variant counts only where it is present, and an amended report
replaces the older one variant by variant. Servers renumber resources, so the identity of a variant
is the report's and what describes it, not its resource id. Only a report that was entered in error
takes all variants of its older versions along.

An implication (53037-8: what a knowledge base says of a variant) is an Observation of its own,
derived from the variant's. Regions that were studied become one `Examined` of the report.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from connectors.facts import AnyFact, Observation, Presence, Statement, Variant
from connectors.fhir.document import Document, Resource
from connectors.fhir.elements import LOINC, Element, child, children, codings, references, text
from connectors.fhir.reading import Reading
from connectors.genomics.described import ASSESSMENT, OVERALL, SIGNIFICANCE, described
from connectors.genomics.fhir_findings import (
    Parts,
    code_of,
    description,
    is_negative,
    parts_of,
    version_of,
)
from connectors.genomics.fhir_regions import REGION_STUDIED, Regions
from connectors.genomics.fhir_values import observation
from connectors.genomics.report_number import report_number
from connectors.genomics.specimens import source_class, source_of
from connectors.interpretation import RefusedError
from connectors.quarantine import Reason

_GENETICS: Final = "GE"  # table 0074
_REPORT: Final = "51969-4"  # LOINC: genetic analysis report
_REPORTS: Final = frozenset((_REPORT, "81247-9"))  # … and the variant reporting panel
# Observations whose value says something of other ones.
_NO_VALUES: Final = frozenset(("82120-7", OVERALL))  # phase of two variants; the whole report
_WITHOUT_VALUE: Final = ("X", "O")  # table 0085: cannot be obtained, nothing yet
# One of these has to say which variant it is, where a position does not.
_DESCRIBES: Final = ("position", "hgvs_c", "hgvs_p", "hgvs_g", "iscn", "gene")
_VOID: Final = ("entered-in-error", "cancelled")


def read_report(report: Resource, reading: Reading) -> None:
    """One report with all that it holds. Raises `RefusedError`."""
    held = _held(report, reading.document)
    if not _is_genomic(report.content, held):
        detail = "a report of another department: as FHIR, only genomics reports are read"
        raise RefusedError(Reason.UNSUPPORTED_CONTENT, detail, report.place)
    person = reading.person(report)
    number = report_number(report, person.pseudonym, reading)
    reading.add(person, list(_Report(report, held, number, reading).facts()))


def read_findings(document: Document, reading: Reading) -> None:
    """Findings that come without a report: each patient's are as one. Raises `RefusedError`."""
    by_subject: dict[str, list[Resource]] = {}
    for o in document.of_kind("Observation"):
        subject = child(o.content, "subject")
        name = text(subject, "reference") or text(child(subject, "identifier"), "value")
        by_subject.setdefault(name, []).append(o)
    for held in by_subject.values():
        if not _is_genomic({}, held):
            detail = "findings of another department: as FHIR, only genomics is read"
            raise RefusedError(Reason.UNSUPPORTED_CONTENT, detail, held[0].place)
        first = held[0].content
        said = {name: first[name] for name in ("subject", "effectiveDateTime") if name in first}
        report = Resource("DiagnosticReport", {"status": "final", **said}, held[0].place)
        person = reading.person(held[0])
        number = report_number(report, person.pseudonym, reading)
        reading.add(person, list(_Report(report, held, number, reading).facts()))


def _held(report: Resource, document: Document) -> list[Resource]:
    """Its Observations. Where a message holds one report, they are all its own."""
    observations = document.of_kind("Observation")
    if len(document.of_kind("DiagnosticReport")) == 1:
        return observations
    found = {o.place for o in observations if o.holder == report.place}
    asked = [report, *(o for o in observations if o.place in found)]
    while asked:
        holder = asked.pop()
        for name in ("result", "hasMember"):
            for reference in references(holder.content, name):
                target = document.find(reference, holder)
                if target is not None and target.place not in found:
                    found.add(target.place)
                    asked.append(target)
    for o in observations:  # an implication belongs where its variant does
        if any(t is not None and t.place in found for t in _derived_from(o, document)):
            found.add(o.place)
    return [o for o in observations if o.place in found]


def _derived_from(o: Resource, document: Document) -> list[Resource | None]:
    return [document.find(r, o) for r in references(o.content, "derivedFrom")]


def _is_genomic(report: Element, held: list[Resource]) -> bool:
    concepts = [*children(report, "category"), child(report, "code")]
    concepts += [category for o in held for category in children(o.content, "category")]
    said = {c.code for concept in concepts for c in codings(concept)}
    if _GENETICS in said or not said.isdisjoint(_REPORTS):
        return True
    return any(code_of(child(o.content, "code")) == ASSESSMENT for o in held)


def _specimens(report: Resource, held: list[Resource], document: Document) -> str:
    """The source class of all specimens that the report and its findings name."""
    found = [
        document.find(r, one)
        for one in (report, *held)
        for r in references(one.content, "specimen")
    ]
    types = ((c.code for c in codings(child(s.content, "type"))) if s else () for s in found)
    return source_of(types)


class _Report:
    """One report being read."""

    def __init__(
        self, report: Resource, held: list[Resource], number: str, reading: Reading
    ) -> None:
        self._report, self._held, self._number, self._reading = report, held, number, reading
        self._visit = reading.visit(report)
        self._parts = {o.place: parts_of(o) for o in held}
        self._significance = self._implications()
        self._of_specimens = _specimens(report, held, reading.document)
        self._names: dict[str, int] = {}  # how many findings had this name so far
        self._genes: set[str] = set()  # of which a variant is told

    def facts(self) -> Iterator[AnyFact]:
        """What it says. What cannot be understood becomes an issue."""
        version = version_of(self._report, self._report, self._reading)
        if version.removed:
            yield self._withdrawn()
        elif not self._held and any(references(self._report.content, "result")):
            detail = "its results are not in the message: send them contained, or in a Bundle"
            self._reading.note(
                RefusedError(Reason.UNRESOLVED_REFERENCE, detail), f"{self._report.place}.result"
            )
        regions = Regions(self._number, self._visit, self._of_specimens)
        for o in self._held:
            try:
                yield from self._finding(o, regions)
            except RefusedError as refused:
                self._reading.note(refused, o.place)
        negative = is_negative(self._report, self._parts.values())
        try:
            yield from regions.facts(self._genes, negative, self._reading.key)
        except RefusedError as refused:
            self._reading.note(refused, self._report.place)

    def _finding(self, o: Resource, regions: Regions) -> Iterator[Variant | Observation]:
        parts = self._parts[o.place]
        version = version_of(o, self._report, self._reading)
        if parts.code == ASSESSMENT:
            regions.hear_of(parts)
            yield self._variant(o, parts)
        elif parts.code == REGION_STUDIED:
            regions.add(parts, version)
        elif parts.code not in _NO_VALUES:
            gene = parts.genes[0] if parts.genes else ""
            found = observation(o, version, self._number, gene, self._visit, self._reading)
            if found is not None:
                count = self._count(found.id)  # of one code, told apart by their order
                again = self._reading.key.short(found.id, str(count))
                yield found if count == 1 else replace(found, id=again)

    def _withdrawn(self) -> Statement:
        version = version_of(self._report, self._report, self._reading)
        return Statement(
            id=self._number,
            rank=version.rank,
            removed=True,
            kind=Statement.DOCUMENT,
            code=_REPORT,
            system=LOINC,
            time=version.time,
        )

    def _variant(self, o: Resource, parts: Parts) -> Variant:
        version = version_of(o, self._report, self._reading)
        said = {SIGNIFICANCE: self._significance.get(o.place, "")} | dict(parts.said)
        if version.status in _WITHOUT_VALUE:
            said[ASSESSMENT] = Presence.NO_CALL
        fields = described(said, parts.numbers, parts.ranges)
        if parts.ranges and not any(fields[name] for name in _DESCRIBES):
            detail = "a position, and neither an assembly (62374-4) nor a chromosome (48013-7)"
            raise RefusedError(Reason.NO_ASSEMBLY, detail)
        self._genes.add(fields["gene"])
        fields["source_class"] = source_class(
            fields["source_class"], fields["presence"], self._of_specimens
        )
        name = description(o.content, fields, said)
        number = str(self._count(name))
        return Variant(
            id=self._reading.key.short("fhir-variant", self._number, name, number),
            rank=version.rank,
            removed=version.removed,
            time=version.time,
            status=version.status,
            report=self._number,
            visit=self._visit,
            **fields,
        )

    def _count(self, name: str) -> int:
        self._names[name] = self._names.get(name, 0) + 1
        return self._names[name]

    def _implications(self) -> dict[str, str]:
        """Place of a variant → its clinical significance, said by an Observation of its own."""
        found: dict[str, str] = {}
        lost: list[str] = []
        for o in self._held:
            parts = self._parts[o.place]
            significance = parts.said.get(SIGNIFICANCE, "")
            if parts.code == ASSESSMENT or significance.lower() in ("", "not specified"):
                continue
            if text(o.content, "status") in _VOID:
                continue
            targets = [t for t in _derived_from(o, self._reading.document) if t is not None]
            found |= {t.place: significance for t in targets}
            lost += [] if targets else [o.place]
        if lost:
            detail = f"{len(lost)} implications are derived from nothing that is in the message"
            self._reading.note(RefusedError(Reason.UNRESOLVED_REFERENCE, detail), lost[0])
        return found
