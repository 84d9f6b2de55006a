"""Which message becomes what: the routing, as data."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final, NamedTuple

from connectors.facts import EncounterEvent


class NoFacts(StrEnum):
    """Why a message that was understood gives no facts."""

    ACK = "ack"  # an answer to somebody's message
    QUERY = "query"  # a question, or the answer to one that Tocsin did not ask
    SCHEDULING = "scheduling"  # appointments: nothing has happened to the patient
    MASTER_FILE = "master_file"  # reference data, no patient
    NETWORK = "network"  # the state of interfaces and clocks
    NOTHING_MAPPED = "nothing_mapped"  # a mapped type with nothing in it that becomes a fact


class Reads(Enum):
    """What of a message becomes facts. `connectors.hl7.interpret` has the readers."""

    IDENTITY = "identity"  # PID and MRG: merges, moves, links
    VISIT = "visit"  # EVN and PV1: what happened to a stay
    RESULTS = "results"  # OBR and OBX
    ORDERS = "orders"  # ORC and what it orders
    MEDICATION = "medication"  # RXO, RXE, RXD, RXA
    STATEMENTS = "statements"  # DG1, PR1, AL1, IAM, PRB
    DOCUMENT = "document"  # TXA
    STUDIES = "studies"  # imaging studies: IPC, OBX with a StudyInstanceUID, OBR of radiology
    VARIANTS = "variants"  # OBX groups of clinical genomics


class Route(NamedTuple):
    """What a message type and event is mapped to."""

    reads: tuple[Reads, ...]
    event: str = ""  # of `EncounterEvent`
    cancels: bool = False
    needs_visit: bool = False  # without PV1 the message has lost its meaning


_ON_VISIT: Final = (Reads.VISIT, Reads.RESULTS)
_ADMITTED = Route(_ON_VISIT, EncounterEvent.ADMITTED, needs_visit=True)

# By "type^event". What is neither here nor in NO_FACTS goes to quarantine as `unsupported_type`.
ROUTES: Final[dict[str, Route]] = {
    "ADT^A01": _ADMITTED,
    "ADT^A02": Route(_ON_VISIT, EncounterEvent.LOCATED, needs_visit=True),
    "ADT^A03": Route(_ON_VISIT, EncounterEvent.DISCHARGED, needs_visit=True),
    "ADT^A04": _ADMITTED,
    "ADT^A08": Route(_ON_VISIT, EncounterEvent.LOCATED),
    "ADT^A11": Route(_ON_VISIT, EncounterEvent.ADMITTED, cancels=True, needs_visit=True),
    "ADT^A13": Route(_ON_VISIT, EncounterEvent.DISCHARGED, cancels=True, needs_visit=True),
    "ORU^R01": Route((Reads.RESULTS,)),
    "ORU": Route((Reads.RESULTS,)),  # v2.1 and v2.2 knew the type alone
}

_QUERIES: Final = """
DSR EDR EQQ ERP OSQ OSR QBP QCK QCN QRY QSB QSX QVR RAR RDR RER RGR ROR RQQ RSP RTB SPQ TBR UDM
VQQ VXQ VXR VXX
"""

# By MSH-9.1 (table 0076).
NO_FACTS: Final[dict[str, NoFacts]] = {
    **dict.fromkeys(("ACK", "MCF"), NoFacts.ACK),
    **dict.fromkeys(_QUERIES.split(), NoFacts.QUERY),
    **dict.fromkeys(("SCN", "SDN", "SDR", "SIU", "SQM", "SQR", "SRM", "SRR"), NoFacts.SCHEDULING),
    **dict.fromkeys(("MFD", "MFK", "MFN", "MFQ", "MFR"), NoFacts.MASTER_FILE),
    **dict.fromkeys(("NMD", "NMQ", "NMR"), NoFacts.NETWORK),
}


def no_facts(code: str, event: str) -> NoFacts | None:
    """The reason why a message type has no facts; None when it may have some."""
    return NoFacts.ACK if event == "ACK" else NO_FACTS.get(code)
