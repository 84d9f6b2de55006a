"""Messages of other systems: one outcome each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.unit.hl7.reading import read
from tests.unit.hl7.test_any_bytes import Profile, check

NOW = 1_800_000_000.0  # 2027: a fixed clock, later than most of what the messages say


@pytest.mark.shared
@pytest.mark.parametrize(
    ("folder", "least", "with_facts"),
    [("hl7v2/messages", 1_164, 600), ("hl7v2_to_fhir_pairs", 130, 100)],
)
def test_every_message_of_other_systems_has_one_outcome(
    shared: Path, folder: str, least: int, with_facts: int
) -> None:
    outcomes: Counter[str] = Counter()
    for file in sorted((shared / "data" / folder).rglob("*.hl7")):
        raw = file.read_bytes()
        check(raw, Profile())
        outcomes[read(raw, NOW).outcome] += 1
    assert sum(outcomes.values()) >= least
    # Fewer than were understood once: a fault of the mapping.
    assert outcomes["facts"] >= with_facts
