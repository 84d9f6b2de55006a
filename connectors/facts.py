"""Facts: what a message says about a patient, canonically. The contract of `tocsin.facts`.

A fact is immutable. It has an *identity* (`id`: what it is about) and a *rank* (which of several
versions of it counts). The patient's state is a fold that keeps the highest rank of each identity
(`models.record`), so facts may arrive late, twice and in any order.

A record of `tocsin.facts` is one `FactRecord`: the facts of one or more messages whose patients
share a partition. Times are UTC epoch seconds. Identities are keyed hashes: no order number, visit
number or other identifier of a person leaves `tocsin.wire.*` and the vault.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

SCHEMA_VERSION = 1

# UTC epoch seconds within the years 1 to 9999: what can be written as a date.
Time = Annotated[float, msgspec.Meta(ge=-62_135_596_800.0, lt=253_402_300_800.0)]

# (final, changed_at, correction, control_id), compared from left to right. `final` is 0 for
# preliminary and 1 for everything that a laboratory or ward stands by (final, corrected, deleted).
# `changed_at` is when the status changed (OBR-22, else MSH-7). `correction` is 1 for a correction.
Rank = tuple[int, Time, int, str]


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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


class EncounterEvent(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="encounter"):
    """Something that happened to a stay: admitted, discharged, or placed in a location."""

    ADMITTED: ClassVar[str] = "admitted"
    DISCHARGED: ClassVar[str] = "discharged"
    LOCATED: ClassVar[str] = "located"

    visit: str  # keyed hash of the visit number; "" when the sender names none
    event: str
    time: Time
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


AnyFact = Observation | EncounterEvent | PersonDetail


class MessageFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """The clock, written into every partition: the only time that a worker knows."""

    at: Time


class FactRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record of `tocsin.facts`."""

    v: int = SCHEMA_VERSION
    messages: list[MessageFacts] = []
    tick: Tick | None = None


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
