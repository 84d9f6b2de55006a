"""When a source counts as silent, and when too much of it goes wrong: the rules by themselves."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from connectors.feeds import SHORTEST_SILENCE_S, Window, longest_silence_s, overdue
from connectors.settings import IdentitySettings, SequencerSettings
from connectors.site import Site

SITE = """
sources:
  - {match: "LAB|H", expected_per_hour: 60}
  - {match: "ICU|*", expected_per_hour: 3600}
  - {match: "PACS|H"}
"""
BOUND_LAB = -math.log(1e-6) * 60  # seconds


def site(folder: Path, text: str = SITE) -> Site:
    (folder / "site.yaml").write_text(text)
    return Site(SequencerSettings(site=folder / "site.yaml"), IdentitySettings())


def test_the_bound_is_that_of_a_poisson_process() -> None:
    for per_hour in (1.0, 60.0, 500.0):
        t = longest_silence_s(per_hour)
        assert math.exp(-per_hour / 3600 * t) == pytest.approx(1e-6)
    assert longest_silence_s(1e6) == SHORTEST_SILENCE_S == 60.0


def test_a_living_source_is_hardly_ever_taken_for_silent() -> None:
    """Of a million gaps at random about one is longer than the bound."""
    chance = random.Random(5)
    gaps = [chance.expovariate(600 / 3600) for _ in range(1_000_000)]
    bound = longest_silence_s(600)
    assert sum(gap > bound for gap in gaps) <= 6  # one is expected
    assert max(gaps) > bound / 2


@pytest.mark.parametrize(
    ("heard", "known", "at", "silent"),
    [
        # never heard: counted from when it was first watched
        ({}, {}, 59.0, {}),
        ({}, {}, 61.0, {"ICU|*": 0.0}),
        ({}, {}, BOUND_LAB + 1, {"ICU|*": 0.0, "LAB|H": 0.0}),
        # heard: from then on, each source of a pattern by itself
        ({"ICU|1": 100.0, "ICU|2": 30.0}, {}, 120.0, {"ICU|2": 30.0}),
        ({"ICU|1": 100.0, "ICU|2": 100.0}, {}, 120.0, {}),
        # what was heard before this process began is no silence of now
        ({"ICU|1": -5_000.0}, {}, 59.0, {}),
        # unless it was silent then already
        ({"ICU|1": -5_000.0}, {"ICU|1": -5_000.0}, 1.0, {"ICU|1": -5_000.0}),
        ({"ICU|1": 10.0}, {"ICU|1": -5_000.0}, 59.0, {}),
        # nothing is expected of these
        ({"ICU|1": 1e6, "LAB|H": 1e6, "PACS|H": 1.0, "X|Y": 1.0}, {}, 1e6, {}),
        ({"ICU|1": 1e6, "LAB|H": 1e6}, {"X|Y": 3.0}, 1e6, {}),
    ],
)
def test_who_is_overdue(
    tmp_path: Path,
    heard: dict[str, float],
    known: dict[str, float],
    at: float,
    silent: dict[str, float],
) -> None:
    found = site(tmp_path)
    watched = dict.fromkeys(found.feeds, 0.0)
    assert overdue(found, watched, heard, known, at) == silent


def test_an_entry_behind_another_one_expects_nothing(tmp_path: Path) -> None:
    text = 'sources: [{match: "L*"}, {match: "LAB|H", expected_per_hour: 60}]'
    found = site(tmp_path, text)
    assert overdue(found, dict.fromkeys(found.feeds, 0.0), {}, {}, 1e6) == {}


def test_a_window_counts_its_last_messages() -> None:
    window = Window(10)
    for _ in range(9):
        window.add(True)
    assert not window.exceeds(0.5)  # not full
    window.add(False)
    assert window.quarantined == 9
    assert window.exceeds(0.5)
    for _ in range(4):
        window.add(False)
    assert window.quarantined == 5
    assert not window.exceeds(0.5)  # at the limit, not above
    assert window.exceeds(0.4)
