"""Chooses who interprets a wire record, by its content type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from connectors import wire
from connectors.fhir.interpret import interpret_fhir
from connectors.genomics.bed import interpret_bed
from connectors.genomics.vcf import interpret_vcf
from connectors.hl7 import interpret as hl7
from connectors.hl7.batch import is_batch, split
from connectors.identity import IdentityKey
from connectors.imaging.announcements import interpret_announcement
from connectors.imaging.reports import interpret_object
from connectors.imaging.stow import interpret_stow
from connectors.interpretation import Interpretation, Issue, Site
from connectors.quarantine import Reason
from connectors.wire import WireMessage

# One interpretation for each message that the record holds: a batch holds several.
Interpreter = Callable[[WireMessage, IdentityKey, Site], list[Interpretation]]


def _hl7(message: WireMessage, key: IdentityKey, site: Site) -> list[Interpretation]:
    if not is_batch(message.raw):
        return [hl7.interpret(message.raw, message.heard, key, site, message.source)]
    batch = split(message.raw)
    found = [hl7.interpret(raw, message.heard, key, site, message.source) for raw in batch.messages]
    for number, read in enumerate(found, 1):
        place = f"message {number}"
        read.issues = [i._replace(location=f"{place} {i.location}".rstrip()) for i in read.issues]
    faults = [
        Issue(Reason.BATCH_COUNT, "a count that does not fit, or a line of no message", location)
        for location in batch.faults
    ]
    if not found:
        faults = faults or [Issue(Reason.EMPTY_FRAME, "a batch with nothing in it", "BHS")]
    if faults:
        envelope = Interpretation(
            "quarantine",
            reason=faults[0].reason,
            message_type="BHS",
            source=message.source,
            sent=message.heard,
            issues=faults,
        )
        found.append(envelope)
    return found


def _stow(message: WireMessage, key: IdentityKey, site: Site) -> list[Interpretation]:
    return interpret_stow(message, key, site, interpret_object)


def _nothing(message: WireMessage, key: IdentityKey, site: Site) -> list[Interpretation]:
    """A request that the sequencer itself wrote: there is nothing to interpret."""
    return []


INTERPRETERS: Final[dict[str, Interpreter]] = {
    wire.HL7: _hl7,
    wire.FETCH: _nothing,
    wire.VCF: interpret_vcf,
    wire.BED: interpret_bed,
    wire.FHIR: interpret_fhir,
    wire.DICOM_JSON: interpret_announcement,
    wire.DICOM: interpret_object,
    wire.STOW: _stow,
}


# What is read of each content type, for people (docs/reference/messages.md).
READS: Final[dict[str, str]] = {
    wire.HL7: "one message, or a batch: see above",
    wire.FETCH: "nothing: the sequencer asks the archive about a study",
    wire.VCF: "variants of one sample; header `subject`; parameters `sample`, `source-class`, "
    "`assembly`",
    wire.BED: "regions that were examined; header `subject`; parameters `sample`, `assembly`, "
    "`source-class`, `of` (examined, uncallable)",
    wire.FHIR: "ImagingStudy, genomics DiagnosticReport and Observations, alone or in a Bundle",
    wire.DICOM_JSON: "a dataset; parameter `event`: mpps, ian, study (what the archive says), stow "
    "(what it has stored)",
    wire.STOW: "DICOM objects that an archive pushes, each like one that was fetched",
    wire.DICOM: "measurements of a structured report, segments, rejection notes",
}


def interpret(message: WireMessage, key: IdentityKey, site: Site) -> list[Interpretation]:
    """What a record says. Never raises, whatever the bytes."""
    chosen = INTERPRETERS.get(message.content_type.partition(";")[0].strip())
    if chosen is not None:
        return chosen(message, key, site)
    detail = "a content type that nobody here reads"
    issue = Issue(Reason.UNSUPPORTED_CONTENT, detail, "content-type")
    return [
        Interpretation(
            "quarantine",
            reason=issue.reason,
            sent=message.heard,
            source=message.source,
            issues=[issue],
        )
    ]
