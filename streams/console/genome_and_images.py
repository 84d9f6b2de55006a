"""Imaging studies and variants of a patient, as rows."""

from __future__ import annotations

from connectors.facts import ImagingObject, Presence, Stage, StudyEvent, Variant
from models.genome import Unused, why_unused
from models.record import PatientRecord
from models.studies import Study, studies
from streams.console.diff import Row
from streams.console.times import HospitalTime
from streams.console.units import percent
from streams.console.words import STATUSES, plain

STUDY_COLUMNS = (
    {"id": "what", "label": "Study", "kind": "text"},
    {"id": "status", "label": "How far", "kind": "text"},
    {"id": "time", "label": "Since", "kind": "text"},
)
VARIANT_COLUMNS = (
    {"id": "what", "label": "Variant", "kind": "text"},
    {"id": "value", "label": "Finding", "kind": "text"},
    {"id": "status", "label": "Report", "kind": "text"},
    {"id": "time", "label": "Time", "kind": "text"},
)
STAGES = {
    Stage.ORDERED: "Ordered",
    Stage.IN_PROGRESS: "In progress",
    Stage.ACQUIRED: "Acquired",
    Stage.AVAILABLE: "Available",
    Stage.REPORTED: "Reported",
    Stage.CORRECTED: "Report corrected",
    Stage.REJECTED: "Rejected: does not count",
}
MODALITIES = {  # DICOM PS3.16, CID 29
    "MR": "Magnetic resonance",
    "CT": "Computed tomography",
    "US": "Ultrasound",
    "CR": "Radiography",
    "DX": "Radiography",
    "PT": "PET",
    "NM": "Nuclear medicine",
    "XA": "Angiography",
    "MG": "Mammography",
}
MOST_VARIANTS = 60
UNUSED = {
    Unused.GERMLINE: "says nothing of the tumour",
    Unused.UNNAMED: "no wild type: the report does not say that it is of the tumour",
    Unused.NO_HOTSPOT: "not the mutation that the marker is about",
    Unused.UNREADABLE: "its description says nothing of the hotspot",
}


def study_rows(record: PatientRecord, times: HospitalTime) -> list[Row]:
    """Each study once, newest first."""
    facts = list(record.facts.values())
    events = [f for f in facts if isinstance(f, StudyEvent)]
    objects = [f for f in facts if isinstance(f, ImagingObject)]
    names = {e.study or e.accession: e.name for e in events if e.name}
    found = sorted(studies(events, objects), key=lambda s: (-s.since, s.study))
    return [_study(one, names, record, times) for one in found]


def _study(one: Study, names: dict[str, str], record: PatientRecord, times: HospitalTime) -> Row:
    key = one.study or one.accession
    kind = MODALITIES.get(one.modality, one.modality)
    return Row(
        key=key,
        tone="",
        cells=[
            {"v": names.get(key) or kind or "Study", "sub": kind if names.get(key) else ""},
            {"v": STAGES[one.stage]},
            {"v": times.moment(one.since, record.clock)},
        ],
    )


def variant_rows(record: PatientRecord, times: HospitalTime) -> list[Row]:
    """What laboratories say of genes and variants, newest first; what was removed is left out."""
    found = [
        (slot, fact)
        for slot, fact in record.facts.items()
        if isinstance(fact, Variant) and not fact.removed
    ]
    found.sort(key=lambda pair: (pair[1].presence is not Presence.PRESENT, -pair[1].time, pair[0]))
    return [_variant(slot, one, record, times) for slot, one in found[:MOST_VARIANTS]]


def _variant(slot: str, one: Variant, record: PatientRecord, times: HospitalTime) -> Row:
    change = one.hgvs_p or one.hgvs_c or one.hgvs_g or _place(one)
    details = [one.source_class, one.zygosity, one.significance]
    if one.allele_fraction is not None:
        details.append(f"{percent(one.allele_fraction)} of reads")
    unused = why_unused(one)
    details.append(UNUSED[unused] if unused else "")
    return Row(
        key=slot,
        tone="strong" if one.presence is Presence.PRESENT else "",
        cells=[
            {"v": " ".join(x for x in (one.gene, change) if x) or "Variant"},
            {"v": plain(one.presence), "sub": ", ".join(x for x in details if x)},
            {"v": STATUSES.get(one.status, one.status)},
            {"v": times.moment(one.time, record.clock)},
        ],
    )


def _place(one: Variant) -> str:
    """Where it is and what it is: `chr7:140453136 A>T (GRCh37)`; a stretch with its end."""
    if not one.chromosome:
        return one.change
    where = f"chr{one.chromosome}" + ("" if one.position is None else f":{one.position}")
    if one.ref or one.alt:
        what = f"{one.ref}>{one.alt}"
    else:
        where += f"–{one.end}" if one.end and one.end != one.position else ""
        what = one.change
    return " ".join(x for x in (where, what, f"({one.assembly})" if one.assembly else "") if x)
