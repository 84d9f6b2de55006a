"""Imaging studies as a record knows them: a lattice of stages, and what each announcement does.

A study counts once however often, by whomever and in whatever order it is announced: its stage is
the furthest that still stands. A rejection ends it, whatever else is announced before or after.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from connectors.facts import Stage, StudyEvent

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


def studies(events: Iterable[StudyEvent]) -> list[Study]:
    """All studies of a patient, by name; events of one study or one accession are of one study."""
    events = [e for e in events if not e.removed]
    named = {e.accession: e.study for e in sorted(events, key=_key) if e.accession and e.study}
    groups: dict[str, list[StudyEvent]] = {}
    for event in events:
        name = event.study or named.get(event.accession, "") or f"accession {event.accession}"
        groups.setdefault(name, []).append(event)
    return [_study(groups[name]) for name in sorted(groups)]


def rejected_studies(events: Iterable[StudyEvent]) -> frozenset[str]:
    """Studies (keyed hashes) whose rejection stands: their measurements do not count."""
    return frozenset(s.study for s in studies(events) if s.stage is Stage.REJECTED and s.study)


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
