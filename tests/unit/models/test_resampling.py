"""Patients are drawn, with all of their rows, and the same ones for every figure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import metrics
from models.resampling import Resamples, estimate, interval


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(0, 99))
def test_a_patient_s_rows_stay_together(owners: list[int], seed: int) -> None:
    patient = np.array(owners)
    resamples = Resamples(7, 20, seed)
    row = np.arange(len(patient))
    drawn = resamples.counts(patient, row, len(patient))  # each row is a cell of its own
    assert np.array_equal(drawn, resamples.times[:, patient])
    assert (resamples.times.sum(1) == 7).all()


@given(st.lists(st.none() | st.integers(-3, 3), min_size=5, max_size=5), st.integers(0, 99))
def test_a_median_is_that_of_the_patients_drawn_who_have_a_value(
    values: list[int | None], seed: int
) -> None:
    resamples = Resamples(5, 20, seed)
    known = np.array([np.nan if v is None else float(v) for v in values])
    for times, found in zip(resamples.times, resamples.medians(known), strict=True):
        copies = known.repeat(times.astype(int))
        copies = copies[~np.isnan(copies)]
        expected = np.median(copies) if len(copies) else np.nan
        assert np.array_equal(found, expected, equal_nan=True)


def test_the_draws_are_those_of_the_plain_bootstrap() -> None:
    rng = np.random.default_rng(5)
    labels, scores = (rng.random(80) < 0.4).astype(float), rng.normal(size=80)
    plain = metrics.bootstrap(metrics.brier, labels, scores, repeats=50)
    errors = (scores - labels) ** 2
    ours = estimate(errors.mean(), Resamples(80, 50).sums(errors) / 80)
    assert ours == pytest.approx(plain)


def test_parts_of_the_draws_are_the_same_draws() -> None:
    whole = Resamples(9, 30)
    assert np.array_equal(whole.first(4).times, whole.times[:4])
    assert np.array_equal(whole.among([2, 5]).times, whole.times[:, [2, 5]])


def test_nobody_and_what_is_never_defined_have_no_interval() -> None:
    assert interval(Resamples(0).sums(np.zeros(0))) == [None, None]
    assert interval(np.full(10, np.nan)) == [None, None]
    assert interval(np.array([np.nan, 2.0, 2.0])) == [2.0, 2.0]
