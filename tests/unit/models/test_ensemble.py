"""Who was in the training set: told by the number and by whose it is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest
import torch

from connectors.facts import PersonDetail
from models.bundle import read
from models.ensemble import FOLDS, Scorer, enrolled, fold_of
from models.news2_model import News2Model
from models.record import PatientRecord
from models.rule import SHIPPED

COHORT = "somewhere"


@dataclass(frozen=True)
class _Patient:
    record_id: int | str
    record: PatientRecord


def _patient(record_id: int | str, born: int | None = 1950, sex: str = "F") -> _Patient:
    record = PatientRecord()
    said = {PersonDetail.SEX: sex} | ({} if born is None else {PersonDetail.BIRTH_YEAR: born})
    record.fold_facts(
        PersonDetail(id=f"person:{field}", rank=(1, 0.0, 0, ""), field=field, value=value)
        for field, value in said.items()
    )
    return _Patient(record_id, record)


def _scorer(entries: list[int]) -> Scorer[News2Model]:
    bundle = read(SHIPPED / "news2", "news2")
    tensors = bundle.tensors | {"cohort": torch.tensor(entries)}
    return Scorer(News2Model(dataclasses.replace(bundle, tensors=tensors)), COHORT)


def test_a_training_patient_is_known_again() -> None:
    patients = [_patient(n, 1930 + n % 60, "FM"[n % 2]) for n in range(300)]
    scorer = _scorer(sorted(enrolled(COHORT, p) for p in patients))
    assert [scorer.member(p) for p in patients] == [fold_of(COHORT, n) for n in range(300)]
    assert {scorer.member(p) for p in patients} == set(range(FOLDS))


@pytest.mark.parametrize("stranger", [_patient(7, 1951), _patient(7, sex="M"), _patient("X-7")])
def test_a_stranger_with_the_number_of_a_training_patient_is_a_stranger(
    stranger: _Patient,
) -> None:
    assert _scorer([enrolled(COHORT, _patient(7))]).member(stranger) is None


@pytest.mark.parametrize("vague", [_patient(7, None), _patient(7, sex="U")])
def test_where_age_or_sex_is_not_known_the_number_decides(vague: _Patient) -> None:
    """Then as now: better a stranger judged by one member than a patient by who has seen them."""
    assert _scorer([enrolled(COHORT, _patient(7))]).trained_on(vague)
    assert _scorer([enrolled(COHORT, vague)]).trained_on(_patient(7))
    assert not _scorer([enrolled(COHORT, vague)]).trained_on(_patient(8))
