"""Imaging studies as a record knows them: a lattice of stages, and what each announcement does.

A study counts once however often, by whomever and in whatever order it is announced: its stage is
the furthest that still stands. A rejection ends it, whatever else is announced before or after. A
rejection note (IHE IOCM) rejects objects; one that names all objects that the study is known to
have rejects the study.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from connectors.facts import ImagingObject, Observation, Segment, Stage, StudyEvent

# How far each stage is. Stages are only ever passed upwards; `Stage.REJECTED` is the end.
ORDER: Final[dict[Stage, int]] = {stage: number for number, stage in enumerate(Stage)}


class Study(NamedTuple):
    """One study."""

    study: str  # keyed hash of its UID; "" where only the accession number is known
    accession: str
    stage: Stage
    since: float  # when it reached the stage
    modality: str
    code: str


def studies(events: Iterable[StudyEvent], objects: Iterable[ImagingObject] = ()) -> list[Study]:
    """All studies of a patient, by name; events of one study or one accession are of one study."""
    events = [e for e in events if not e.removed]
    named = {e.accession: e.study for e in sorted(events, key=_key) if e.accession and e.study}
    groups: dict[str, list[StudyEvent]] = {}
    for event in events:
        name = event.study or named.get(event.accession, "") or f"accession {event.accession}"
        groups.setdefault(name, []).append(event)
    noted = _rejected_by_note(events, objects)
    found = [_study(groups[name]) for name in sorted(groups)]
    return [
        one._replace(stage=Stage.REJECTED, since=noted[one.study])
        if one.study in noted and one.stage is not Stage.REJECTED
        else one
        for one in found
    ]


def rejected_imaging(
    events: Iterable[StudyEvent], objects: Iterable[ImagingObject]
) -> frozenset[str]:
    """Studies and objects (keyed hashes) that are rejected: their measurements do not count."""
    objects = [o for o in objects if not o.removed]
    whole = {s.study for s in studies(events, objects) if s.stage is Stage.REJECTED and s.study}
    return frozenset(whole | {o.object for o in objects if o.kind == ImagingObject.REJECTED})


def segment_of(observation: Observation, objects: Iterable[ImagingObject]) -> Segment | None:
    """What is known of the segment that a value was measured in."""
    name, _, number = observation.segment.partition("#")
    for one in objects:
        if one.object == name and one.kind == ImagingObject.SEGMENTATION and not one.removed:
            return next((s for s in one.segments if str(s.number) == number), None)
    return None


def _rejected_by_note(
    events: list[StudyEvent], objects: Iterable[ImagingObject]
) -> dict[str, float]:
    """Studies of which one note names every object, and when it was written.

    How many there are, the newest announcement that gives a number says; notes are among them.
    """
    size: dict[str, int] = {}
    for event in sorted(events, key=_key):
        if event.study and event.instances is not None:
            size[event.study] = event.instances
    notes: dict[str, list[ImagingObject]] = {}
    for one in objects:
        if one.kind == ImagingObject.NOTE and not one.removed:
            notes.setdefault(one.study, []).append(one)
    return {
        study: min(n.time for n in of_study if n.count + len(of_study) >= size[study])
        for study, of_study in notes.items()
        if study in size and any(n.count + len(of_study) >= size[study] for n in of_study)
    }


def _study(events: list[StudyEvent]) -> Study:
    events = sorted(events, key=_key)
    furthest = max(events, key=lambda e: (ORDER[e.stage], e.rank))
    return Study(
        study=next((e.study for e in events if e.study), ""),
        accession=next((e.accession for e in events if e.accession), ""),
        stage=furthest.stage,
        since=furthest.time,
        modality=next((e.modality for e in reversed(events) if e.modality), ""),
        code=next((e.code for e in reversed(events) if e.code), ""),
    )


def _key(event: StudyEvent) -> tuple[object, ...]:
    return (event.rank, event.stage, event.id)
