"""What a replay's messages say, by the way of live data."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.facts import MessageFacts
from connectors.hl7.interpret import interpret
from connectors.identity import IdentityKey
from connectors.interpretation import Profile
from connectors.replay.timed import Timed
from models.record import PatientRecord


def record_of(messages: Iterable[Timed], now: float) -> PatientRecord:
    """What the fold makes of one patient's messages, read at an epoch second."""
    record, key = PatientRecord(), IdentityKey(bytes(32))
    for message in messages:
        read = interpret(message.raw, now, key, Profile())
        assert read.outcome == "facts" and not read.issues
        record.fold(
            MessageFacts(
                patient=read.pseudonym, sent=read.sent, heard=read.sent, wire="", facts=read.facts
            )
        )
    return record
