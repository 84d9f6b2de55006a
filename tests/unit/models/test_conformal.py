"""The conformal gate: refuses as few of its own as it says, and strangers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.conformal import BANDS, Array, Gate, Reference, band, limit
from models.training.gate import LEVEL, fit_gates, observed, one_each

_COLUMNS = [0, 1, 2]


def _cohort(n: int, seed: int = 0) -> tuple[Array, Array, Array, Array, Array]:
    """Features (the last is not looked at), hours, known, patients, folds: one moment each."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=n)
    x = np.c_[100 + 15 * shared, 60 + 9 * shared + rng.normal(size=n), rng.lognormal(size=n)]
    x[rng.random((n, 3)) < 0.2] = np.nan
    x = np.c_[x, rng.normal(size=n) * 1e6]
    hours = rng.uniform(0, 48, n)
    known = 5 + rng.integers(0, 20, n) * (hours > 6)
    return x, hours, known.astype(float), np.arange(n), np.arange(n) % 5


@pytest.fixture(scope="module")
def references() -> Reference:
    """Fitted on the cohort."""
    return fit_gates(*_cohort(20_000), _COLUMNS)


def _gate(references: Reference, member: int = 0) -> Gate:
    return Gate(Reference(*(a[member] for a in references)), _COLUMNS)


def test_new_patients_of_the_same_kind_are_refused_as_seldom_as_stated(
    references: Reference,
) -> None:
    x, hours, known, _, _ = _cohort(50_000, seed=1)
    gate = _gate(references)
    assert 0.0005 < gate.far(x, hours).mean() < 2 * LEVEL
    assert gate.few(known, hours).mean() < 2 * LEVEL


def test_held_out_patients_are_observed(references: Reference) -> None:
    found = observed(references, *_cohort(20_000), _COLUMNS)
    assert found["level"] == LEVEL
    assert [b["hours"] for b in found["bands"]] == ["0–6", "6–24", "from 24"]
    refused = sum(b["patients"] * b["out_of_distribution"] for b in found["bands"]) / 20_000
    assert refused < 2 * LEVEL


@pytest.mark.parametrize(
    ("values", "far"),
    [
        ([100.0, 60.0, 1.0, 0.0], False),
        ([np.nan, np.nan, np.nan, 0.0], False),  # nothing is no value out of range
        ([180.0, 100.0, 90.0, 0.0], True),  # far from all
        ([145.0, 33.0, 1.0, 0.0], True),  # each as in some patients, together in none
        ([100.0, 60.0, 1.0, 1e12], False),  # a column that is not looked at
        ([20.0, np.nan, np.nan, 0.0], True),  # less than the least of the first column
    ],
)
def test_strangers_are_out(references: Reference, values: list[float], far: bool) -> None:
    assert _gate(references).far(np.array([values]), np.array([30.0])).tolist() == [far]


def test_what_is_little_depends_on_the_hour(references: Reference) -> None:
    gate = _gate(references)
    hours = np.array([1.0, 30.0, 30.0, np.nan])
    assert gate.few(np.array([5.0, 4.0, 12.0, 5.0]), hours).tolist() == [False, True, False, False]


def test_bands_begin_at_their_hour() -> None:
    hours = np.array([0.0, 1.99, 2.0, 12.0, 24.0, 400.0, np.nan])
    assert band(hours).tolist() == [0, 0, 0, 1, 2, 2, 0]


def test_one_moment_of_a_patient_counts_in_each_band() -> None:
    hours = np.array([0.5, 1.5, 3.0, 0.7, 30.0, 40.0])
    patients = np.array([7, 7, 7, 8, 8, 8])
    assert one_each(hours, patients).tolist() == [2, 3, 5]


@settings(deadline=None)
@given(scores=st.lists(st.floats(-1e6, 1e6), max_size=300), level=st.floats(0.001, 0.3))
def test_no_more_than_the_level_of_the_calibration_patients_lie_above_the_limit(
    scores: list[float], level: float
) -> None:
    top = limit(np.array(scores), level)
    above = sum(s > top for s in scores)
    assert (above + 1) / (len(scores) + 1) <= level or above == 0
    if level * (len(scores) + 1) < 1:
        assert top == np.inf  # too few patients to say anything


def test_bands_are_ascending() -> None:
    assert list(BANDS) == sorted(BANDS)
