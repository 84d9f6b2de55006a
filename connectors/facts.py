"""Facts: what a message says about a patient, canonically. The contract of `tocsin.facts`.

A fact is immutable. It has an *identity* (`id`: what it is about) and a *rank* (which of several
versions of it counts). The patient's state is a fold that keeps the highest rank of each identity
(`models.record`), so facts may arrive late, twice and in any order.

A record of `tocsin.facts` is one `FactRecord`: the facts of one or more messages whose patients
share a partition. Times are UTC epoch seconds. Identities are keyed hashes: no order number, visit
number or other identifier of a person leaves `tocsin.wire.*` and the vault. Facts hold nothing that
leads back to them, so the garbage collector leaves them alone (`gc=False`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

import msgspec

from connectors.configuration import PolicyInForce
from connectors.feedback import Feedback

SCHEMA_VERSION = 1

# UTC epoch seconds within the years 1 to 9999: what can be written as a date.
Time = Annotated[float, msgspec.Meta(ge=-62_135_596_800.0, lt=253_402_300_800.0)]

# (final, changed_at, correction, control_id), compared from left to right. `final` is 0 for
# preliminary and 1 for everything that a laboratory or ward stands by (final, corrected, deleted).
# `changed_at` is when the status changed (OBR-22, else MSH-7). `correction` is 1 for a correction.
Rank = tuple[int, Time, int, str]


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What every fact has."""

    id: str  # natural identity, a keyed hash
    rank: Rank
    removed: bool = False  # a tombstone: deleted, cancelled, entered in error, wrong patient


class Observation(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="observation"):
    """One measured or reported value (an OBX)."""

    code: str  # e.g. 8867-4
    system: str  # "LN" for LOINC, otherwise as sent
    time: Time  # when it was true of the patient
    status: str  # HL7 table 0085
    name: str = ""
    value: float | str | None = None  # None: not resent (status U) or cannot be obtained (X)
    comparator: str = ""  # "<", ">", "<=", ">=" of a censored value: the value is the bound
    unit: str = ""  # UCUM where the sender says so, otherwise as sent
    sub_id: str = ""  # OBX-4
    flag: str = ""  # OBX-8, table 0078
    # OBX-14 where an order number names the result: serial values of one order stay apart by it.
    serial: Time | None = None
    # Set by the fold alone, on serial values: when the first of the versions that this one has
    # displaced was reported (tells a corrected value from one that a correction brought).
    first: Time | None = None
    visit: str = ""  # keyed hash of the visit that the sender names
    # Set by the fold alone: when `visit` was said, where it is that of a displaced version.
    visit_at: Time | None = None
    # Of a measurement in images:
    study: str = ""  # keyed hash of the StudyInstanceUID: a rejected study takes its values along
    object: str = ""  # keyed hash of the SOP instance that holds the value
    site: str = ""  # finding site, "code^scheme"
    laterality: str = ""  # R, L, B
    tracking: str = ""  # keyed hash of the tracking UID: the same lesion in study after study
    segment: str = ""  # "object#number" of the segment that it was measured in


class EncounterEvent(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="encounter"):
    """Something that happened to a stay."""

    PLANNED: ClassVar[str] = "planned"  # announced for later: the patient is not there
    REGISTERED: ClassVar[str] = "registered"  # came to the emergency department or a clinic
    ADMITTED: ClassVar[str] = "admitted"
    DISCHARGED: ClassVar[str] = "discharged"
    LOCATED: ClassVar[str] = "located"
    LEFT: ClassVar[str] = "left"  # on leave: the stay goes on, the bed is empty
    RETURNED: ClassVar[str] = "returned"  # from leave

    visit: str  # keyed hash of the visit number; "" when the sender names none
    event: str
    time: Time
    account: str = ""  # keyed hash of the account number: accounts hold visits
    patient_class: str = ""  # PV1-2, table 0004: I inpatient, E emergency, O outpatient …
    ward: str = ""
    bed: str = ""


class PersonDetail(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="person"):
    """One demographic detail. Names and full dates of birth stay in the vault."""

    BIRTH_YEAR: ClassVar[str] = "birth_year"  # int
    SEX: ClassVar[str] = "sex"  # HL7 table 0001: F, M, O, U …
    DIED_AT: ClassVar[str] = "died_at"  # epoch seconds

    field: str
    value: float | str | None


class Statement(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="statement"):
    """Something that is said of a patient and is no measurement: a diagnosis, an allergy …"""

    DIAGNOSIS: ClassVar[str] = "diagnosis"  # DG1
    PROBLEM: ClassVar[str] = "problem"  # PRB
    PROCEDURE: ClassVar[str] = "procedure"  # PR1
    ALLERGY: ClassVar[str] = "allergy"  # AL1, IAM
    DOCUMENT: ClassVar[str] = "document"  # TXA: that there is one, never what it says
    DIRECTIVE: ClassVar[str] = "directive"  # PD1-15: an advance directive, such as DNR

    kind: str
    code: str
    system: str
    time: Time
    end: Time | None = None  # resolved, inactivated
    name: str = ""
    status: str = ""  # as sent: DG1-6 type, PRB life cycle, AL1 severity, TXA completion status
    visit: str = ""


class Medication(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="medication"):
    """A drug or vaccine that was ordered, dispensed or given."""

    ORDERED: ClassVar[str] = "ordered"  # RXO, RXE, RXG
    DISPENSED: ClassVar[str] = "dispensed"  # RXD
    GIVEN: ClassVar[str] = "given"  # RXA

    event: str
    code: str
    system: str
    time: Time
    end: Time | None = None
    name: str = ""
    dose: float | None = None
    unit: str = ""
    route: str = ""
    status: str = ""  # RXA-20, ORC-1 or ORC-5, as sent
    order: str = ""  # keyed hash of the order number
    visit: str = ""


class Order(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="order"):
    """The state of one order, by its newest message."""

    order: str  # keyed hash of the filler's, else the placer's number
    status: str  # ORC-5 (table 0038), else what ORC-1 (table 0119) makes of it
    time: Time
    code: str = ""  # what was ordered: OBR-4
    system: str = ""
    name: str = ""
    visit: str = ""


class Stage(StrEnum):
    """How far an imaging study is, in order. `models.studies` has the transitions."""

    ORDERED = "ordered"
    IN_PROGRESS = "in_progress"  # MPPS IN PROGRESS, ORC-5 IP
    ACQUIRED = "acquired"  # MPPS COMPLETED: all pictures taken, not yet archived
    AVAILABLE = "available"  # can be fetched from the archive
    REPORTED = "reported"  # a radiologist's final report
    CORRECTED = "corrected"  # the report was corrected or amended
    REJECTED = "rejected"  # the pictures do not count: wrong patient, quality, order cancelled


class StudyEvent(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="study"):
    """An imaging study reached a stage. The same study may be announced often, and by many."""

    stage: Stage
    time: Time
    study: str = ""  # keyed hash of the StudyInstanceUID; "" where only the accession is known
    accession: str = ""  # keyed hash of the accession number
    modality: str = ""  # DICOM code: MR, CT, US …
    code: str = ""  # the procedure
    system: str = ""
    name: str = ""
    instances: int | None = None  # as announced
    visit: str = ""


class Segment(msgspec.Struct, frozen=True, omit_defaults=True):
    """One segment of a segmentation; a measurement in it says no more than that."""

    number: int
    what: str = ""  # segmented property type, "code^scheme": Lesion, Edema …
    site: str = ""  # anatomic region, "code^scheme"
    laterality: str = ""  # R, L, B
    tracking: str = ""  # keyed hash of the tracking UID


class ImagingObject(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="imaging_object"):
    """An object of a study that is no picture: a segmentation, or one that a note rejects.

    A rejection note (IHE IOCM) is itself one, with the number of objects that it rejects.
    """

    SEGMENTATION: ClassVar[str] = "segmentation"
    NOTE: ClassVar[str] = "rejection_note"
    REJECTED: ClassVar[str] = "rejected"  # its values do not count

    object: str  # keyed hash of the SOP instance
    study: str
    kind: str
    time: Time
    reason: str = ""  # of a rejection, PS3.16 CID 7011: 113001, 113037, 113038, 113039
    count: int = 0  # of a note: objects of this study that it rejects
    segments: list[Segment] = []


class Presence(StrEnum):
    """What a laboratory says of a variant or gene. Only `PRESENT` is evidence of a variant."""

    PRESENT = "present"
    ABSENT = "absent"  # looked for and not found: wild type
    NO_CALL = "no_call"  # looked for, without an answer
    NOT_EXAMINED = "not_examined"  # never looked for


class Variant(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="variant"):
    """One variant, or with a gene alone what is said of the whole gene."""

    presence: Presence
    time: Time
    # "germline", "somatic", "" where the laboratory does not say; of what was not found: whose
    # material was looked at.
    source_class: str
    status: str = "F"  # HL7 table 0085
    gene: str = ""  # HGNC symbol
    assembly: str = ""  # GRCh37, GRCh38 …; always there with a genomic position
    chromosome: str = ""  # without "chr"
    position: int | None = None  # 1-based, as in VCF
    end: int | None = None
    ref: str = ""
    alt: str = ""  # bases, "<DEL>" or a breakend as in VCF
    hgvs_c: str = ""
    hgvs_p: str = ""
    hgvs_g: str = ""
    transcript: str = ""  # with version
    change: str = ""  # SNV, deletion, fusion …
    zygosity: str = ""  # heterozygous, homozygous, hemizygous, homoplasmic, heteroplasmic
    significance: str = ""  # pathogenic, likely pathogenic, uncertain, likely benign, benign
    allele_fraction: float | None = None  # 0 to 1
    depth: int | None = None
    copy_number: float | None = None
    iscn: str = ""
    cytoband: str = ""  # 1p36.3, or a whole arm: 1p
    report: str = ""  # keyed hash of the report's order number
    visit: str = ""


class Examined(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="examined"):
    """Which stretches of the genome a report or file looked at; it says nothing of all others.

    A range is chromosome (without "chr"), first and last base, counted from 1; ranges are in order
    and do not touch.
    """

    time: Time
    source_class: str  # as of a variant
    assembly: str
    ranges: list[tuple[str, int, int]] = []
    uncallable: list[tuple[str, int, int]] = []  # looked at, and no answer can be had there
    report: str = ""  # as of its variants
    beside: bool = False  # it came beside the file of its variants: without that it says nothing
    visit: str = ""


class LinkKind(StrEnum):
    """Which way facts go between two patients."""

    INTO = "into"  # this patient is that one: all facts (or a visit's) belong to `other`
    FROM = "from"  # the other end of INTO
    SAME = "same"  # two identities of one person, both kept: each sees the facts of both


class Link(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="link"):
    """Two patients' records, or two visits, are one. `removed`: no longer (unlinked, unmerged).

    Both ends get a link, so that each knows which way the newest statement about the pair goes.
    """

    kind: LinkKind
    other: str  # pseudonym; the patient's own where a visit was only renumbered
    visit: str = ""  # only this visit's facts (keyed hash); "" all of them
    account: str = ""  # only the facts of this account's visits
    renamed: str = ""  # under which visit or account they go on


AnyFact = (
    Observation
    | EncounterEvent
    | PersonDetail
    | Statement
    | Medication
    | Order
    | StudyEvent
    | ImagingObject
    | Variant
    | Examined
    | Link
)


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Facts of one patient that a worker hands on to another, to whom they belong by a link."""

    path: tuple[str, ...]  # from the patient whose facts they were at first to who hands them on
    version: int  # grows with what the last of `path` hands on this way
    withdrawn: bool = False  # all that came this way before counts no more


class MessageFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The facts of one message about one patient, and where they came from."""

    patient: str  # keyed pseudonym
    sent: Time  # the sender's clock (MSH-7), else `heard`: drives the patient's clock
    heard: Time  # Tocsin's clock when the message came in
    wire: str  # "topic/partition/offset" of the raw bytes
    facts: list[AnyFact] = []
    source: str = ""
    message_type: str = ""  # "ORU^R01"
    control_id: str = ""
    trace: str = ""  # W3C traceparent of the message
    sequenced: Time = 0.0  # when the sequencer wrote it: a hop time, never an input to a score
    part: Part | None = None  # set where a worker hands facts on


class Tick(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The clock, written into every partition: the only time that a worker knows."""

    at: Time
    silent: list[str] = []  # sources that should have sent something by now, and did not


class FactRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One record of `tocsin.facts`."""

    v: int = SCHEMA_VERSION
    messages: list[MessageFacts] = []
    tick: Tick | None = None
    feedback: list[Feedback] = []  # actions on alerts of patients of this partition
    policy: PolicyInForce | None = None  # from here on


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(FactRecord)
_fact_decoder: msgspec.json.Decoder[AnyFact] = msgspec.json.Decoder(AnyFact)


def encode(record: FactRecord | MessageFacts | AnyFact) -> bytes:
    """A record, or a part of one, as JSON bytes: equal values give equal bytes."""
    return _encoder.encode(record)


def decode(raw: bytes) -> FactRecord:
    """Raises `msgspec.MsgspecError` for bytes outside the contract."""
    try:
        record = _decoder.decode(raw)
    except (RecursionError, UnicodeDecodeError) as error:
        raise msgspec.DecodeError(f"not a record of facts: {type(error).__name__}") from None
    if record.v != SCHEMA_VERSION:
        raise msgspec.ValidationError(f"facts schema version {record.v}, expected {SCHEMA_VERSION}")
    return record


def decode_fact(raw: bytes) -> AnyFact:
    """A single fact, as the Redis store keeps it."""
    return _fact_decoder.decode(raw)


def json_schema() -> dict[str, Any]:
    """JSON Schema of a record of `tocsin.facts`."""
    return msgspec.json.schema(FactRecord)
