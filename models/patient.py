"""A patient as a worker keeps them: their own facts, and facts of others who turned out to be them.

A merge, a move or a link is a `Link` fact like any other. While it is in force, the worker that
owns the one patient hands their facts on to the other (`MessageFacts.part`), and each handed-on
part lies in a compartment of its own, so that an unmerge takes away exactly what the merge brought.
The *record*, which scores and pages read, is the join of what belongs to the patient today.

- A part keeps the path that it came along, and never goes where it has been: what is withdrawn at
  one end is gone at the other, whatever else is linked.
- Which of two patients survives is decided by the newest statement about the pair.
- In a ring of merges nobody survives by that rule: then everybody stays, with all the facts. Two
  alerts for one person are better than none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from connectors.facts import AnyFact, Link, MessageFacts, Part, encode
from models.compartment import Compartment, Meta
from models.links import Assignment, Shares, assign
from models.record import EVER, PatientRecord

MOST_BYTES = 500_000  # of the facts in one message handed on, where one alone is not larger


class Folded(NamedTuple):
    """What a message did to a patient."""

    slots: Sequence[str]  # own slots to store
    parts: Sequence[tuple[str, str]]  # (compartment, slot) to store; slot "" for its meta
    dropped: Sequence[tuple[str, str]]  # (compartment, slot) to forget
    changed: list[AnyFact]  # the facts that count now and did not before
    since: float | None  # as `models.record.Change.since`
    handed_on: list[MessageFacts]


class _Taken(NamedTuple):
    """What a message brought into the compartments."""

    changed: list[AnyFact]
    slots: Sequence[str] = ()
    parts: Sequence[tuple[str, str]] = ()
    dropped: Sequence[tuple[str, str]] = ()


class Patient:
    """See the module. Only `fold` and `restore` change it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.record = PatientRecord()
        self.parts: dict[str, Compartment] = {}
        self._links: dict[str, Link] = {}  # of `own`, by slot
        # None as long as the record holds the patient's own facts and nothing else.
        self._own: Compartment | None = None

    @property
    def own(self) -> dict[str, AnyFact]:
        """The patient's own facts, by slot."""
        return self.record.facts if self._own is None else self._own.facts

    @property
    def clock(self) -> float | None:
        """The newest time of the patient's own messages; None when there were none."""
        if self._own is not None:
            return self._own.meta.clock
        return self.record.clock if self.record.clock > EVER else None

    def fold(self, message: MessageFacts, version: int) -> Folded:
        """Take in a message. `version` grows from message to message of this patient."""
        linking = message.part is not None or any(isinstance(f, Link) for f in message.facts)
        if self._own is None and not linking:
            record = self.record
            record.clock = max(record.clock, message.sent)
            change = record.fold_facts(message.facts)
            changed = [record.facts[slot] for slot in change.slots]
            return Folded(change.slots, [], [], changed, change.since, [])
        own = self._separate()
        before = self._assignment(own)
        if message.part is None:
            taken = self._take_own(own, message)
        else:
            taken = self._take_part(message, message.part)
        after = self._assignment(own)
        return Folded(
            taken.slots,
            taken.parts,
            taken.dropped,
            taken.changed,
            self._renew(taken, before, after),
            list(_to_messages(message, version, before.shares, after.shares)),
        )

    def _separate(self) -> Compartment:
        if self._own is None:
            self._own = Compartment(Meta((self.name,), self.clock), dict(self.record.facts))
        return self._own

    def _take_own(self, own: Compartment, message: MessageFacts) -> _Taken:
        own.advance(message.sent)
        slots = own.join(message.facts)
        changed = [own.facts[slot] for slot in slots]
        for slot, fact in zip(slots, changed, strict=True):
            if isinstance(fact, Link):
                self._links[slot] = fact
        return _Taken(changed, slots)

    def _take_part(self, message: MessageFacts, part: Part) -> _Taken:
        """Facts that another patient hands on."""
        key = ">".join(part.path)
        compartment = self.parts.setdefault(key, Compartment(Meta(part.path)))
        if part.withdrawn:
            gone = compartment.withdraw(part.version)
            if gone is None:
                return _Taken([])
            return _Taken([], parts=[(key, "")], dropped=[(key, slot) for slot in gone])
        slots = compartment.take(message.facts, message.sent, part.version)
        if slots is None:
            return _Taken([])
        changed = [compartment.facts[slot] for slot in slots]
        return _Taken(changed, parts=[(key, ""), *((key, slot) for slot in slots)])

    def _assignment(self, own: Compartment) -> Assignment:
        return assign(self.name, self._links.values(), own, self._active())

    def _active(self) -> list[Compartment]:
        return [part for part in self.parts.values() if not part.meta.withdrawn]

    def _renew(self, taken: _Taken, before: Assignment, after: Assignment) -> float | None:
        """Bring the record up to date; from when on do its views differ?"""
        same = after.routing == before.routing and after.staying is None
        if not same or taken.dropped:
            self._rebuild(after)
            return EVER
        self._set_clock()
        return self.record.fold_facts(f for f in taken.changed if not isinstance(f, Link)).since

    def _rebuild(self, assignment: Assignment) -> None:
        routing, staying, _ = assignment
        if staying is None:
            held = (self.own, *(part.facts for part in self._active()))
            staying = [f for facts in held for f in facts.values() if not isinstance(f, Link)]
        self.record = PatientRecord()
        self.record.fold_facts(staying)
        self.record.merged_into = "" if routing.ring else routing.into
        self._set_clock()

    def _set_clock(self) -> None:
        clocks = [self.clock, *(part.meta.clock for part in self._active())]
        self.record.clock = max((c for c in clocks if c is not None), default=EVER)

    # ── what a store keeps, and the canonical form ──────────────────────────────────────────

    def restore(
        self, clock: float | None, own: Iterable[AnyFact], parts: dict[str, Compartment]
    ) -> None:
        """Take what a store kept."""
        self.record.fold_facts(own)
        self.record.clock = EVER if clock is None else clock
        self._links = {s: f for s, f in self.record.facts.items() if isinstance(f, Link)}
        if self._links or parts:
            self.parts = parts
            self._rebuild(self._assignment(self._separate()))

    def canonical(self) -> bytes:
        """What is known, as JSON bytes: equal patients give equal bytes, whatever their history."""
        known: dict[str, object] = {"clock": self.clock, "facts": dict(sorted(self.own.items()))}
        active = {
            key: {"clock": part.meta.clock, "facts": dict(sorted(part.facts.items()))}
            for key, part in sorted(self.parts.items())
            if not part.meta.withdrawn
        }
        if active:
            known["parts"] = active
        return msgspec.json.encode(known)

    def digest(self) -> str:
        """SHA-256 of the canonical form."""
        return hashlib.sha256(self.canonical()).hexdigest()


def _to_messages(
    cause: MessageFacts, version: int, before: Shares, after: Shares
) -> Iterator[MessageFacts]:
    """What has to be told to other patients after a message."""
    for target in sorted(before.keys() | after.keys()):
        had, has = before.get(target, {}), after.get(target, {})
        for path in sorted(had.keys() | has.keys()):
            part = Part(path=path, version=version)
            old, new = had.get(path), has.get(path)
            if old is not None and (new is None or old.facts.keys() - new.facts.keys()):
                gone = replace(part, withdrawn=True)
                yield replace(cause, patient=target, facts=[], part=gone)
                old = None
            if new is None:
                continue
            known = old.facts if old is not None else {}
            # By slot: equal bytes, whether the facts came one by one or from a store.
            facts = [f for slot, f in sorted(new.facts.items()) if known.get(slot) != f]
            if facts or old is None or old.clock != new.clock:
                sent = cause.sent if new.clock is None else new.clock
                for some in _chunks(facts):
                    yield replace(cause, patient=target, sent=sent, facts=some, part=part)


def _chunks(facts: list[AnyFact]) -> Iterator[list[AnyFact]]:
    """Facts in messages that fit a record of the log; one empty message without any."""
    chunk: list[AnyFact] = []
    size = 0
    for fact in facts:
        more = len(encode(fact))
        if chunk and size + more > MOST_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(fact)
        size += more
    yield chunk


def settle(
    patients: dict[str, Patient], messages: Iterable[MessageFacts]
) -> Iterator[tuple[str, Folded]]:
    """Fold messages, and what they make patients hand on, until nothing is left to tell."""
    queue = list(messages)
    for version, message in enumerate(queue):  # the queue grows as facts are handed on
        patient = patients.setdefault(message.patient, Patient(message.patient))
        folded = patient.fold(message, version)
        queue += folded.handed_on
        yield message.patient, folded
