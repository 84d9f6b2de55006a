"""The tumour cohorts by the way that live data take: facts, fold, record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from connectors.cohorts.tumour import Result, TumourPatient
from connectors.facts import AnyFact, Observation, PersonDetail
from models.inputs import DAY_S
from models.record import PatientRecord

START = 1_577_880_000.0  # 2020-01-01, noon UTC: day 0 of every patient
_YEAR_S = 31_556_952  # mean Gregorian year, as `PatientRecord.age` counts


@dataclass(frozen=True, slots=True)
class Case:
    """One patient as Tocsin knows them, and the outcome."""

    record_id: int
    record: PatientRecord
    label: int
    age: float | None
    sex: str
    stratum: str
    days: tuple[int, ...]  # on which something was reported

    @property
    def last(self) -> float:
        """When everything is known."""
        return START + max(self.days, default=0) * DAY_S


def birth_year(age: float, at: float = START) -> int:
    """The year of birth that makes `PatientRecord.age` say `age` at that time."""
    return int(1970 + at / _YEAR_S) - int(age)


def facts_of(patient: TumourPatient) -> list[AnyFact]:
    """What the patient's messages say."""
    rank = (1, START, 0, "")
    facts: list[AnyFact] = [
        PersonDetail(id="person:sex", rank=rank, field=PersonDetail.SEX, value=patient.sex)
    ]
    if patient.age is not None:
        facts.append(
            PersonDetail(
                id="person:birth_year",
                rank=rank,
                field=PersonDetail.BIRTH_YEAR,
                value=birth_year(patient.age),
            )
        )
    return [*facts, *(_observation(result) for result in patient.results)]


def _observation(result: Result) -> Observation:
    at = START + result.day * DAY_S
    return Observation(
        id=f"{result.code}/{result.day}",
        rank=(1, at, 0, ""),
        code=result.code,
        system=result.system,
        time=at,
        status="F",
        value=result.value,
        unit=result.unit,
    )


def cases(patients: Iterable[TumourPatient]) -> Iterator[Case]:
    """Patients with a known outcome, folded."""
    for patient in patients:
        if patient.label is None:
            continue
        record = PatientRecord()
        record.fold_facts(facts_of(patient))
        yield Case(
            patient.record_id,
            record,
            patient.label,
            patient.age,
            patient.sex,
            patient.stratum,
            tuple(sorted({r.day for r in patient.results})),
        )
