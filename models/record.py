"""The patient record: an order-invariant fold of facts, shared by training and serving.

The record is a join semilattice: every slot keeps the fact with the highest rank, ties broken by
content, so any order and any repetition of the same facts gives the same record, the same digest
and the same views. Two patients' records merge by folding one's facts into the other.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from connectors.facts import (
    AnyFact,
    EncounterEvent,
    ImagingObject,
    MessageFacts,
    Observation,
    PersonDetail,
    StudyEvent,
    encode,
)
from models import genome, stays
from models.stays import Presence, Stay
from models.studies import rejected_imaging

__all__ = ["EVER", "Change", "PatientRecord", "Presence", "Stay", "base_of", "slot_of"]

EVER = float("-inf")  # "everything that this patient's scores rest on may have changed"

_MARKER = "genome:"  # among the bases of a code: a marker follows from variants
_STATUS_ONLY = "U"  # preliminary becomes final without resending the value


class Change(NamedTuple):
    """What a fold did."""

    slots: list[str]  # slots whose fact is another one now: what a store must write
    since: float | None  # earliest time whose view differs now; None when no view differs


def slot_of(fact: AnyFact) -> str:
    """The key under which a fact competes with its other versions.

    Preliminary versions of a result keep a slot each: which of them a later status-only update
    made final depends on their times, and the update may arrive before them. Corrections and
    removals have a slot beside the one of what they correct: whether a time was reported before
    it was corrected decides what a corrected time takes the place of.
    """
    if not isinstance(fact, Observation):
        return fact.id
    base = base_of(fact)
    if fact.status == _STATUS_ONLY:
        return f"{base}#U"
    if not fact.rank[0]:
        return f"{base}#P{fact.rank[1]:.3f}"
    return f"{base}#C" if fact.rank[2] else base


def base_of(observation: Observation) -> str:
    """The result that an observation is a version of."""
    if observation.serial is None:
        return observation.id
    return f"{observation.id}@{observation.serial:.3f}"


def _outranks(new: AnyFact, old: AnyFact) -> bool:
    if new.rank != old.rank:
        return new.rank > old.rank
    return encode(new) > encode(old)


def joined(new: AnyFact, old: AnyFact) -> AnyFact:
    """The one of two versions that counts.

    A serial value remembers when it was first reported. A result without a visit keeps the visit
    that was named last: a correction often comes without one.
    """
    if not isinstance(new, Observation) or not isinstance(old, Observation):
        return new if _outranks(new, old) else old
    plain = new.visit_at is None and old.visit_at is None and new.visit == old.visit
    if plain and new.serial is None:
        return new if _outranks(new, old) else old
    bare_new, bare_old = (replace(o, first=None, visit="", visit_at=None) for o in (new, old))
    winner = bare_new if _outranks(bare_new, bare_old) else bare_old
    changed_at = winner.rank[1]
    first = None if new.serial is None else min(_reported_first(new), _reported_first(old))
    said_at, visit = max(
        ((o.rank[1] if o.visit_at is None else o.visit_at, o.visit) for o in (new, old) if o.visit),
        default=(changed_at, ""),
    )
    winner = replace(
        winner,
        first=None if first is None or first >= changed_at else first,
        visit=visit,
        visit_at=None if said_at == changed_at else said_at,
    )
    return old if winner == old else winner


def _reported_first(version: Observation) -> float:
    return version.rank[1] if version.first is None else version.first


class PatientRecord:
    """Everything known of one patient. Only `fold` changes it."""

    def __init__(self) -> None:
        self.clock: float = EVER  # the newest message time: "now" for this patient
        self.facts: dict[str, AnyFact] = {}
        self.revision = 0  # counts changes: whoever derives something may see that it still holds
        self._bases_of_code: dict[str, set[str]] = {}
        self._preliminary: dict[str, list[str]] = {}  # base → slots of preliminary versions
        self._serial: dict[str, set[str]] = {}  # id → bases of its values at several times
        self._corrected: set[str] = set()  # ids of which a correction is known
        self._series: dict[str, list[Observation]] = {}
        self._changed_at: dict[str, int] = {}  # code → revision of its newest change, ascending
        self._latest = EVER  # no observation, counted or not, is dated later
        # Code → no observation of it, counted or not, is dated later; ascending while `_in_order`.
        self._until: dict[str, float] = {}
        self._in_order = True
        self._encounters: dict[str, EncounterEvent] = {}  # by slot
        self._studies: dict[str, StudyEvent] = {}
        self._objects: dict[str, ImagingObject] = {}
        self._stays: list[Stay] | None = None
        # Studies and objects whose measurements do not count.
        self._rejected: frozenset[str] = frozenset()
        self._genes: dict[str, AnyFact] = {}  # facts that markers may follow from, by slot
        self._markers: list[Observation] = []  # that follow from variants
        self.merged_into = ""  # the pseudonym under which this patient goes on (`models.patient`)

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
            new = fact if old is None else joined(fact, old)
            if new is old:
                continue
            slots.append(slot)
            self.revision += 1
            when = self._put(slot, new, old)
            if when is not None and (since is None or when < since):
                since = when
        return Change(slots, since)

    def _put(self, slot: str, new: AnyFact, old: AnyFact | None) -> float | None:
        """Keep a fact and bring the views up to date; from when on do they differ?"""
        if isinstance(new, Observation):
            return self._put_observation(slot, new)
        self.facts[slot] = new
        if isinstance(new, EncounterEvent):
            self._encounters[slot] = new
            self._stays = None
            if isinstance(old, EncounterEvent) and _same_event(old, new):
                return None
            # One event may move or cancel its whole stay.
            times = [e.time for e in self._events() if e.visit == new.visit]
            return min([*times, old.time] if isinstance(old, EncounterEvent) else times)
        if isinstance(new, StudyEvent):
            self._studies[slot] = new
            return self._put_study()
        if isinstance(new, ImagingObject):
            self._objects[slot] = new
            return self._put_study()
        if genome.concerns(new):
            return self._put_gene(slot, new)
        if not isinstance(new, PersonDetail):
            return None  # no score reads orders, medication, links or other statements
        same = isinstance(old, PersonDetail) and (old.value, old.removed) == (
            new.value,
            new.removed,
        )
        return None if same else EVER

    def _put_study(self) -> float | None:
        """A rejection takes measurements along, and its withdrawal brings them back."""
        now = rejected_imaging(self._studies.values(), self._objects.values())
        changed, self._rejected = now ^ self._rejected, now
        times = [
            o.time
            for o in self.facts.values()
            if isinstance(o, Observation) and (o.study in changed or o.object in changed)
        ]
        if changed:
            for code in self._bases_of_code:
                self._drop_series(code)
        return min(times, default=None)

    def _is_rejected(self, o: Observation) -> bool:
        return o.study in self._rejected or o.object in self._rejected

    def _put_gene(self, slot: str, new: AnyFact) -> float | None:
        """What variants say of a tumour's markers counts like coded results of the same."""
        self._genes[slot] = new
        before, self._markers = self._markers, genome.markers(self._genes.values())
        changed = [o for o in (*before, *self._markers) if (o in before) != (o in self._markers)]
        for code in {o.code for o in changed}:
            bases = self._bases_of_code.setdefault(code, set())
            bases.discard(_MARKER)
            dated = [o.time for o in self._markers if o.code == code]
            if dated:
                bases.add(_MARKER)
                self._date(code, max(dated))
            self._drop_series(code)
        return min((o.time for o in changed), default=None)

    def _put_observation(self, slot: str, new: Observation) -> float | None:
        base = base_of(new)
        before = self._effective(base)
        if "#P" in slot and slot not in self.facts:
            self._preliminary.setdefault(base, []).append(slot)
        if new.serial is not None:
            self._serial.setdefault(new.id, set()).add(base)
        if new.rank[2]:
            self._corrected.add(new.id)
        self.facts[slot] = new
        self._date(new.code, new.time)
        after = self._effective(base)
        since = None if after is None else self._move_in_views(base, before, after)
        if new.id in self._serial and (new.id in self._corrected or new.serial is None):
            return self._renew_group(new.id, before)
        return since

    def _renew_group(self, name: str, before: Observation | None) -> float | None:
        """One version may change what counts of all values of its order (see `_replaced`)."""
        members = [o for b in self._group(name) if (o := self._effective(b))]
        members += [before] if before is not None else []
        for member in members:
            self._drop_series(member.code)
        return min((o.time for o in members), default=None)

    def _drop_series(self, code: str) -> None:
        self._series.pop(code, None)
        self._mark(code)

    def _mark(self, code: str) -> None:
        """The series of this code is not what it was."""
        self._changed_at.pop(code, None)
        self._changed_at[code] = self.revision

    def _date(self, code: str, time: float) -> None:
        """There is an observation of this code at that time."""
        until = self._until
        if until.get(code, EVER) >= time:
            return
        until.pop(code, None)
        if until and time < until[next(reversed(until))]:
            self._in_order = False
        until[code] = time

    def _move_in_views(
        self, base: str, before: Observation | None, after: Observation
    ) -> float | None:
        self._mark(after.code)
        self._latest = max(self._latest, after.time)
        if before is not None and _same_observation(before, after):
            self._replace_in_series(after, before)
            return None
        self._bases_of_code.setdefault(after.code, set()).add(base)
        if before is not None:
            self._series.pop(after.code, None)
            if before.code != after.code:  # a correction may even name another code
                self._bases_of_code[before.code].discard(base)
                self._drop_series(before.code)
            return min(before.time, after.time)
        series = self._series.get(after.code)
        if series is not None:
            counts = not after.removed and after.value is not None
            counts = counts and not (self._rejected and self._is_rejected(after))
            if counts and (not series or series[-1].time < after.time):
                series.append(after)  # the usual case: a new value at the end
            else:
                del self._series[after.code]
        return after.time

    def _effective(self, base: str) -> Observation | None:
        """The version of a result that counts: a final one, else what a status-only update made
        final, else the newest preliminary one."""
        final = self.facts.get(base)
        correction = self.facts.get(f"{base}#C") if self._corrected else None
        if isinstance(correction, Observation):
            if isinstance(final, Observation) and final.rank > correction.rank:
                return final  # issued again after it was corrected or deleted
            return correction
        if isinstance(final, Observation):
            return final
        slots = self._preliminary.get(base)
        if not slots:
            return None
        versions = [o for s in slots if isinstance(o := self.facts[s], Observation)]
        update = self._update(base)
        if update is not None:
            versions = [o for o in versions if o.rank[1] <= update.rank[1]] or versions
        return max(versions, key=lambda o: o.rank)

    def _replace_in_series(self, new: Observation, old: Observation) -> None:
        series = self._series.get(new.code)
        if series is None or new is old:
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
        """Codes that were ever observed, in order."""
        return iter(sorted(code for code, bases in self._bases_of_code.items() if bases))

    def knows(self, codes: frozenset[str]) -> bool:
        """Was any of the codes ever observed (removed since or not)?"""
        return not codes.isdisjoint(self._bases_of_code)

    def changed_since(self, revision: int) -> list[str]:
        """Codes whose series may have changed after a revision."""
        found: list[str] = []
        for code, changed_at in reversed(self._changed_at.items()):
            if changed_at <= revision:
                break
            found.append(code)
        return found

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

    def _observed(self, codes: Collection[str]) -> Iterator[tuple[float, list[Observation]]]:
        """The series of those of the codes that were ever observed, without the empty ones.

        With each comes a time: neither it nor the series after it reach further than that.
        """
        if not self._in_order:
            self._until = dict(sorted(self._until.items(), key=lambda item: item[1]))
            self._in_order = True
        known = self._series
        for code, until in reversed(self._until.items()):
            if code in codes:
                series = known.get(code)
                series = self.series(code) if series is None else series
                if series:
                    yield until, series

    def times(self, codes: Collection[str], start: float, end: float) -> list[float]:
        """Distinct times of observation of any of the codes, start <= time <= end, ascending."""
        found: set[float] = set()
        for until, series in self._observed(codes):
            if until < start:
                break
            at = len(series)
            while at and (time := series[at - 1].time) >= start:  # few are newer than `start`
                at -= 1
                if time <= end:
                    found.add(time)
        return sorted(found)

    def newest(self, codes: Collection[str], before: float) -> float:
        """The newest time of observation of any of the codes, strictly before a time; or `EVER`."""
        found = EVER
        for until, series in self._observed(codes):
            if until <= found:
                break
            time = series[-1].time
            if time >= before:
                at = bisect_left(series, before, key=_time)
                time = series[at - 1].time if at else EVER
            found = max(found, time)
        return found

    def next_observation(self, codes: Collection[str], after: float) -> float | None:
        """The first time of observation after a time; None in the usual case that there is none."""
        found: float | None = None
        if self._latest <= after:
            return None
        for until, series in self._observed(codes):
            if until <= after:
                break
            if series[-1].time > after:
                time = series[bisect_right(series, after, key=_time)].time
                found = time if found is None else min(found, time)
        return found

    def next_event(self, after: float) -> float | None:
        """The first admission, transfer, discharge or death after a time; None: none is known."""
        times = [e.time for e in self._events() if not e.removed and e.time > after]
        died = self.person(PersonDetail.DIED_AT)
        if isinstance(died, int | float) and died > after:
            times.append(float(died))
        return min(times, default=None)

    def _view(self, code: str) -> list[Observation]:
        """One code's results without those removed, withdrawn or replaced."""
        bases = self._bases_of_code.get(code, set())
        names = {base.partition("@")[0] for base in bases} & self._corrected
        replaced = {base for name in names for base in self._replaced(name)}
        found = [self._effective(base) for base in bases if base not in replaced]
        found += [o for o in self._markers if o.code == code]
        counted = [
            o
            for o in found
            if o and not o.removed and o.value is not None and not self._is_rejected(o)
        ]
        counted.sort(key=lambda o: (o.time, base_of(o)))
        return counted

    def _group(self, name: str) -> set[str]:
        """The bases of an order's values: the serial ones, and one without a time of its own."""
        return self._serial.get(name, set()) | {name}

    def _replaced(self, name: str) -> set[str]:
        """The values of one order whose place corrections have taken, by base.

        A correction at a time at which nothing was reported before corrects the time itself:

        - Where one value alone was reported, all are versions of it: the highest rank stands.
        - Where several were, it takes the place of the only one that no correction names.
        - Where several could be meant, none is taken away.

        A removal that names no time removes all that was reported before it.
        """
        counted = {b: o for b in self._group(name) if (o := self._effective(b))}
        if len(counted) < 2:
            return set()
        own = [base for base in counted if self._was_reported(base)]
        if len(own) == 1:
            highest = max(o.rank for o in counted.values())
            return {base for base, o in counted.items() if o.rank < highest}
        replaced: set[str] = set()
        unnamed = [base for base in own if f"{base}#C" not in self.facts]
        brought = [o.rank for base, o in counted.items() if base not in own]
        if len(unnamed) == 1 and brought and max(brought) > counted[unnamed[0]].rank:
            replaced.add(unnamed[0])
        everything = counted.get(name)
        if everything is not None and everything.removed:
            replaced |= {base for base, o in counted.items() if o.rank < everything.rank}
        return replaced

    def _was_reported(self, base: str) -> bool:
        """Was there a value at this time before any correction of it?"""
        slots = [*self._preliminary.get(base, ()), base]
        found = [o for s in slots if isinstance(o := self.facts.get(s), Observation)]
        correction = self.facts.get(f"{base}#C")
        if not isinstance(correction, Observation):
            return bool(found)
        return any(_reported_first(o) <= _reported_first(correction) for o in found)

    def _update(self, base: str) -> AnyFact | None:
        """The status-only update of a result: its own, else that of its order."""
        return self.facts.get(f"{base}#U") or self.facts.get(f"{base.partition('@')[0]}#U")

    def status(self, observation: Observation) -> str:
        """Its status, with a status-only update applied."""
        made_final = not observation.rank[0] and self._update(base_of(observation))
        return "F" if made_final else observation.status

    # ── the stay ────────────────────────────────────────────────────────────────────────────

    def stays(self) -> list[Stay]:
        """Stays that were not cancelled, by start."""
        if self._stays is None:
            self._stays = stays.stays(self._events())
        return self._stays

    def _events(self) -> Iterator[EncounterEvent]:
        return iter(self._encounters.values())

    def stay(self, as_of: float) -> Stay | None:
        """The stay that `as_of` falls in, or the last one before it."""
        known = self.stays()
        if len(known) == 1:  # nearly always
            return known[0] if known[0].start <= as_of else None
        begun = [s for s in known if s.start <= as_of]
        still = [s for s in begun if s.end is None or s.end > as_of]
        candidates = still or begun
        return candidates[-1] if candidates else None

    def presence(self, as_of: float) -> Presence:
        """Is the patient in the hospital at that time?"""
        died = self.person(PersonDetail.DIED_AT)
        if self.merged_into:
            return Presence.MERGED
        if isinstance(died, float | int) and died <= as_of:
            return Presence.DIED
        stay = self.stay(as_of)
        if stay is not None:
            if stay.end is not None and stay.end <= as_of:
                return Presence.DISCHARGED
            return Presence.ON_LEAVE if stay.on_leave(as_of) else Presence.PRESENT
        if self.stays() or stays.is_planned(self._events()):
            return Presence.NOT_YET
        return Presence.CANCELLED if any(self._events()) else Presence.UNKNOWN

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
        return float(year_of(as_of) - int(born))

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


def year_of(time: float) -> int:
    """The calendar year of an epoch time, exact but for hours at its ends."""
    return int(1970 + time / 31_556_952)


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
