"""What Tocsin makes of one message, whatever it came as: the common ground of all interpreters.

`connectors.interpret` chooses the interpreter: `connectors.hl7`, `connectors.imaging` or
`connectors.genomics`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol

from connectors.codes import NO_CODES, CodeMap
from connectors.facts import AnyFact
from connectors.identity import Identity
from connectors.quarantine import Reason


class Issue(NamedTuple):
    """Something that could not be understood. `detail` never holds patient data."""

    reason: Reason
    detail: str
    location: str  # "OBX[3]-5"; "" for the whole message


class RefusedError(Exception):
    """Stops the mapping of a message, a segment or a field, with the issue that says why."""

    def __init__(self, reason: Reason, detail: str, location: str = "") -> None:
        super().__init__(detail)
        self.issue = Issue(reason, detail, location)


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """How a source's messages are read (`SequencerSettings`, `connectors.site`)."""

    time_zone: str = "UTC"  # IANA name, of times without an offset
    zone_of_source: bool = False  # set for this very source: counts more than the offset of MSH-7
    charset: str = ""  # overrides MSH-18
    max_future_s: float = 600.0  # a time further ahead of the clock than this is refused
    preferred_types: tuple[str, ...] = ("MR", "PI", "PT", "AN")  # table 0203, best first
    # (authority as sent, authority meant): one hospital's names for the same registry
    authorities: tuple[tuple[str, str], ...] = ()
    facility: str = ""  # authority of identifiers that name none; "" in HL7: MSH-4
    identifier_type: str = "MR"  # of patient numbers that come without one (DICOM, VCF)
    codes: CodeMap = NO_CODES
    processing: tuple[str, ...] = ()  # MSH-11 that is taken (table 0103); () all of them
    # Kept by `connectors.hl7.results`: what OBX segments say besides value and time.
    shapes: dict[Any, Any] = field(default_factory=dict, repr=False)

    def of(self, source: str) -> Profile:
        """A profile by itself is a site at which all sources are alike."""
        return self


class Site(Protocol):
    """Knows the profile of each source."""

    def of(self, source: str) -> Profile:
        """The profile of a source, named as in `Interpretation.source`."""
        ...


class NoFacts(StrEnum):
    """Why a message that was understood gives no facts."""

    ACK = "ack"  # an answer to somebody's message
    QUERY = "query"  # a question, or the answer to one that Tocsin did not ask
    SCHEDULING = "scheduling"  # appointments: nothing has happened to the patient
    MASTER_FILE = "master_file"  # reference data, no patient
    NETWORK = "network"  # the state of interfaces and clocks
    BEDS = "beds"  # the state of a bed, not of a patient
    INTENTION = "intention"  # a transfer or discharge that is planned, or no longer planned
    STAFF = "staff"  # who treats the patient
    OTHER_NUMBERS = "other_numbers"  # numbers by which Tocsin knows nobody
    MONEY = "money"  # accounts and charges without a diagnosis or procedure
    NOTHING_MAPPED = "nothing_mapped"  # a mapped type with nothing in it that becomes a fact
    # Imaging
    AWAITS_ARCHIVE = "awaits_archive"  # it names no patient: the archive says whose the study is
    NOT_AVAILABLE = "not_available"  # nothing of the study can be fetched
    NOTHING_NEW = "nothing_new"  # a step that was given up says nothing of its study


class StudyToFetch(NamedTuple):
    """An imaging study that is said to be retrievable: the archive has to be asked about it."""

    study_uid: str


@dataclass(slots=True)
class About:
    """What a message says of one patient."""

    pseudonym: str
    identity: Identity | None  # None: nothing new for the vault
    facts: list[AnyFact] = field(default_factory=list)


@dataclass(slots=True)
class Interpretation:
    """What one message says, and what of it could not be understood.

    `outcome` is "facts" with at least one fact (`issues` then holds the parts that were not
    understood), "no_facts" with a reason (`NoFacts`), or "quarantine" with
    a `Reason`, which is also that of the first of `issues`.
    """

    outcome: Literal["facts", "no_facts", "quarantine"]
    reason: str = ""
    message_type: str = ""  # "ORU^R01"
    control_id: str = ""
    source: str = ""  # "MSH-3|MSH-4"
    sent: float = 0.0  # MSH-7, else when it was heard; UTC epoch seconds
    patients: list[About] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    # (system, code, unit) of observations whose code is the site's own → how many
    unmapped: dict[tuple[str, str, str], int] = field(default_factory=dict)
    fetch: list[StudyToFetch] = field(default_factory=list)

    def refuse(self, issue: Issue) -> None:
        """The message as a whole goes to quarantine; whom it names stays known."""
        for about in self.patients:
            about.facts = []
        self.outcome, self.reason = "quarantine", issue.reason
        self.issues.insert(0, issue)

    @property
    def facts(self) -> list[AnyFact]:
        """All facts, of whichever patient."""
        return [fact for about in self.patients for fact in about.facts]

    @property
    def pseudonym(self) -> str:
        """The first patient; "" without one."""
        return self.patients[0].pseudonym if self.patients else ""

    def identities(self) -> Iterator[tuple[str, Identity]]:
        """What the vault has to learn."""
        for about in self.patients:
            if about.identity is not None:
                yield about.pseudonym, about.identity
