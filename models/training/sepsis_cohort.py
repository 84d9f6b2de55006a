"""The sepsis cohort by the way that live data take: facts, fold, record, features.

A patient of PhysioNet 2019 becomes the facts that the HL7 replay of the same patient would become:
admission to the hospital, the move to intensive care, the observations, year of birth and sex.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from connectors.cohorts.physionet2019 import CohortPatient
from connectors.facts import AnyFact, EncounterEvent, Observation, PersonDetail
from models.columns import HOUR_S
from models.record import PatientRecord

COHORT = "physionet2019"
STARTED_AT = 1_559_390_400.0  # 2019-06-01 12:00 UTC: any stay ends within the same year
_YEAR = 2019


@dataclass(frozen=True, slots=True)
class SepsisStay:
    """One patient of the cohort as Tocsin knows them, and the hours that are to be judged."""

    record_id: str
    record: PatientRecord
    hours: tuple[int, ...]  # in intensive care
    labels: tuple[int, ...]
    age: float | None
    sex: str
    unit: str
    hospital_h: float

    def moments(self) -> list[tuple[PatientRecord, float]]:
        """The record at each of the hours."""
        return [(self.record, STARTED_AT + hour * HOUR_S) for hour in self.hours]


def facts_of(patient: CohortPatient) -> list[AnyFact]:
    """What the patient's messages say."""
    came = round(STARTED_AT - patient.hospital_h * HOUR_S, 3)
    ward = patient.unit or "ICU"
    rank = (1, came, 0, "")
    facts: list[AnyFact] = [
        EncounterEvent(
            id="visit:admitted", rank=rank, visit="visit", event=EncounterEvent.ADMITTED,
            time=came, patient_class="I", ward="ADMISSION" if patient.hospital_h else ward,
        ),
        PersonDetail(id="person:sex", rank=rank, field=PersonDetail.SEX, value=patient.sex),
    ]  # fmt: skip
    if patient.hospital_h:
        moved = (1, STARTED_AT, 0, "")
        facts.append(
            EncounterEvent(
                id="visit:located", rank=moved, visit="visit", event=EncounterEvent.LOCATED,
                time=STARTED_AT, patient_class="I", ward=ward,
            )
        )  # fmt: skip
    if patient.age is not None:
        born = _YEAR - int(patient.age)
        facts.append(
            PersonDetail(
                id="person:birth_year", rank=rank, field=PersonDetail.BIRTH_YEAR, value=born
            )
        )
    facts += [
        Observation(
            id=f"{event.code}/{event.hour}", rank=rank, code=event.code, system="LN",
            time=STARTED_AT + event.hour * HOUR_S, status="F", value=event.value, unit=event.unit,
        )
        for event in patient.events
    ]  # fmt: skip
    return facts


def stays(patients: Iterable[CohortPatient]) -> Iterator[SepsisStay]:
    """Patients with known labels, folded, one after the other: a cohort is larger than memory."""
    for patient in patients:
        if patient.labels is None:
            continue
        record = PatientRecord()
        record.fold_facts(facts_of(patient))
        yield SepsisStay(
            patient.record_id,
            record,
            patient.hours,
            patient.labels,
            patient.age,
            patient.sex,
            patient.unit,
            patient.hospital_h,
        )
