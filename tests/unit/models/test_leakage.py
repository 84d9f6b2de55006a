"""Nothing of the future and nothing of the outcome reaches a feature, a row or a member."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.cohorts.physionet2012 import CohortPatient, Event
from connectors.facts import EncounterEvent, Observation, PersonDetail
from models.bundle import load_bundle
from models.ensemble import FOLDS, fold_of
from models.features import CODES, FEATURES, FeatureReader
from models.risk import RiskModel
from models.training.cohort import COHORT, Stay, stays
from models.training.fit import Rows, training_rows
from models.variables import BY_CODE
from tests.unit.models.patients import HOUR, START, encounter, person, sick

AS_OF = START + 9 * HOUR


@pytest.fixture(scope="module", params=["deterioration", "news2"])
def model(request: pytest.FixtureRequest) -> RiskModel:
    """The risks of the health record."""
    return load_bundle(None, request.param)


def _later(code: str, hours: float, share: float) -> Observation:
    variable = BY_CODE[code]
    value: float | str = variable.low + share * (variable.high - variable.low)
    if variable.answers:
        value = variable.answers[0][0]
    at = AS_OF + hours * HOUR
    return Observation(
        id=f"{code}/{hours}", rank=(1, at, 0, ""), code=code, system="LN", time=at, status="F",
        value=value, unit=variable.unit,
    )  # fmt: skip


_future = st.lists(
    st.builds(_later, st.sampled_from(sorted(CODES)), st.floats(0.001, 200), st.floats(0, 1)),
    max_size=25,
)
_ends = st.sampled_from([EncounterEvent.DISCHARGED, EncounterEvent.LEFT, "died", None])


@settings(deadline=None, max_examples=60)
@given(future=_future, ends=_ends)
def test_no_future_changes_a_feature_or_an_answer(
    model: RiskModel, future: list[Observation], ends: str | None
) -> None:
    before = sick()
    facts: list[Observation | EncounterEvent | PersonDetail] = list(future)
    if ends == "died":
        facts.append(person(PersonDetail.DIED_AT, AS_OF + HOUR))
    elif ends is not None:
        facts.append(encounter(ends, 10.0, START))
    after = sick()
    after.fold_facts(facts)
    reader = FeatureReader()
    known, _ = reader.matrix([(before, AS_OF), (after, AS_OF)])
    assert np.array_equal(known[0], known[1], equal_nan=True)
    one, other = model.assess([(before, AS_OF), (after, AS_OF)])
    assert msgspec.json.encode(one) == msgspec.json.encode(other)


@settings(deadline=None, max_examples=40)
@given(future=_future)
def test_a_reader_that_has_seen_later_times_gives_the_same_row_for_an_earlier_one(
    future: list[Observation],
) -> None:
    patient = sick()
    fresh, _ = FeatureReader().matrix([(patient, AS_OF)])
    reader = FeatureReader()
    reader.matrix([(patient, AS_OF)])
    patient.fold_facts(future)
    for hours in (1.0, 60.0, 300.0):
        reader.matrix([(patient, AS_OF + hours * HOUR)])
    again, _ = reader.matrix([(patient, AS_OF)])
    assert np.array_equal(fresh, again, equal_nan=True)


def _cohort() -> list[Stay]:
    rng = np.random.default_rng(0)
    patients = [
        CohortPatient(
            7_000 + i, "a", 60.0, "FM"[i % 2], "MICU", int(i % 3 == 0),
            tuple(
                Event(60 * h, "8867-4", "Heart rate", float(80 + rng.normal(0, 9)), "/min")
                for h in range(0, 48, 2)
            ),
        )
        for i in range(40)
    ]  # fmt: skip
    return list(stays(patients))


def _rows(cohort: list[Stay]) -> list[Rows]:
    return training_rows(cohort, lambda: None)


def test_nothing_of_the_outcome_or_the_unit_reaches_a_training_row() -> None:
    cohort = _cohort()
    turned = [
        dataclasses.replace(s, label=1 - s.label, died_on_day=3, icu_type="SICU") for s in cohort
    ]
    for one, other in zip(_rows(cohort), _rows(turned), strict=True):
        assert torch.equal(one.x.nan_to_num(-1.0), other.x.nan_to_num(-1.0))
        assert torch.equal(one.labels, 1 - other.labels)
    words = " ".join(f.name for f in FEATURES)
    assert not any(w in words for w in ("died", "survival", "saps", "sofa", "icu", "record"))


def test_all_moments_of_a_patient_are_in_one_fold() -> None:
    cohort = _cohort()
    for rows in _rows(cohort):
        for patient in rows.patients.unique():
            folds = rows.folds[rows.patients == patient].unique()
            assert folds.tolist() == [fold_of(COHORT, cohort[int(patient)].record_id)]
        assert set(rows.folds.tolist()) <= set(range(FOLDS))
        of_patient = torch.zeros(len(cohort), dtype=torch.float64)
        of_patient.index_add_(0, rows.patients, rows.weights)
        assert torch.allclose(of_patient, torch.ones(len(cohort), dtype=torch.float64))
