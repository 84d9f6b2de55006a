"""What the tests of this folder share: one key, one clock, one patient."""

from __future__ import annotations

from connectors.facts import MessageFacts, Observation
from connectors.hl7 import build
from connectors.hl7.interpret import Interpretation, Profile, interpret
from connectors.identity import IdentityKey
from models.record import PatientRecord

KEY = IdentityKey(bytes(32))
SENT = 1_767_268_800.0  # 2026-01-01 12:00 UTC
HEARD = SENT + 86_400.0
PATIENT = [("42", "HOSP", "MR")]
POTASSIUM: build.Code = ("2823-3", "Potassium", "LN")
PANEL: build.Code = ("51990-0", "Basic metabolic panel", "LN")


def read(raw: bytes, heard: float = HEARD, profile: Profile | None = None) -> Interpretation:
    """One message."""
    return interpret(raw, heard, KEY, profile or Profile())


def lines(*segments: str, kind: str = "ORU^R01", charset: str = "") -> bytes:
    """A message of a header and raw segments."""
    header = f"MSH|^~\\&|LAB|HOSP|||20260101120000+0000||{kind}|C1|P|2.5.1||||||{charset}"
    return "\r".join([header, *segments, ""]).encode()


def result(
    *observations: str, order: str = "OBR|1||F1^LAB|1^Panel^L|||20260101110000+0000"
) -> bytes:
    """An ORU of raw OBX segments."""
    return lines("PID|1||42^^^HOSP^MR", order, *observations)


def observed(read_message: Interpretation) -> list[Observation]:
    """The observations among its facts."""
    return [f for f in read_message.facts if isinstance(f, Observation)]


def fold(*messages: bytes) -> PatientRecord:
    """The patient after those messages."""
    record = PatientRecord()
    for raw in messages:
        found = read(raw)
        assert found.outcome == "facts", found
        record.fold(
            MessageFacts(
                patient=found.pseudonym, sent=found.sent, heard=HEARD, wire="", facts=found.facts
            )
        )
    return record
