"""Encounter events as stays: when a patient came, where they lay, when they left.

Pure functions of a set of events: the order in which the events were learnt does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from connectors.facts import EncounterEvent


class Presence(StrEnum):
    """Is the patient in the hospital?"""

    UNKNOWN = "unknown"  # no encounter was ever announced
    PRESENT = "present"
    ON_LEAVE = "on_leave"  # the stay goes on, the bed is empty
    NOT_YET = "not_yet"  # announced for later
    DISCHARGED = "discharged"
    CANCELLED = "cancelled"  # every announced stay was cancelled
    DIED = "died"
    MERGED = "merged"  # goes on under another identity


class Stay(NamedTuple):
    """A stay as the record knows it."""

    visit: str
    start: float
    end: float | None
    patient_class: str
    ward: str
    bed: str
    leaves: tuple[tuple[float, float | None], ...] = ()  # (left, returned)
    moves: tuple[float, ...] = ()  # when the patient came to another ward, ascending

    def in_ward_since(self, as_of: float) -> float:
        """When the patient came to the ward in which they lie at that time."""
        if not self.moves:
            return self.start
        return max((at for at in self.moves if at <= as_of), default=self.start)

    def on_leave(self, as_of: float) -> bool:
        """Is the patient away at that time?"""
        return any(left <= as_of and (back is None or as_of < back) for left, back in self.leaves)


# What happens once in a visit. Two reports of it, under an old and a new visit number, compete.
_ONCE: Final = frozenset(
    (
        EncounterEvent.PLANNED,
        EncounterEvent.REGISTERED,
        EncounterEvent.ADMITTED,
        EncounterEvent.DISCHARGED,
    )
)
_BEGINS: Final = (EncounterEvent.REGISTERED, EncounterEvent.ADMITTED)
_MOVES: Final = frozenset((EncounterEvent.LEFT, EncounterEvent.RETURNED, EncounterEvent.DISCHARGED))


def stays(events: Iterable[EncounterEvent]) -> list[Stay]:
    """Stays that were not cancelled, by start."""
    visits: dict[str, list[EncounterEvent]] = {}
    for event in events:
        visits.setdefault(event.visit, []).append(event)
    found = (_stay(visit, of_visit) for visit, of_visit in visits.items())
    return sorted((s for s in found if s), key=lambda s: (s.start, s.visit))


def is_planned(events: Iterable[EncounterEvent]) -> bool:
    """Is an admission announced that still stands?"""
    return any(e.event == EncounterEvent.PLANNED and not e.removed for e in events)


def _stay(visit: str, events: list[EncounterEvent]) -> Stay | None:
    """One visit's events as a stay; None when it was cancelled or nothing of it stands."""
    events = list(_that_count(events))
    begun = [e for e in events if e.event in _BEGINS]
    if begun and all(e.removed for e in begun):
        return None
    standing = [e for e in events if not e.removed and e.event != EncounterEvent.PLANNED]
    standing.sort(key=lambda e: (e.time, e.rank, e.id))
    standing = _since_readmission(standing)
    if not standing:
        return None
    ends = [e.time for e in standing if e.event == EncounterEvent.DISCHARGED]
    placed = [e for e in standing if e.event not in _MOVES]
    where = next((e for e in reversed(placed) if e.ward or e.bed), None)
    classes = [e.patient_class for e in standing if e.patient_class]
    return Stay(
        visit=visit,
        start=standing[0].time,
        end=max(ends) if ends else None,
        patient_class=classes[-1] if classes else "",
        ward=where.ward if where else "",
        bed=where.bed if where else "",
        leaves=tuple(_leaves(standing)),
        moves=tuple(_moves(placed)),
    )


def _that_count(events: list[EncounterEvent]) -> Iterator[EncounterEvent]:
    """Of what happens once, the report that ranks highest."""
    once: dict[str, EncounterEvent] = {}
    for event in events:
        if event.event not in _ONCE:
            yield event
            continue
        known = once.get(event.event)
        if known is None or (event.rank, event.id) > (known.rank, known.id):
            once[event.event] = event
    yield from once.values()


def _leaves(standing: list[EncounterEvent]) -> Iterator[tuple[float, float | None]]:
    left: float | None = None
    for event in standing:
        if event.event == EncounterEvent.LEFT and left is None:
            left = event.time
        elif event.event == EncounterEvent.RETURNED and left is not None:
            yield left, event.time
            left = None
    if left is not None:
        yield left, None


def _moves(placed: list[EncounterEvent]) -> Iterator[float]:
    ward = ""
    for event in placed:
        if event.ward and event.ward != ward:
            if ward:
                yield event.time
            ward = event.ward


def _since_readmission(events: list[EncounterEvent]) -> list[EncounterEvent]:
    """Without what lies before an admission that followed a discharge of the same visit.

    Senders without visit numbers, and some with, use one number for stay after stay. Only a
    discharge that both happened and was recorded before the admission is of an earlier stay: one
    dated by the day alone may well lie before the hour of its own admission.
    """
    for admission in (e for e in events if e.event in _BEGINS):
        if any(
            e.event == EncounterEvent.DISCHARGED
            and e.time < admission.time
            and e.rank[1] < admission.rank[1]
            for e in events
        ):
            return [e for e in events if e.time >= admission.time]
    return events
