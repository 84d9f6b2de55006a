"""The sequencer: raw messages → the one log of facts.

Reads `tocsin.wire.*`, maps each message to facts (`connectors.interpret`), gives the patient a
keyed pseudonym, and writes micro-batched records to `tocsin.facts`: at low load one message a
record, under load many. What cannot be understood goes to `tocsin.quarantine`; what an archive
has to be asked about goes back to `tocsin.wire.imaging`. At least once is enough: the fold makes
repetition harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from connectors import contract, facts, topics
from connectors.clock import Clock
from connectors.facts import FactRecord, MessageFacts
from connectors.identity import Identity, IdentityKey, merged
from connectors.interpret import interpret
from connectors.interpretation import About, Interpretation, Issue, Site, StudyToFetch
from connectors.quarantine import Reason, quarantined
from connectors.record_size import USUAL
from connectors.trace import new_traceparent
from connectors.wire import WireMessage

MOST_ISSUES = 100  # quarantine records of one message
MOST_FACTS = 500  # facts of one message in one record: a larger message is written in parts
LARGEST = USUAL  # bytes of one message's facts
LONGEST_NAME = 200  # characters of a source, a control id, a message type


_CENTURY = 946_684_800.0  # 2000-01-01
_AHEAD_S = 60.0


class _Sized(NamedTuple):
    size: int  # bytes when encoded
    message: MessageFacts


@dataclass(slots=True)
class Sequenced:
    """What a batch of messages becomes."""

    records: dict[int, list[FactRecord]] = field(default_factory=dict)  # by partition of facts
    quarantine: list[tuple[str, bytes]] = field(default_factory=list)  # (key, record)
    identities: dict[str, Identity] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], int] = field(default_factory=dict)  # (outcome, reason)
    reasons: dict[str, int] = field(default_factory=dict)  # of quarantine records
    fetch: list[tuple[str, StudyToFetch]] = field(default_factory=list)  # (source, study)
    facts: int = 0
    # source, system, code and unit, parted by tabs → seen
    unmapped: dict[str, int] = field(default_factory=dict)
    # message after message: its source, and whether it was quarantined as a whole
    of_sources: list[tuple[str, bool]] = field(default_factory=list)


class Sequencer:
    """Turns batches of raw messages into records. No I/O."""

    def __init__(
        self,
        key: IdentityKey,
        site: Site,
        partitions: int,
        record_messages: int,
        clock: Clock,
        record_bytes: int = USUAL,
    ) -> None:
        self._key = key
        self._site = site
        self._partitions = partitions
        self._record_messages = record_messages
        self._record_bytes = record_bytes
        self._clock = clock

    def sequence(self, batch: Iterable[WireMessage]) -> Sequenced:
        """Map a batch. Never raises for any bytes."""
        out = Sequenced()
        pending: dict[int, list[_Sized]] = {}
        for message in batch:
            for read in interpret(message, self._key, self._site):
                _tally(out, read)
                if not message.redriven:
                    out.of_sources.append((read.source, read.outcome == "quarantine"))
                self._set_aside(out, message, read)
                out.fetch += [(read.source, study) for study in read.fetch]
                for pseudonym, identity in read.identities():
                    out.identities[pseudonym] = merged(out.identities.get(pseudonym), identity)
                for told in read.patients:
                    if told.facts:
                        self._take(out, pending, message, read, told)
        for partition, messages in pending.items():
            out.records[partition] = list(self._to_records(messages))
        return out

    def _take(
        self,
        out: Sequenced,
        pending: dict[int, list[_Sized]],
        message: WireMessage,
        read: Interpretation,
        about: About,
    ) -> None:
        """One patient's facts, unless they do not fit a record even by themselves."""
        parts = [_Sized(len(facts.encode(p)), p) for p in self._to_messages(message, read, about)]
        if any(part.size > LARGEST for part in parts):
            issue = Issue(Reason.OVERSIZED_FACTS, "its facts do not fit a record", "")
            self._quarantine(out, message, read, issue)
            return
        out.facts += len(about.facts)
        partition = topics.partition_of(about.pseudonym, self._partitions)
        pending.setdefault(partition, []).extend(parts)

    def tick(self, silent: list[str]) -> FactRecord:
        """The clock, for every partition, and the feeds that should have said something."""
        return FactRecord(tick=facts.Tick(at=self._clock(), silent=silent))

    def _to_messages(
        self, message: WireMessage, read: Interpretation, about: About
    ) -> Iterator[MessageFacts]:
        now = self._clock()
        trace = message.trace or new_traceparent(0.0)
        for start in range(0, len(about.facts), MOST_FACTS):
            yield MessageFacts(
                patient=about.pseudonym,
                sent=read.sent,
                heard=message.heard,
                wire=message.position,
                facts=about.facts[start : start + MOST_FACTS],
                source=read.source[:LONGEST_NAME],
                message_type=read.message_type,
                control_id=read.control_id,
                trace=trace,
                sequenced=now,
            )

    def _to_records(self, parts: list[_Sized]) -> Iterator[FactRecord]:
        chunk: list[MessageFacts] = []
        size = 0
        for part in parts:
            full = len(chunk) >= self._record_messages or size + part.size > self._record_bytes
            if chunk and full:
                yield FactRecord(messages=chunk)
                chunk, size = [], 0
            chunk.append(part.message)
            size += part.size
        if chunk:
            yield FactRecord(messages=chunk)

    def _set_aside(self, out: Sequenced, message: WireMessage, read: Interpretation) -> None:
        """One quarantine record for each thing that was not understood."""
        for issue in read.issues[:MOST_ISSUES]:
            self._quarantine(out, message, read, issue)
        if read.outcome == "quarantine" and not read.issues:
            raise AssertionError(f"quarantine without an issue: {Reason(read.reason)}")

    def _quarantine(
        self, out: Sequenced, message: WireMessage, read: Interpretation, issue: Issue
    ) -> None:
        record = quarantined(
            issue.reason,
            issue.detail,
            raw=message.raw,
            received_at=message.heard,
            source=read.source[:LONGEST_NAME],
            wire=message.position,
            location=issue.location,
            message_type=read.message_type[:LONGEST_NAME],
            control_id=read.control_id[:LONGEST_NAME],
            partial=read.outcome != "quarantine",
            trace=message.trace,
        )
        out.quarantine.append((record.id, contract.encode(record)))
        out.reasons[record.reason] = out.reasons.get(record.reason, 0) + 1


def _tally(out: Sequenced, read: Interpretation) -> None:
    outcome = (read.outcome, read.reason)
    out.outcomes[outcome] = out.outcomes.get(outcome, 0) + 1
    for about, count in read.unmapped.items():
        name = "\t".join((read.source, *about))
        out.unmapped[name] = out.unmapped.get(name, 0) + count


def headers_of(pairs: Iterable[tuple[str, bytes | None]] | None) -> dict[str, str]:
    """Record headers as text; those that are none are left out."""
    found: dict[str, str] = {}
    for name, value in pairs or ():
        try:
            found[name] = (value or b"").decode()
        except UnicodeDecodeError:
            continue
    return found


def to_heard(headers: dict[str, str], timestamp_s: float, now: float) -> float:
    """When Tocsin heard a message: the header, else the record's timestamp, else now.

    Whatever lies before this century, or ahead of the clock, cannot be true and is passed over.
    """
    try:
        claimed = float(headers[topics.HEADER_RECEIVED_AT])
    except (KeyError, ValueError):
        claimed = timestamp_s
    for heard in (claimed, timestamp_s):
        if _CENTURY < heard <= now + _AHEAD_S:
            return heard
    return now
