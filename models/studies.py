"""Imaging studies as a record knows them."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.facts import Stage, StudyEvent


def rejected_studies(events: Iterable[StudyEvent]) -> frozenset[str]:
    """Studies (keyed hashes) whose rejection stands: their measurements do not count."""
    return frozenset(
        e.study for e in events if e.stage is Stage.REJECTED and not e.removed and e.study
    )
