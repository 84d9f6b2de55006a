"""A FHIR message as facts: which of its resources are read, and by whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from connectors.fhir.document import Document, Resource, read
from connectors.fhir.elements import children, references
from connectors.fhir.reading import Reading
from connectors.genomics.fhir_report import read_findings, read_report
from connectors.identity import IdentityKey
from connectors.imaging.fhir_study import read_study
from connectors.interpretation import Interpretation, NoFacts, RefusedError, Site
from connectors.quarantine import Reason
from connectors.wire import WireMessage

MOST_REPORTS: Final = 100  # of one message: each is looked for among all its findings
_Reader = Callable[[Resource, Reading], None]
READERS: Final[dict[str, _Reader]] = {"ImagingStudy": read_study, "DiagnosticReport": read_report}


def interpret_fhir(message: WireMessage, key: IdentityKey, site: Site) -> list[Interpretation]:
    """What one resource or Bundle says. Never raises, whatever the bytes."""
    out = Interpretation(
        "quarantine", message_type="FHIR", source=message.source, sent=message.heard
    )
    try:
        document = read(message.raw)
        out.message_type = f"FHIR {document.kind}"[:64]
        _read_all(document, Reading(document, message, key, site.of(message.source), out))
    except RefusedError as refused:
        out.refuse(refused.issue)
    return [out]


def _read_all(document: Document, reading: Reading) -> None:
    out = reading.out
    wanted = [r for r in document.resources if r.kind in READERS and not r.holder]
    if sum(r.kind == "DiagnosticReport" for r in wanted) > MOST_REPORTS:
        detail = f"more than {MOST_REPORTS} reports in one message"
        raise RefusedError(Reason.OVERSIZED, detail, "Bundle.entry")
    if not any(r.kind == "DiagnosticReport" for r in wanted) and document.of_kind("Observation"):
        try:
            read_findings(document, reading)
        except RefusedError as refused:
            reading.note(refused, refused.issue.location)
    elif not wanted:
        detail = f"none of its resources is one of {', '.join((*READERS, 'Observation'))}"
        raise RefusedError(Reason.UNSUPPORTED_CONTENT, detail, "resourceType")
    for resource in wanted:
        try:
            _check(resource)
            READERS[resource.kind](resource, reading)
        except RefusedError as refused:
            reading.note(refused, resource.place)
    if out.facts:
        out.outcome, out.reason = "facts", ""
    elif out.issues:
        out.outcome, out.reason = "quarantine", out.issues[0].reason
    else:
        out.outcome, out.reason = "no_facts", out.reason or NoFacts.NOTHING_MAPPED


def _check(resource: Resource) -> None:
    """Parts that are none would pass for parts that are not there. Raises `RefusedError`."""
    content = resource.content
    found = {
        "contained": children(content, "contained"),
        "result": list(references(content, "result")),
    }
    for name, parts in found.items():
        said = content.get(name)
        if said is not None and (said if isinstance(said, list) else [said]) != parts:
            detail = f"{name} is no list of JSON objects"
            raise RefusedError(Reason.BAD_FHIR, detail, f"{resource.place}.{name}")
