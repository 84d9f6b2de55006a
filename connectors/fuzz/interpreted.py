"""The second half: every raw message through the sequencer's own function, one outcome each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from connectors import facts
from connectors.hl7.batch import is_batch
from connectors.identity import IdentityKey
from connectors.interpret import interpret
from connectors.interpretation import About, Profile
from connectors.quarantine import Reason
from connectors.wire import WireMessage

_HEARD = 1_798_761_600.0  # a fixed clock: equal bytes give equal facts
_SHOWN = 20
_REASONS = frozenset(Reason)


@dataclass
class Outcomes:
    """Counts, and what must not be."""

    messages: int = 0
    facts: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    fault_count: int = 0

    def take(self, raw: bytes, key: IdentityKey, failed: Callable[[bytes], None]) -> None:
        """One record of the log."""
        self.messages += 1
        try:
            self._take(raw, key)
        except Exception as error:  # noqa: BLE001  # what this looks for
            self.fault_count += 1
            place = error.__traceback__
            while place is not None and place.tb_next is not None:
                place = place.tb_next
            where = (
                f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}"
                if place is not None
                else ""
            )
            if len(self.faults) < _SHOWN:
                self.faults.append(f"{type(error).__name__} at {where}")
            failed(raw)

    def _take(self, raw: bytes, key: IdentityKey) -> None:
        message = WireMessage(raw, "fuzz/0/0", _HEARD, "FUZZ", "")
        read = interpret(message, key, Profile())
        if not read or (len(read) != 1 and not is_batch(raw)):
            raise AssertionError("not exactly one outcome")
        for one in read:
            self.outcomes[one.outcome] += 1
            if one.outcome == "facts":
                self._check(one.patients, one.sent)
                self.reasons.update(f"part: {issue.reason}" for issue in one.issues)
            else:
                self.reasons[f"{one.outcome}: {one.reason}"] += 1
            if one.outcome == "quarantine" and one.reason not in _REASONS:
                raise AssertionError("a reason outside the catalogue")

    def _check(self, patients: list[About], sent: float) -> None:
        """What is said must fit the contract of the log."""
        for about in patients:
            self.facts += len(about.facts)
            told = facts.MessageFacts(
                patient=about.pseudonym, sent=sent, heard=_HEARD, wire="", facts=about.facts
            )
            record = facts.FactRecord(messages=[told])
            if facts.decode(facts.encode(record)) != record:
                raise AssertionError("facts that do not survive the log")
