"""A patient's facts by the way they came: own ones, and those that others handed on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from connectors.facts import AnyFact
from models.record import joined, slot_of


class Meta(msgspec.Struct, omit_defaults=True):
    """What is known of a compartment besides its facts."""

    path: tuple[str, ...]  # as in `connectors.facts.Part`; of own facts: the patient alone
    clock: float | None = None  # newest message; never an infinity: JSON has none
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

    def withdraw(self, version: int) -> list[str] | None:
        """All that came before counts no more. The slots that are empty now; None for an old
        withdrawal, told again."""
        meta = self.meta
        if version <= meta.reset or version < meta.version:
            return None
        meta.reset = meta.version = version
        meta.withdrawn, meta.clock = True, None
        gone = list(self.facts)
        self.facts = {}
        return gone

    def take(self, facts: Iterable[AnyFact], clock: float, version: int) -> list[str] | None:
        """Facts that were handed on. The slots that changed; None for what was told before a
        withdrawal and comes late."""
        meta = self.meta
        if version < meta.reset:
            return None
        meta.version, meta.withdrawn = max(meta.version, version), False
        self.advance(clock)
        return self.join(facts)
