"""Why a message, or a part of one, could not be understood; and the record that says so."""

from __future__ import annotations

import base64
import hashlib
from enum import StrEnum

from connectors.clock import iso
from connectors.contract import Quarantined


class Reason(StrEnum):
    """The catalogue. Each member's comment is its documentation."""

    # The frame
    EMPTY_FRAME = "empty_frame"  # a frame with nothing in it
    OVERSIZED = "oversized"  # longer than the port takes (`mllp.max_message_bytes` and the like)
    NOT_HL7 = "not_hl7"  # does not begin with an MSH segment
    TRUNCATED = "truncated"  # the connection ended within a frame
    # The message
    BAD_HEADER = "bad_header"  # MSH without usable delimiters, type or version
    BAD_CHARSET = "bad_charset"  # bytes that are not text in the declared or configured charset
    UNSUPPORTED_CHARSET = "unsupported_charset"  # MSH-18 names a charset that is not known
    NOT_PRODUCTION = "not_production"  # MSH-11 says that it is for training or debugging
    UNSUPPORTED_TYPE = "unsupported_type"  # a message type or event that is not mapped to facts
    BATCH_COUNT = "batch_count"  # BTS-1 or FTS-1 counts other than what the batch holds
    FOREIGN_LINE = "foreign_line"  # a line that is no segment
    NO_PATIENT = "no_patient"  # no PID, or none of its identifiers can be used
    NO_VISIT_EVENT = "no_visit_event"  # an ADT event without PV1 or without a usable time
    UNSUPPORTED_CONTENT = "unsupported_content"  # a record whose content type nobody reads
    # The observation
    NO_CODE = "no_code"  # OBX-3 is empty
    NO_TIME = "no_time"  # neither OBX-14 nor OBR-7 nor MSH-7 gives a time
    BAD_TIME = "bad_time"  # a time that does not exist
    TIME_IN_FUTURE = "time_in_future"  # later than the clock by more than `max_future_s`
    NOT_A_NUMBER = "not_a_number"  # NM or SN whose value is none
    BAD_VALUE = "bad_value"  # a value that its type (OBX-2) does not allow
    NO_VALUE = "no_value"  # OBX-5 is empty although the status says that there is a result
    AMBIGUOUS = "ambiguous"  # two values for one observation, or allele, in one message
    UNKNOWN_STATUS = "unknown_status"  # a status that its standard does not know
    UNKNOWN_VALUE_TYPE = "unknown_value_type"  # OBX-2 outside table 0125
    # Imaging
    BAD_DICOM = "bad_dicom"  # a dataset or object that cannot be read
    NOT_IN_ARCHIVE = "not_in_archive"  # announced as available, and not to be had there for hours
    NO_STUDY = "no_study"  # nothing says which study it is about
    # FHIR
    BAD_FHIR = "bad_fhir"  # no JSON, no resource, or one without what makes it one
    UNRESOLVED_REFERENCE = "unresolved_reference"  # it refers to what is not in the message
    # Genomics files
    BAD_VCF = "bad_vcf"  # a VCF, or a record of it, that cannot be read
    BAD_BED = "bad_bed"  # a BED of regions that cannot be read
    NO_SAMPLE = "no_sample"  # a VCF of several samples, and none is named; or it is not in there
    NO_ASSEMBLY = "no_assembly"  # positions on a genome that nobody names
    OTHER_ASSEMBLY = "other_assembly"  # a VCF whose content type names another one than its header
    TOO_MANY_VARIANTS = "too_many_variants"  # a whole genome: it has to be cut to a panel
    # Further down
    OVERSIZED_FACTS = "oversized_facts"  # the facts of one message do not fit a record of the log
    BAD_FACTS = "bad_facts"  # a record of `tocsin.facts` outside the contract
    BAD_FEEDBACK = "bad_feedback"  # a record of `tocsin.feedback` outside the contract
    BAD_CONFIG = "bad_config"  # a record of `tocsin.config` outside the contract
    BAD_POLICY = "bad_policy"  # a policy that came into force and cannot be used
    BAD_ALERT = "bad_alert"  # a record of `tocsin.alerts` outside the contract
    # Coming back
    UNKNOWN_ALERT = "unknown_alert"  # a report (PCD-05) on an alert that nobody was told of


def quarantined(
    reason: Reason,
    detail: str,
    *,
    raw: bytes,
    received_at: float,
    source: str,
    wire: str = "",
    location: str = "",
    message_type: str = "",
    control_id: str = "",
    partial: bool = False,
    trace: str = "",
) -> Quarantined:
    """A record for `tocsin.quarantine`; its id hashes what and why, so repeats are recognised."""
    seal = hashlib.sha256(b"\0".join([raw, reason.encode(), location.encode()])).hexdigest()
    return Quarantined(
        id=seal[:32],
        reason=reason,
        detail=detail,
        location=location,
        source=source,
        received_at=iso(received_at),
        wire=wire,
        message_type=message_type,
        control_id=control_id,
        partial=partial,
        raw_base64="" if wire else base64.b64encode(raw).decode(),
        trace=trace,
    )
