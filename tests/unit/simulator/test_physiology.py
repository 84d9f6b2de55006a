"""Simulated bodies behave as the cohort did."""

from __future__ import annotations

import statistics
from functools import cache
from itertools import pairwise
from random import Random

import pytest

from connectors.simulator.physiology import (
    DIED,
    SURVIVED,
    Course,
    Crisis,
    Physiology,
    chosen,
    fitted,
)

PATIENTS, HOURS = 400, range(2, 48, 4)
CHECKED = ("hr", "map", "sbp", "temp", "gcs", "rr", "bun", "creatinine", "lactate", "sodium", "ph")


@cache
def simulated(outcome: str) -> dict[str, list[list[float]]]:
    """Variable → patients → values every four hours."""
    physiology, random = fitted(), Random(11)
    kinds = {k: share for k, share in physiology.shares.items() if k.startswith(outcome)}
    found: dict[str, list[list[float]]] = {name: [] for name in CHECKED}
    for _ in range(PATIENTS):
        course = Course(physiology, chosen(kinds, random), random)
        rows = [course.read((*CHECKED, "dbp"), float(hour)) for hour in HOURS]
        for name in CHECKED:
            found[name].append([row[name] for row in rows])
    return found


@pytest.mark.parametrize("outcome", [SURVIVED, DIED])
@pytest.mark.parametrize("name", CHECKED)
def test_means_and_spreads_are_the_cohorts(outcome: str, name: str) -> None:
    """Per outcome: the mean within a quarter, the spread within a third of the cohort's spread."""
    mean, spread = fitted().marginals[outcome][name]
    patients = simulated(outcome)[name]
    means = [statistics.fmean(values) for values in patients]
    within = statistics.fmean(statistics.pvariance(values) for values in patients)
    assert abs(statistics.fmean(means) - mean) < 0.25 * spread
    assert 0.67 < (statistics.pvariance(means) + within) ** 0.5 / spread < 1.34


def test_the_outcomes_differ_as_in_the_cohort() -> None:
    """Those who died were less awake, with higher lactate and urea nitrogen."""

    def mean(outcome: str, name: str) -> float:
        return statistics.fmean(v for values in simulated(outcome)[name] for v in values)

    assert mean(DIED, "gcs") < mean(SURVIVED, "gcs") - 1.0
    assert mean(DIED, "lactate") > mean(SURVIVED, "lactate") + 0.5
    assert mean(DIED, "bun") > mean(SURVIVED, "bun") + 8.0


def test_a_patient_stays_themselves() -> None:
    """Neighbouring values of one patient are closer than values of two patients."""
    patients = simulated(SURVIVED)["hr"]
    steps = statistics.fmean(abs(a - b) for v in patients for a, b in pairwise(v))
    others = statistics.fmean(abs(a[0] - b[0]) for a, b in pairwise(patients))
    assert steps < 0.75 * others


def test_pressures_are_in_order() -> None:
    """Diastolic below mean below systolic, always."""
    physiology, random = fitted(), Random(5)
    for _ in range(300):
        course = Course(physiology, chosen(physiology.shares, random), random)
        for hour in HOURS:
            row = course.read(("sbp", "dbp"), float(hour))
            assert row["dbp"] < row["map"] < row["sbp"]


def test_values_stay_within_what_was_seen(physiology: Physiology) -> None:
    """Also in the deepest crisis, no value leaves the cohort's own range."""
    course = Course(physiology, "died, worsening", Random(3))
    course.crises.append(Crisis(begin=0.0, ramp=1.0, strength=20.0))
    for hour in range(100):
        for name, value in course.read(physiology.quantiles, float(hour)).items():
            if name not in ("map", "dbp"):  # pressures are put in order afterwards
                low, high = physiology.quantiles[name][0], physiology.quantiles[name][-1]
                assert low - 0.51 <= value <= high + 0.51


def test_a_crisis_deepens_and_passes() -> None:
    """It rises over its ramp, holds, and falls six times as slowly after its end."""
    crisis = Crisis(begin=10.0, ramp=2.0, strength=2.0, end=20.0)
    depths = [crisis.depth(h) for h in (9.0, 11.0, 12.0, 20.0, 26.0, 32.0)]
    assert depths == pytest.approx([0.0, 1.0, 2.0, 2.0, 1.0, 0.0])


@pytest.fixture
def physiology() -> Physiology:
    return fitted()
