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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from connectors.facts import (
    AnyFact,
    EncounterEvent,
    Link,
    LinkKind,
    MessageFacts,
    Part,
    PersonDetail,
    Rank,
)
from models.record import EVER, PatientRecord, joined, slot_of

MOST_FACTS = 500  # in one message handed on
MOST_HOPS = 8  # patients along one path: more than any chain of merges that means something


class Meta(msgspec.Struct, omit_defaults=True):
    """What is known of a compartment besides its facts."""

    path: tuple[str, ...]  # as in `connectors.facts.Part`; of own facts: the patient alone
    clock: float | None = None
    version: int = -1  # of the newest message
    reset: int = -1  # of the newest withdrawal
    withdrawn: bool = False


@dataclass(slots=True)
class Compartment:
    """The facts of one patient that came one way."""

    meta: Meta
    facts: dict[str, AnyFact] = field(default_factory=dict)

    def advance(self, clock: float) -> None:
        """Move the clock, never back."""
        self.meta.clock = clock if self.meta.clock is None else max(self.meta.clock, clock)

    def join(self, facts: Iterable[AnyFact]) -> list[str]:
        """Take in facts; returns the slots that hold another one now."""
        changed: list[str] = []
        for fact in facts:
            slot = slot_of(fact)
            old = self.facts.get(slot)
            new = fact if old is None else joined(fact, old)
            if new is not old:
                self.facts[slot] = new
                changed.append(slot)
        return changed


class Folded(NamedTuple):
    """What a message did to a patient."""

    slots: list[str]  # own slots to store
    parts: list[tuple[str, str]]  # (compartment, slot) to store; slot "" for its meta
    dropped: list[tuple[str, str]]  # (compartment, slot) to forget
    changed: list[AnyFact]  # the facts that count now and did not before
    since: float | None  # as `models.record.Change.since`
    handed_on: list[MessageFacts]


class _Handed(NamedTuple):
    """What one target gets along one path."""

    clock: float | None
    facts: dict[str, AnyFact]


_Shares = dict[str, dict[tuple[str, ...], _Handed]]  # target → path → facts


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
    def clock(self) -> float:
        """The newest time of the patient's own messages."""
        if self._own is None:
            return self.record.clock
        return EVER if self._own.meta.clock is None else self._own.meta.clock

    # ── the fold ────────────────────────────────────────────────────────────────────────────

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
        before = self._shares()
        routing = self._routing()
        slots: list[str] = []
        parts: list[tuple[str, str]] = []
        dropped: list[tuple[str, str]] = []
        if message.part is None:
            own.advance(message.sent)
            slots = own.join(message.facts)
            changed = [own.facts[slot] for slot in slots]
            self._links.update((s, f) for s in slots if isinstance(f := own.facts[s], Link))
        else:
            changed = self._take_part(message, message.part, parts, dropped)
        since = self._renew(changed, dropped, routing)
        handed = self._to_messages(message, version, before)
        return Folded(slots, parts, dropped, changed, since, handed)

    def _separate(self) -> Compartment:
        if self._own is None:
            clock = self.record.clock
            meta = Meta((self.name,), clock if clock > EVER else None)
            self._own = Compartment(meta, dict(self.record.facts))
        return self._own

    def _take_part(
        self,
        message: MessageFacts,
        part: Part,
        stored: list[tuple[str, str]],
        dropped: list[tuple[str, str]],
    ) -> list[AnyFact]:
        """Facts that another patient hands on. Late repetitions from before a reset are void."""
        key = ">".join(part.path)
        compartment = self.parts.get(key)
        if compartment is None:
            compartment = self.parts[key] = Compartment(Meta(part.path))
        meta = compartment.meta
        if part.withdrawn:
            if part.version <= meta.reset or part.version < meta.version:
                return []
            meta.reset = meta.version = part.version
            meta.withdrawn, meta.clock = True, None
            dropped += [(key, slot) for slot in compartment.facts]
            compartment.facts = {}
            stored.append((key, ""))
            return []
        if part.version < meta.reset:
            return []
        meta.version, meta.withdrawn = max(meta.version, part.version), False
        compartment.advance(message.sent)
        slots = compartment.join(message.facts)
        stored += [(key, ""), *((key, slot) for slot in slots)]
        return [compartment.facts[slot] for slot in slots]

    def _renew(
        self, changed: list[AnyFact], dropped: list[tuple[str, str]], before: _Routing
    ) -> float | None:
        """Bring the record up to date; from when on do its views differ?"""
        routing = self._routing()
        if routing == before and routing.all_stay and not dropped:
            self._set_clock()
            return self.record.fold_facts(f for f in changed if not isinstance(f, Link)).since
        self._rebuild(routing)
        return EVER

    def _rebuild(self, routing: _Routing) -> None:
        staying, _ = self._assigned(routing)
        self.record = PatientRecord()
        self.record.fold_facts(staying)
        self.record.merged_into = "" if routing.ring else routing.into
        self._set_clock()

    def _set_clock(self) -> None:
        clocks = [self.clock]
        clocks += [c.meta.clock for c in self._active() if c.meta.clock is not None]
        self.record.clock = max(clocks)

    # ── where facts belong ──────────────────────────────────────────────────────────────────

    def _active(self) -> Iterator[Compartment]:
        return (c for c in self.parts.values() if not c.meta.withdrawn)

    def _routing(self) -> _Routing:
        standing = sorted(
            (link for link in self._links.values() if not link.removed),
            key=lambda link: (link.rank, link.other),
        )
        into, same = "", []
        scoped: dict[str, tuple[str, str]] = {}
        for link in standing:  # the highest rank last
            scope = link.visit or link.account
            if scope and link.kind is LinkKind.INTO:
                for visit in self._visits_of(link):
                    scoped[visit] = (link.other, link.renamed)
            elif not scope and link.kind is LinkKind.INTO and link.other != self.name:
                into = link.other
            elif not scope and link.kind is LinkKind.SAME and link.other != self.name:
                same.append(link.other)
        # One's own facts come back: a ring of merges.
        ring = bool(into) and any(c.meta.path[0] == self.name for c in self._active())
        return _Routing(into, tuple(sorted(same)), tuple(sorted(scoped.items())), ring)

    def _visits_of(self, link: Link) -> set[str]:
        """The visits that a link is about: one, or all of an account."""
        if link.visit:
            return {link.visit}
        of_account = {
            fact.visit
            for facts in self._all_facts()
            for fact in facts.values()
            if isinstance(fact, EncounterEvent) and fact.account == link.account
        }
        return of_account | {link.account}  # without a visit number, the account names the visit

    def _all_facts(self) -> Iterator[dict[str, AnyFact]]:
        yield self.own
        yield from (c.facts for c in self._active())

    def _assigned(self, routing: _Routing) -> tuple[list[AnyFact], _Shares]:
        """The facts that stay, and those to hand on."""
        scoped = dict(routing.scoped)
        visits = self._visits_by_id() if scoped else {}
        staying: list[AnyFact] = []
        shares: _Shares = {}

        for source in (self._separate(), *self._active()):
            path = source.meta.path if source is self._own else (*source.meta.path, self.name)
            if routing.into and self._may_go(path, routing.into, ring=True):
                # Even without a fact: the clock, or the sign of a ring, has to arrive.
                to = shares.setdefault(routing.into, {})
                to[path] = _Handed(source.meta.clock, {})
            for slot, fact in source.facts.items():
                if isinstance(fact, Link):
                    continue
                target, placed = self._place(fact, visits, scoped, routing.into)
                if target == self.name or (routing.ring and target == routing.into):
                    staying.append(placed)
                for to_whom in {target, *routing.same} - {self.name}:
                    if self._may_go(path, to_whom):
                        to = shares.setdefault(to_whom, {})
                        handed = to.setdefault(path, _Handed(source.meta.clock, {}))
                        handed.facts[slot] = _demoted(placed)
        return staying, shares

    @staticmethod
    def _may_go(path: tuple[str, ...], target: str, *, ring: bool = False) -> bool:
        """Facts never return; the sign of a ring goes back to where they began."""
        if ring and path[0] == target:
            return len(path) <= MOST_HOPS
        return target not in path and len(path) <= MOST_HOPS

    def _place(
        self, fact: AnyFact, visits: dict[str, str], scoped: dict[str, tuple[str, str]], into: str
    ) -> tuple[str, AnyFact]:
        """Whose a fact is now, and the fact under the visit's new number."""
        visit: str = visits.get(fact.id, "") or getattr(fact, "visit", "")
        target, seen = self.name, {visit}
        while visit in scoped and target == self.name:
            target, renamed = scoped[visit]
            visit = renamed or visit
            if visit in seen:
                break
            seen.add(visit)
        if seen != {visit} and isinstance(fact, msgspec.Struct) and hasattr(fact, "visit"):
            fact = replace(fact, visit=visit)
        return (target if target != self.name else into or self.name), fact

    def _visits_by_id(self) -> dict[str, str]:
        """The visit of each result: a correction that names no visit goes where the result went."""
        newest: dict[str, tuple[Rank, str]] = {}
        for facts in self._all_facts():
            for fact in facts.values():
                visit = getattr(fact, "visit", "")
                if visit:
                    newest[fact.id] = max(
                        newest.get(fact.id, (fact.rank, visit)), (fact.rank, visit)
                    )
        return {id: visit for id, (_, visit) in newest.items()}

    def _shares(self) -> _Shares:
        routing = self._routing()
        return {} if routing.keeps else self._assigned(routing)[1]

    # ── handing on ──────────────────────────────────────────────────────────────────────────

    def _to_messages(
        self, cause: MessageFacts, version: int, before: _Shares
    ) -> list[MessageFacts]:
        """What has to be told to other patients after a message."""
        after = self._shares()
        out: list[MessageFacts] = []
        for target in sorted(before.keys() | after.keys()):
            had, has = before.get(target, {}), after.get(target, {})
            for path in sorted(had.keys() | has.keys()):
                part = Part(path=path, version=version)
                old, new = had.get(path), has.get(path)
                gone = old is not None and (
                    new is None or bool(old.facts.keys() - new.facts.keys())
                )
                if gone:
                    part_gone = replace(part, withdrawn=True)
                    out.append(replace(cause, patient=target, facts=[], part=part_gone))
                    old = None
                if new is None:
                    continue
                known = old.facts if old is not None else {}
                facts = [f for slot, f in new.facts.items() if known.get(slot) != f]
                if facts or old is None or old.clock != new.clock:
                    sent = cause.sent if new.clock is None else new.clock
                    out += [
                        replace(cause, patient=target, sent=sent, facts=some, part=part)
                        for some in _chunks(facts)
                    ]
        return out

    # ── canonical form ──────────────────────────────────────────────────────────────────────

    def restore(self, clock: float, own: Iterable[AnyFact], parts: dict[str, Compartment]) -> None:
        """Take what a store kept."""
        self.record.fold_facts(own)
        self.record.clock = clock
        self._links = {s: f for s, f in self.record.facts.items() if isinstance(f, Link)}
        if self._links or parts:
            self._separate()
            self.parts = parts
            self._rebuild(self._routing())

    def canonical(self) -> bytes:
        """What is known, as JSON bytes: equal patients give equal bytes, whatever their history."""
        known: dict[str, object] = {
            "clock": self.clock if self.clock > EVER else None,
            "facts": {slot: self.own[slot] for slot in sorted(self.own)},
        }
        active = {
            key: {
                "clock": part.meta.clock,
                "facts": {slot: part.facts[slot] for slot in sorted(part.facts)},
            }
            for key, part in sorted(self.parts.items())
            if not part.meta.withdrawn
        }
        if active:
            known["parts"] = active
        return msgspec.json.encode(known)

    def digest(self) -> str:
        """SHA-256 of the canonical form."""
        return hashlib.sha256(self.canonical()).hexdigest()


class _Routing(NamedTuple):
    """The links in force."""

    into: str  # the survivor that all facts belong to; "" when the patient stands alone
    same: tuple[str, ...]  # who sees all facts beside this patient
    scoped: tuple[tuple[str, tuple[str, str]], ...]  # visit → (patient, new number)
    ring: bool

    @property
    def all_stay(self) -> bool:
        """Does the record hold everything, as it is?"""
        return not self.scoped and (self.ring or not self.into)

    @property
    def keeps(self) -> bool:
        """Is nothing handed on?"""
        return not (self.scoped or self.into or self.same)


def _demoted(fact: AnyFact) -> AnyFact:
    """A survivor's own details count before those of whoever was merged into them."""
    if isinstance(fact, PersonDetail):
        return replace(fact, rank=(0, *fact.rank[1:]))
    return fact


def _chunks(facts: list[AnyFact]) -> Iterator[list[AnyFact]]:
    for start in range(0, max(1, len(facts)), MOST_FACTS):
        yield facts[start : start + MOST_FACTS]


def settle(
    patients: dict[str, Patient], messages: Iterable[MessageFacts]
) -> Iterator[tuple[str, Folded]]:
    """Fold messages, and what they make patients hand on, until nothing is left to tell."""
    queue, version = list(messages), 0
    while queue:
        message = queue.pop(0)
        version += 1
        patient = patients.get(message.patient)
        if patient is None:
            patient = patients[message.patient] = Patient(message.patient)
        folded = patient.fold(message, version)
        queue += folded.handed_on
        yield message.patient, folded
