"""What links mean: whose a fact is today, and who else has to get it. Pure functions of facts.

- A link INTO another patient gives them everything; one about a visit or an account, that alone.
- Where links disagree, the newest counts.
- SAME shows each of two patients the other's facts, and both stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from connectors.facts import (
    AnyFact,
    EncounterEvent,
    ImagingObject,
    Link,
    LinkKind,
    PersonDetail,
    Rank,
)
from models.compartment import Compartment

MOST_HOPS = 8  # patients along one path: more than any chain of merges that means something


class Moved(NamedTuple):
    """Where a visit's facts go."""

    other: str  # the patient
    renamed: str  # the visit's new number (keyed hash), "" as before


class Routing(NamedTuple):
    """The links in force."""

    into: str  # the survivor that all facts belong to; "" when the patient stands alone
    same: tuple[str, ...]  # who sees all facts beside this patient
    scoped: dict[str, Moved]  # by visit
    ring: bool  # a ring of merges leads back here

    @property
    def all_stay(self) -> bool:
        """Does the patient's record hold everything, as it is?"""
        return not self.scoped and (self.ring or not self.into)

    @property
    def hands_on(self) -> bool:
        """Does anybody else get something?"""
        return bool(self.scoped or self.into or self.same)


class Handed(NamedTuple):
    """What one target gets along one path."""

    clock: float | None
    facts: dict[str, AnyFact]


Shares = dict[str, dict[tuple[str, ...], Handed]]  # target → path → facts


class Assignment(NamedTuple):
    """Where the facts of a patient belong."""

    routing: Routing
    staying: list[AnyFact] | None  # None: everything, as it is
    shares: Shares


def assign(
    name: str, links: Iterable[Link], own: Compartment, parts: Sequence[Compartment]
) -> Assignment:
    """Where everything belongs; `parts` are those that were not withdrawn."""
    routing = _routing(name, links, own, parts)
    if not routing.hands_on:
        return Assignment(routing, None, {})
    visits = _visits_by_id(own, parts) if routing.scoped else {}
    staying: list[AnyFact] = []
    shares: Shares = {}
    for source in (own, *parts):
        path = source.meta.path if source is own else (*source.meta.path, name)
        clock = source.meta.clock
        if routing.into and (_may_go(path, routing.into) or path[0] == routing.into):
            # Even without a fact: the clock, or the sign of a ring, has to arrive.
            shares.setdefault(routing.into, {})[path] = Handed(clock, {})
        for slot, fact in source.facts.items():
            if isinstance(fact, Link):
                continue
            target, placed = _place(name, fact, visits, routing)
            if target == name or (routing.ring and target == routing.into):
                staying.append(placed)
            for other in {target, *routing.same} - {name}:
                if _may_go(path, other):
                    paths = shares.setdefault(other, {})
                    handed = paths.setdefault(path, Handed(clock, {}))
                    handed.facts[slot] = _demoted(placed)
    return Assignment(routing, None if routing.all_stay else staying, shares)


def _routing(
    name: str, links: Iterable[Link], own: Compartment, parts: Sequence[Compartment]
) -> Routing:
    standing = [link for link in links if not link.removed]
    standing.sort(key=lambda link: (link.rank, link.other))
    into, same = "", set()
    scoped: dict[str, Moved] = {}
    for link in standing:  # the highest rank last
        if link.visit or link.account:
            if link.kind is LinkKind.INTO:
                for visit in _visits_of(link, own, parts):
                    scoped[visit] = Moved(link.other, link.renamed)
        elif link.kind is LinkKind.INTO:
            into = link.other
        elif link.kind is LinkKind.SAME:
            same.add(link.other)
    ring = bool(into) and any(part.meta.path[0] == name for part in parts)
    return Routing(into, tuple(sorted(same)), scoped, ring)


def _visits_of(link: Link, own: Compartment, parts: Sequence[Compartment]) -> set[str]:
    """The visits that a link is about: one, or all of an account."""
    if link.visit:
        return {link.visit}
    found = {link.account}  # without a visit number, the account names the visit
    for fact in _facts(own, parts):
        if isinstance(fact, EncounterEvent) and fact.account == link.account:
            found.add(fact.visit)
    return found


def _visits_by_id(own: Compartment, parts: Sequence[Compartment]) -> dict[str, str]:
    """The visit of each result: a correction that names no visit goes where the result went."""
    newest: dict[str, tuple[Rank, str]] = {}
    for fact in _facts(own, parts):
        visit = _visit(fact)
        if visit:
            said = (fact.rank, visit)
            newest[fact.id] = max(newest.get(fact.id, said), said)
    return {id: visit for id, (_, visit) in newest.items()}


def _facts(own: Compartment, parts: Sequence[Compartment]) -> Iterator[AnyFact]:
    for compartment in (own, *parts):
        yield from compartment.facts.values()


def _visit(fact: AnyFact) -> str:
    return "" if isinstance(fact, PersonDetail | ImagingObject | Link) else fact.visit


def _place(
    name: str, fact: AnyFact, visits: dict[str, str], routing: Routing
) -> tuple[str, AnyFact]:
    """Whose a fact is now, and the fact under its visit's newest number."""
    first = visit = visits.get(fact.id) or _visit(fact)
    target, seen = name, {visit}
    while visit in routing.scoped and target == name:
        target, renamed = routing.scoped[visit]
        visit = renamed or visit
        if visit in seen:
            break
        seen.add(visit)
    if visit != first:
        fact = replace(fact, visit=visit)
    return (target if target != name else routing.into or name), fact


def _may_go(path: tuple[str, ...], target: str) -> bool:
    """Facts never go where they have been."""
    return target not in path and len(path) <= MOST_HOPS


def _demoted(fact: AnyFact) -> AnyFact:
    """A survivor's own details count before those of whoever was merged into them."""
    if isinstance(fact, PersonDetail):
        return replace(fact, rank=(0, *fact.rank[1:]))
    return fact
