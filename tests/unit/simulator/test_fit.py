"""The fit finds what is there to be found, and what ships is what it gives."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectors.cohorts.physionet2012 import load
from connectors.simulator import fit_moments as moments
from connectors.simulator.fit import OUTPUT, fit, lengths_of_stay
from connectors.simulator.fit_moments import Series


def test_normal_scores_undo_the_quantiles() -> None:
    """Scores of a normal sample are the sample itself, standardised; ties share the middle."""
    random = np.random.default_rng(1)
    values = random.normal(100.0, 15.0, 4_000)
    grid = np.linspace(0.005, 0.995, 100)
    scores = moments.normal_scores(values, np.quantile(values, grid), grid)
    inside = np.abs(values - 100.0) < 30.0
    assert np.max(np.abs(scores - (values - 100.0) / 15.0)[inside]) < 0.12
    tied = np.repeat([1.0, 2.0], 500)
    low, high = moments.normal_scores(np.array([1.0, 2.0]), np.quantile(tied, grid), grid)
    assert low == pytest.approx(-high, abs=0.02) and low == pytest.approx(-0.67, abs=0.05)


def _series(random: np.random.Generator, between: float, slow: float, time: float) -> Series:
    """An irregular Ornstein-Uhlenbeck series with noise of 0.3 about a level of its own."""
    times = np.sort(random.uniform(0.0, 48.0, 40))
    values = np.empty(len(times))
    state = random.normal(0.0, slow)
    for n, gap in enumerate(np.diff(times, prepend=times[0])):
        kept = math.exp(-gap / time)
        state = kept * state + math.sqrt(1 - kept**2) * random.normal(0.0, slow)
        values[n] = state + random.normal(0.0, 0.3)
    return times, values + random.normal(0.0, between)


def test_the_variogram_finds_the_movement() -> None:
    """Known parts are found again from irregular series."""
    random = np.random.default_rng(2)
    found = moments.movement([_series(random, 0.7, 0.6, 4.0) for _ in range(600)])
    assert found["time_h"] in (2.0, 4.0, 8.0)
    assert found["noise"] == pytest.approx(0.3, abs=0.08)
    assert found["slow"] == pytest.approx(0.6, abs=0.1)
    assert found["between"] == pytest.approx(0.7, abs=0.1)


def test_correlations_of_thin_data_count_as_zero() -> None:
    """Two patients with both values say nothing; a correlation matrix stays positive definite."""
    times = np.array([0.0])
    patients = [{"a": (times, np.array([x])), "b": (times, np.array([x]))} for x in (0.0, 1.0)]
    correlation = moments.correlation_between(patients, ["a", "b"])
    assert np.allclose(correlation, np.eye(2))
    many = [{"a": (times, np.array([x])), "b": (times, np.array([x]))} for x in np.arange(200.0)]
    strong = moments.correlation_between(many, ["a", "b"])
    assert strong[0, 1] > 0.9 and np.all(np.linalg.eigvalsh(strong) > 0)


def test_no_patient_is_in_what_ships() -> None:
    """The shipped file is small and holds distributions only."""
    text = OUTPUT.read_text("utf-8")
    data = json.loads(text)
    assert len(text) < 60_000 and data["patients"] == 4_000
    assert "record" not in text and max(len(q) for q in data["quantiles"].values()) == 100
    assert sum(k["share"] for k in data["kinds"].values()) == pytest.approx(1.0, abs=0.002)


@pytest.mark.shared
@pytest.mark.slow
def test_what_ships_is_what_the_fit_gives(shared: Path) -> None:
    """Fitted anew on the cohort, the parameters are those of the shipped file."""
    folder = shared / "data" / "physionet2012"
    patients = [p for p in load(folder, ["a"]) if p.died is not None]
    again = fit(patients, lengths_of_stay(folder))
    _assert_close(again, json.loads(OUTPUT.read_text("utf-8")), "")


def _assert_close(found: Any, shipped: Any, where: str) -> None:
    if isinstance(shipped, dict):
        assert found.keys() == shipped.keys(), where
        for key, value in shipped.items():
            _assert_close(found[key], value, f"{where}/{key}")
    elif isinstance(shipped, list):
        assert len(found) == len(shipped), where
        for n, value in enumerate(shipped):
            _assert_close(found[n], value, f"{where}/{n}")
    elif isinstance(shipped, float):
        assert found == pytest.approx(shipped, rel=0.002, abs=0.002), where
    else:
        assert found == shipped, where
