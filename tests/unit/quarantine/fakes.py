"""The log in memory, and things that lie in it."""

from __future__ import annotations

import json
from typing import Any

from connectors import contract, topics
from connectors.contract import Quarantined
from connectors.identity import IdentityKey
from connectors.interpret import interpret
from connectors.interpretation import Interpretation, Profile
from connectors.journal import Headers
from connectors.quarantine import Reason, quarantined
from connectors.wire import WireMessage
from tests.unit.journal import NOW, MemoryJournal

RECEIVED = NOW - 3_600.0
MESSAGE = (
    b"MSH|^~\\&|LAB|HOSP|||20261123110000||ORU^R01|C1|P|2.5.1\r"
    b"PID|1||||Doe^Jane||19500101|F\r"
    b"OBR|1|||1^Panel^L|||20261123105900\r"
    b"OBX|1|NM|2823-3^K^LN||4.1|mmol/L|||||F\r"
)
WHOLE = MESSAGE.replace(b"PID|1||||", b"PID|1||4711^^^HOSP^MR||")


class QuarantineJournal(MemoryJournal):
    """With what lies in quarantine."""

    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(record.value) for record in self.of(topics.AUDIT)]

    def wired(
        self,
        raw: bytes = MESSAGE,
        reason: Reason = Reason.NO_PATIENT,
        location: str = "PID-3",
        *,
        topic: str = topics.WIRE_HL7,
        headers: Headers | None = None,
        partition: int = 0,
        partial: bool = False,
    ) -> Quarantined:
        """A message in the wire log, and the item that it became."""
        if headers is None:
            headers = [
                (topics.HEADER_SOURCE, b"LAB|HOSP"),
                (topics.HEADER_RECEIVED_AT, f"{RECEIVED:.6f}".encode()),
            ]
        self.append(topic, raw, headers, partition)
        offset = self.records[topic, partition][-1].offset
        record = quarantined(
            reason,
            "no usable identifier",
            raw=raw,
            received_at=RECEIVED,
            source="LAB|HOSP",
            wire=f"{topic}/{partition}/{offset}",
            location=location,
            message_type="ORU^R01",
            partial=partial,
        )
        self.refuse(record)
        return record

    def held(self, raw: bytes, reason: Reason) -> Quarantined:
        """An item whose bytes never reached the wire log."""
        record = quarantined(reason, "a frame", raw=raw, received_at=RECEIVED, source="LAB|HOSP")
        self.refuse(record)
        return record

    def refuse(self, record: Quarantined, partition: int = 0) -> None:
        self.append(topics.QUARANTINE, contract.encode(record), [], partition)


class FixedInterpreter:
    """`streams.quarantine_desk.Interpreter` with a key and a profile of the test."""

    def __init__(self, profile: Profile | None = None) -> None:
        self._profile = profile or Profile()
        self.heard: list[WireMessage] = []

    def read(self, message: WireMessage) -> list[Interpretation]:
        self.heard.append(message)
        return interpret(message, IdentityKey(bytes(32)), self._profile)

    def charset(self, source: str) -> str:
        return self._profile.charset

    def refresh(self) -> None:
        pass
