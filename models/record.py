"""The patient record: an order-invariant fold of facts, shared by training and serving.

The record is a join semilattice: every slot keeps the fact with the highest rank, ties broken by
content, so any order and any repetition of the same facts gives the same record, the same digest
and the same views. Two patients' records merge by folding one's facts into the other.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

import msgspec

from connectors.facts import (
    AnyFact,
    EncounterEvent,
    MessageFacts,
    Observation,
    PersonDetail,
    encode,
)

EVER = float("-inf")  # "everything that this patient's scores rest on may have changed"

_CORRECTIONS = frozenset("CADW")  # HL7 table 0085: corrected, amended, deleted, wrong patient
_STATUS_ONLY = "U"  # preliminary becomes final without resending the value


class Change(NamedTuple):
    """What a fold did."""

    slots: list[str]  # slots whose fact is another one now: what a store must write
    since: float | None  # earliest time whose view differs now; None when no view differs


class Presence(StrEnum):
    """Is the patient in the hospital?"""

    UNKNOWN = "unknown"  # no encounter was ever announced
    PRESENT = "present"
    NOT_YET = "not_yet"  # announced for later
    DISCHARGED = "discharged"
    CANCELLED = "cancelled"  # every announced stay was cancelled
    DIED = "died"


class Stay(NamedTuple):
    """A stay as the record knows it."""

    visit: str
    start: float
    end: float | None
    patient_class: str
    ward: str
    bed: str


def slot_of(fact: AnyFact) -> str:
    """The key under which a fact competes with its other versions."""
    if isinstance(fact, Observation):
        key = fact.id if fact.serial is None else f"{fact.id}@{fact.serial:.3f}"
        return f"{key}#U" if fact.status == _STATUS_ONLY else key
    return fact.id


def _outranks(new: AnyFact, old: AnyFact) -> bool:
    if new.rank != old.rank:
        return new.rank > old.rank
    return encode(new) > encode(old)


class PatientRecord:
    """Everything known of one patient. Only `fold` changes it."""

    def __init__(self) -> None:
        self.clock: float = EVER  # the newest message time: "now" for this patient
        self.facts: dict[str, AnyFact] = {}
        self._slots_of_code: dict[str, set[str]] = {}
        self._series: dict[str, list[Observation]] = {}
        self._stays: list[Stay] | None = None

    # ── the fold ────────────────────────────────────────────────────────────────────────────

    def fold(self, message: MessageFacts) -> Change:
        """Take in one message's facts; says what to store and from when on scores may differ."""
        self.clock = max(self.clock, message.sent)
        return self.fold_facts(message.facts)

    def fold_facts(self, facts: Iterable[AnyFact]) -> Change:
        """Take in facts without moving the clock (a store's content, another patient's facts)."""
        slots: list[str] = []
        since: float | None = None
        for fact in facts:
            slot = slot_of(fact)
            old = self.facts.get(slot)
            if old is not None and not _outranks(fact, old):
                continue
            self.facts[slot] = fact
            slots.append(slot)
            when = self._apply(slot, fact, old)
            if when is not None and (since is None or when < since):
                since = when
        return Change(slots, since)

    def _apply(self, slot: str, new: AnyFact, old: AnyFact | None) -> float | None:
        """Bring the views up to date; from when on do they differ?"""
        if isinstance(new, Observation):
            return self._apply_observation(slot, new, old)
        if isinstance(new, EncounterEvent):
            self._stays = None
            before = old.time if isinstance(old, EncounterEvent) else new.time
            same = isinstance(old, EncounterEvent) and _same_event(old, new)
            return None if same else min(before, new.time)
        same = isinstance(old, PersonDetail) and (old.value, old.removed) == (
            new.value,
            new.removed,
        )
        return None if same else EVER

    def _apply_observation(self, slot: str, new: Observation, old: AnyFact | None) -> float | None:
        self._slots_of_code.setdefault(new.code, set()).add(slot)
        times = [new.time]
        if isinstance(old, Observation):
            if _same_observation(old, new):
                self._replace_in_series(new, old)
                return None
            times.append(old.time)
            if old.code != new.code:  # a correction may even name another code
                self._slots_of_code[old.code].discard(slot)
                self._series.pop(old.code, None)
        series = self._series.get(new.code)
        if series is not None:
            plain = old is None and not new.removed and new.status not in _CORRECTIONS
            if plain and new.status != _STATUS_ONLY and (not series or series[-1].time < new.time):
                series.append(new)  # the usual case: a new value at the end
            else:
                del self._series[new.code]
        if new.status == _STATUS_ONLY:
            base = self.facts.get(slot.removesuffix("#U"))
            times = [base.time] if isinstance(base, Observation) else []
        elif new.status in _CORRECTIONS:
            # It may take the place of a sibling at another time (see `_view`).
            times += [o.time for s in self._siblings(new) if (o := self._observation(s))]
        return min(times, default=None)

    def _replace_in_series(self, new: Observation, old: Observation) -> None:
        series = self._series.get(new.code)
        if series is None:
            return
        at = bisect_left(series, old.time, key=_time)
        while at < len(series) and series[at].time == old.time:
            if series[at] is old:
                series[at] = new
                return
            at += 1
        del self._series[new.code]

    # ── observations ────────────────────────────────────────────────────────────────────────

    def codes(self) -> Iterator[str]:
        """Codes that were ever observed."""
        return iter(self._slots_of_code)

    def series(self, code: str) -> list[Observation]:
        """What counts today of one code, by time. Shared: do not change it."""
        series = self._series.get(code)
        if series is None:
            series = self._view(code)
            self._series[code] = series
        return series

    def between(self, code: str, start: float, end: float) -> list[Observation]:
        """The part of `series` with start <= time <= end."""
        series = self.series(code)
        return series[bisect_left(series, start, key=_time) : bisect_right(series, end, key=_time)]

    def times(self, codes: Iterable[str], start: float, end: float) -> list[float]:
        """Distinct times of observation of any of the codes, start <= time <= end, ascending."""
        found: set[float] = set()
        for code in codes:
            if code in self._slots_of_code:
                found.update(o.time for o in self.between(code, start, end))
        return sorted(found)

    def _observation(self, slot: str) -> Observation | None:
        fact = self.facts.get(slot)
        return fact if isinstance(fact, Observation) else None

    def _siblings(self, fact: Observation) -> list[str]:
        """Slots of the same order, code and sub-id at other times."""
        if fact.serial is None:
            return []
        return [
            slot
            for slot in self._slots_of_code.get(fact.code, ())
            if slot.partition("@")[0] == fact.id and not slot.endswith("#U")
        ]

    def _view(self, code: str) -> list[Observation]:
        """Apply removals, time corrections and status-only updates to one code's facts."""
        slots = [s for s in self._slots_of_code.get(code, ()) if not s.endswith("#U")]
        replaced = self._replaced_by_time_corrections(slots)
        counted = [
            o for s in slots if s not in replaced and (o := self._observation(s)) and not o.removed
        ]
        counted = [o for o in counted if o.value is not None]
        counted.sort(key=lambda o: (o.time, o.id))
        return counted

    def _replaced_by_time_corrections(self, slots: list[str]) -> set[str]:
        """A correction at a time at which nothing was reported corrects the time itself.

        It takes the place of its order's only value that no correction names; where several
        values could be meant, none is taken away.
        """
        serial: dict[str, list[str]] = {}
        for slot in slots:
            if "@" in slot:
                serial.setdefault(slot.partition("@")[0], []).append(slot)
        replaced: set[str] = set()
        for group in serial.values():
            if len(group) < 2:
                continue
            originals = [s for s in group if self.facts[s].rank[2] == 0]
            corrections = len(group) - len(originals)
            if corrections and len(originals) == 1:
                original, first = self.facts[originals[0]], originals[0]
                later = [self.facts[s].rank for s in group if s != first]
                if max(later) > original.rank:
                    replaced.add(first)
        return replaced

    def status(self, observation: Observation) -> str:
        """Its status, with a later status-only update applied."""
        key = slot_of(observation)
        update = self.facts.get(f"{key}#U")
        if update is not None and update.rank > observation.rank:
            return "F"
        return observation.status

    # ── the stay ────────────────────────────────────────────────────────────────────────────

    def stays(self) -> list[Stay]:
        """Stays that were not cancelled, by start."""
        if self._stays is None:
            visits: dict[str, list[EncounterEvent]] = {}
            for fact in self.facts.values():
                if isinstance(fact, EncounterEvent):
                    visits.setdefault(fact.visit, []).append(fact)
            found = (_stay(visit, events) for visit, events in visits.items())
            self._stays = sorted((s for s in found if s), key=lambda s: (s.start, s.visit))
        return self._stays

    def stay(self, as_of: float) -> Stay | None:
        """The stay that `as_of` falls in, or the last one before it."""
        begun = [s for s in self.stays() if s.start <= as_of]
        still = [s for s in begun if s.end is None or s.end > as_of]
        candidates = still or begun
        return candidates[-1] if candidates else None

    def presence(self, as_of: float) -> Presence:
        """Is the patient in the hospital at that time?"""
        died = self.person(PersonDetail.DIED_AT)
        if isinstance(died, float | int) and died <= as_of:
            return Presence.DIED
        stay = self.stay(as_of)
        if stay is not None:
            ended = stay.end is not None and stay.end <= as_of
            return Presence.DISCHARGED if ended else Presence.PRESENT
        if self.stays():
            return Presence.NOT_YET
        announced = any(isinstance(f, EncounterEvent) for f in self.facts.values())
        return Presence.CANCELLED if announced else Presence.UNKNOWN

    # ── the person ──────────────────────────────────────────────────────────────────────────

    def person(self, field: str) -> float | str | None:
        """A demographic detail, None when unknown."""
        fact = self.facts.get(f"person:{field}")
        return fact.value if isinstance(fact, PersonDetail) and not fact.removed else None

    def age(self, as_of: float) -> float | None:
        """Whole years at `as_of`, from the year of birth (exact to a year)."""
        born = self.person(PersonDetail.BIRTH_YEAR)
        if not isinstance(born, int | float):
            return None
        return float(int(1970 + as_of / 31_556_952) - int(born))

    # ── canonical form ──────────────────────────────────────────────────────────────────────

    def canonical(self) -> bytes:
        """The record as JSON bytes: equal records give equal bytes, whatever their history."""
        return msgspec.json.encode(
            {
                "clock": self.clock if self.clock > EVER else None,
                "facts": {slot: self.facts[slot] for slot in sorted(self.facts)},
            }
        )

    def digest(self) -> str:
        """SHA-256 of the canonical form."""
        return hashlib.sha256(self.canonical()).hexdigest()


def _time(observation: Observation) -> float:
    return observation.time


def _same_event(a: EncounterEvent, b: EncounterEvent) -> bool:
    return (a.visit, a.event, a.time, a.removed, a.patient_class, a.ward, a.bed) == (
        b.visit,
        b.event,
        b.time,
        b.removed,
        b.patient_class,
        b.ward,
        b.bed,
    )


def _same_observation(a: Observation, b: Observation) -> bool:
    return (a.code, a.time, a.value, a.comparator, a.unit, a.removed) == (
        b.code,
        b.time,
        b.value,
        b.comparator,
        b.unit,
        b.removed,
    )


def _stay(visit: str, events: list[EncounterEvent]) -> Stay | None:
    """One visit's events as a stay; None when it was cancelled or nothing of it stands."""
    standing = sorted((e for e in events if not e.removed), key=lambda e: (e.time, e.rank, e.id))
    admissions = [e for e in events if e.event == EncounterEvent.ADMITTED]
    if admissions and all(e.removed for e in admissions):
        return None
    if not standing:
        return None
    ends = [e.time for e in standing if e.event == EncounterEvent.DISCHARGED]
    placed = [e for e in standing if e.event != EncounterEvent.DISCHARGED]
    where = next((e for e in reversed(placed) if e.ward or e.bed), None)
    classes = [e.patient_class for e in standing if e.patient_class]
    return Stay(
        visit=visit,
        start=standing[0].time,
        end=max(ends) if ends else None,
        patient_class=classes[-1] if classes else "",
        ward=where.ward if where else "",
        bed=where.bed if where else "",
    )
