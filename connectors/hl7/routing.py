"""Which message becomes what: the routing, as data. `docs/reference/messages.md` is made of it."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from connectors.facts import EncounterEvent
from connectors.interpretation import NoFacts


class Reads(Enum):
    """What of a message becomes facts. `connectors.hl7.interpret` has the readers."""

    VISIT = "visit"  # EVN and PV1: what happened to a stay
    RESULTS = "results"  # OBR and OBX
    ORDERS = "orders"  # ORC and what it orders
    MEDICATION = "medication"  # RXO, RXE, RXG, RXD, RXA
    STATEMENTS = "statements"  # DG1, PR1, AL1, IAM, PRB, PD1-15
    DOCUMENT = "document"  # TXA


class Joins(Enum):
    """What a message says of two patients or visits. `connectors.hl7.links` has the facts."""

    MERGE = "merge"  # all of MRG's facts belong to the PID
    ACCOUNT = "account"  # those of the account MRG-3 go to the PID, as PID-18
    VISIT = "visit"  # those of the visit MRG-5 go to the PID, as PV1-19
    LINK = "link"  # the two PIDs are one person, under two numbers that both stay in use
    UNLINK = "unlink"  # the two PIDs have nothing to do with each other


class Route(NamedTuple):
    """What a message type and event is mapped to."""

    reads: tuple[Reads, ...] = ()
    event: str = ""  # of `EncounterEvent`
    cancels: bool = False
    order_below: bool = False  # each ORC stands after its OBR
    specimen_first: bool = False  # each SPM stands before the orders on it
    needs_visit: bool = False  # without PV1 the message has lost its meaning
    joins: Joins | None = None
    removes_person: bool = False  # the details of the person are to be forgotten


_CONTENT: Final = (Reads.STATEMENTS, Reads.RESULTS)
_ON_VISIT: Final = (Reads.VISIT, *_CONTENT)


def _visit(event: str, *, cancels: bool = False, needs_visit: bool = True) -> Route:
    return Route(_ON_VISIT, event, cancels=cancels, needs_visit=needs_visit)


_RESULTS: Final = Route((Reads.RESULTS,))
_ORDERS: Final = Route((Reads.ORDERS, Reads.MEDICATION, *_CONTENT))
_ORDERS_BY_SPECIMEN: Final = _ORDERS._replace(specimen_first=True)
_BY_SPECIMEN: Final = Route((Reads.RESULTS,), order_below=True, specimen_first=True)
_STATEMENTS: Final = Route(_CONTENT)
_MERGE: Final = Route(joins=Joins.MERGE)
_ACCOUNT: Final = Route(joins=Joins.ACCOUNT)
_VISIT: Final = Route(joins=Joins.VISIT)
_DOCUMENT: Final = Route((Reads.DOCUMENT,))

# By "type^event". What is neither here nor in the tables below goes to quarantine as
# `unsupported_type`. Events of ADT: HL7 v2.8.2 chapter 3 and table 0003.
ROUTES: Final[dict[str, Route]] = {
    "ADT^A01": _visit(EncounterEvent.ADMITTED),
    "ADT^A02": _visit(EncounterEvent.LOCATED),
    "ADT^A03": _visit(EncounterEvent.DISCHARGED),
    "ADT^A04": _visit(EncounterEvent.REGISTERED),
    "ADT^A05": _visit(EncounterEvent.PLANNED),
    "ADT^A06": _visit(EncounterEvent.ADMITTED),  # outpatient becomes inpatient
    "ADT^A07": _visit(EncounterEvent.LOCATED),  # inpatient becomes outpatient
    "ADT^A08": _visit(EncounterEvent.LOCATED, needs_visit=False),
    "ADT^A10": _visit(EncounterEvent.LOCATED),
    "ADT^A11": _visit(EncounterEvent.ADMITTED, cancels=True),
    "ADT^A12": _visit(EncounterEvent.LOCATED, cancels=True),
    "ADT^A13": _visit(EncounterEvent.DISCHARGED, cancels=True),
    "ADT^A14": _visit(EncounterEvent.PLANNED),
    "ADT^A17": _visit(EncounterEvent.LOCATED),  # two patients, each in the other's bed
    "ADT^A18": _MERGE,
    "ADT^A21": _visit(EncounterEvent.LEFT),
    "ADT^A22": _visit(EncounterEvent.RETURNED),
    "ADT^A23": _visit(EncounterEvent.ADMITTED, cancels=True),
    # Never mother and child: PID-21 is for that (HL7 v2.8.2, 3.3.24).
    "ADT^A24": Route(joins=Joins.LINK),
    "ADT^A27": _visit(EncounterEvent.PLANNED, cancels=True),
    "ADT^A28": _STATEMENTS,
    "ADT^A29": Route(removes_person=True),
    "ADT^A30": _MERGE,
    "ADT^A31": _STATEMENTS,
    "ADT^A32": _visit(EncounterEvent.LOCATED, cancels=True),
    "ADT^A34": _MERGE,
    "ADT^A35": _ACCOUNT,
    "ADT^A36": _MERGE,
    "ADT^A37": Route(joins=Joins.UNLINK),
    "ADT^A38": _visit(EncounterEvent.PLANNED, cancels=True),
    "ADT^A39": _MERGE,
    "ADT^A40": _MERGE,
    "ADT^A41": _ACCOUNT,
    "ADT^A42": _VISIT,
    "ADT^A43": _MERGE,
    "ADT^A44": _ACCOUNT,
    "ADT^A45": _VISIT,
    "ADT^A46": _MERGE,  # another number for the same patient: the old one goes on as the new
    "ADT^A47": _MERGE,
    "ADT^A49": _ACCOUNT,
    "ADT^A50": _VISIT,
    "ADT^A52": _visit(EncounterEvent.LEFT, cancels=True),
    "ADT^A53": _visit(EncounterEvent.RETURNED, cancels=True),
    "ADT^A60": _STATEMENTS,
    **dict.fromkeys(("ORU^R01", "ORU^R30", "ORU^R31", "ORU^R32", "ORU^W01", "ORU"), _RESULTS),
    "OUL^R21": _RESULTS,
    **dict.fromkeys(("OUL^R22", "OUL^R23"), _BY_SPECIMEN),
    "OUL^R24": Route((Reads.RESULTS,), order_below=True),
    **dict.fromkeys(("ORM^O01", "ORM", "OML^O21", "OMG^O19", "OMI^O23"), _ORDERS),
    **dict.fromkeys(("OML^O33", "OML^O35", "ORL^O34", "ORL^O36"), _ORDERS_BY_SPECIMEN),
    **dict.fromkeys(("ORG^O20", "ORL^O22", "ORR^O02", "ORI^O24"), _ORDERS),
    **dict.fromkeys(("OMP^O09", "RDE^O11", "RDE^O01", "RDE^O25", "RDE"), _ORDERS),
    **dict.fromkeys(("RDS^O13", "RDS^O01", "RGV^O15", "RAS^O17", "RAS^O01", "VXU^V04"), _ORDERS),
    **dict.fromkeys((f"MDM^T{number:02}" for number in range(1, 11)), _DOCUMENT),
    "MDM^T11": Route((Reads.DOCUMENT,), cancels=True),
    **dict.fromkeys(
        ("BAR^P01", "BAR^P05", "BAR^P10", "BAR^P12", "DFT^P03", "DFT^P11"), _STATEMENTS
    ),
    **dict.fromkeys(("PPR^PC1", "PPR^PC2", "PPR^PC3"), _STATEMENTS),
}

_QUERIES: Final = """
DSR EDR EQQ ERP OSQ OSR QBP QCK QCN QRY QSB QSX QVR RAR RDR RER RGR ROR RQQ RSP RTB SPQ TBR UDM
VQQ VXQ VXR VXX
"""

# By MSH-9.1 (table 0076).
NO_FACTS: Final[dict[str, NoFacts]] = {
    **dict.fromkeys(("ACK", "MCF", "RRA", "RRD", "RRE", "RRG", "ORA", "ORP"), NoFacts.ACK),
    **dict.fromkeys(_QUERIES.split(), NoFacts.QUERY),
    **dict.fromkeys(("SCN", "SDN", "SDR", "SIU", "SQM", "SQR", "SRM", "SRR"), NoFacts.SCHEDULING),
    **dict.fromkeys(("MFD", "MFK", "MFN", "MFQ", "MFR"), NoFacts.MASTER_FILE),
    **dict.fromkeys(("NMD", "NMQ", "NMR"), NoFacts.NETWORK),
}
# By "type^event", where the type may have facts.
NO_FACTS_EVENTS: Final[dict[str, NoFacts]] = {
    "ADT^A09": NoFacts.INTENTION,  # on the way to somewhere: A10 says where to
    "ADT^A15": NoFacts.INTENTION,
    "ADT^A16": NoFacts.INTENTION,
    "ADT^A19": NoFacts.QUERY,
    "ADT^A20": NoFacts.BEDS,
    "ADT^A25": NoFacts.INTENTION,
    "ADT^A26": NoFacts.INTENTION,
    "ADT^A33": NoFacts.INTENTION,
    "ADT^A48": NoFacts.OTHER_NUMBERS,
    "ADT^A51": NoFacts.OTHER_NUMBERS,
    **dict.fromkeys(("ADT^A54", "ADT^A55", "ADT^A61", "ADT^A62"), NoFacts.STAFF),
    **dict.fromkeys(("BAR^P02", "BAR^P06", "DFT^P04"), NoFacts.MONEY),
}


def no_facts(code: str, event: str) -> NoFacts | None:
    """The reason why a message type has no facts; None when it may have some."""
    if event == "ACK":
        return NoFacts.ACK
    return NO_FACTS.get(code) or NO_FACTS_EVENTS.get(f"{code}^{event}")
