"""What was sent against what is there: digests, counted, so that a million frames fit in memory."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from connectors.fuzz.reference import Expected, Fate

_Key = tuple[Fate, bytes]
_SHOWN = 20
_BROKEN_OFF = (Fate.TRUNCATED, Fate.REFUSED)  # within a frame; among stray bytes


def key_of(fate: Fate, kept: bytes) -> _Key:
    """Where, and what."""
    return fate, hashlib.blake2b(kept, digest_size=16).digest()


@dataclass
class Ledger:
    """`expect` and `answered` while sending, `found` while reading back, then `differences`."""

    frames: int = 0  # sent, complete or not
    size: int = 0  # bytes sent
    sessions: Counter[str] = field(default_factory=Counter)  # by ending and by pace
    fates: Counter[str] = field(default_factory=Counter)  # as expected, without reset connections
    answers: Counter[str] = field(default_factory=Counter)  # as received, by code
    must: Counter[_Key] = field(default_factory=Counter)
    may: Counter[_Key] = field(default_factory=Counter)  # of connections that were torn down
    there: Counter[_Key] = field(default_factory=Counter)
    # More often in the log than sent: of a connection that was reset, the frame that broke off.
    strangers: list[tuple[Fate, bytes]] = field(default_factory=list)
    broken_off: Counter[_Key] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)  # of answers
    fault_count: int = 0

    def expect(self, events: Iterable[Expected], *, certain: bool) -> None:
        """These bytes were sent; not `certain` when the connection was reset behind them."""
        book = self.must if certain else self.may
        for event in events:
            book[key_of(event.fate, event.kept)] += 1
            if certain:
                self.fates[event.fate] += 1

    def answered(self, name: str, events: Sequence[Expected], answers: Sequence[bytes]) -> bool:
        """Compare a finished connection's answers, in order; False when they differ."""
        wanted = deque(
            (code, event.control_id) for event in events if event.framed for code in event.answers
        )
        count = len(wanted)
        for number, answer in enumerate(answers, 1):
            got = _msa(answer)
            self.answers[got[0] if got else "unreadable"] += 1
            want = wanted.popleft() if wanted else None
            if got != want:
                self.fault(f"{name}: answer {number} of {count} is {got}, expected {want}")
                return False
        if wanted:
            self.fault(f"{name}: {len(wanted)} of {count} answers are missing")
        return not wanted

    def fault(self, text: str) -> None:
        """Something went wrong; the first of them are kept in words."""
        self.fault_count += 1
        if len(self.faults) < _SHOWN:
            self.faults.append(text)

    def found(self, fate: Fate, kept: bytes) -> None:
        """A record of the log."""
        key = key_of(fate, kept)
        self.there[key] += 1
        if fate in _BROKEN_OFF and self.there[key] > self.must[key] + self.may[key]:
            self.strangers.append((fate, kept))

    def explain(self, stream: bytes) -> None:
        """A reset connection's bytes: one of the strangers may be where it broke off."""
        for number, (fate, kept) in enumerate(self.strangers):
            if (b"\x0b" * (fate is Fate.TRUNCATED) + kept) in stream:
                self.broken_off[key_of(fate, kept)] += 1
                del self.strangers[number]
                return

    def missing(self) -> Counter[_Key]:
        """Sent for certain, and nowhere."""
        return self.must - self.there

    def unexplained(self) -> Counter[_Key]:
        """In the log, and sent by nobody."""
        return self.there - self.must - self.may - self.broken_off


def events_missing(ledger: Ledger, events: Sequence[Expected]) -> Iterator[Expected]:
    """Those of a session's events that the log lacks, for replay."""
    missing = ledger.missing()
    return (e for e in events if key_of(e.fate, e.kept) in missing)


def _msa(answer: bytes) -> tuple[str, str] | None:
    """MSA-1 and MSA-2 of an answer, in the answer's own delimiters."""
    separator = answer[3:4]
    lines = answer.split(b"\r")
    if answer[:3] != b"MSH" or len(lines) < 2 or lines[1][:4] != b"MSA" + separator:
        return None
    fields = lines[1].split(separator)
    return fields[1].decode("latin-1"), fields[2].decode("latin-1")
