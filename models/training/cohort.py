"""The training cohort by the way that live data take: facts, fold, record, features.

A patient of PhysioNet 2012 becomes the facts that the HL7 replay of the same patient would become:
one admission, the observations, year of birth and sex.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from connectors.cohorts.physionet2012 import CohortPatient
from connectors.cohorts.tables import RecordId
from connectors.facts import AnyFact, EncounterEvent, Observation, PersonDetail
from models.features import CODES
from models.record import PatientRecord

COHORT = "physionet2012"
ADMITTED_AT = 1_338_508_800.0  # 2012-06-01: any day does whose stay ends within the same year
_YEAR = 2012
_MINUTE_S = 60.0
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Stay:
    """One patient of the cohort as Tocsin knows them."""

    record_id: RecordId
    record: PatientRecord
    label: int  # died in hospital
    icu_type: str
    age: float | None
    sex: str
    died_on_day: int | None  # since admission, in hospital or later; None: not known of
    times: tuple[float, ...]  # of observations that a model may read, distinct, ascending

    def standing(self, hour: float) -> float | None:
        """When the score that stands `hour` hours after admission was made; None: none yet.

        A score is made when an observation arrives, so it is the time of the last one.
        """
        known = bisect_right(self.times, ADMITTED_AT + hour * HOUR_S)
        return self.times[known - 1] if known else None


def facts_of(patient: CohortPatient) -> list[AnyFact]:
    """What the patient's messages say."""
    rank = (1, ADMITTED_AT, 0, "")
    facts: list[AnyFact] = [
        EncounterEvent(
            id="visit:admitted",
            rank=rank,
            visit="visit",
            event=EncounterEvent.ADMITTED,
            time=ADMITTED_AT,
            patient_class="I",
            ward=patient.icu_type,
        ),
        PersonDetail(id="person:sex", rank=rank, field=PersonDetail.SEX, value=patient.sex),
    ]
    if patient.age is not None:
        born = _YEAR - int(patient.age)
        facts.append(
            PersonDetail(
                id="person:birth_year", rank=rank, field=PersonDetail.BIRTH_YEAR, value=born
            )
        )
    facts += [
        Observation(
            id=f"{event.code}/{event.minute}",
            rank=rank,
            code=event.code,
            system="LN",
            time=ADMITTED_AT + event.minute * _MINUTE_S,
            status="F",
            value=event.value,
            unit=event.unit,
        )
        for event in patient.events
    ]
    return facts


def stays(patients: Iterable[CohortPatient]) -> Iterator[Stay]:
    """Patients with a known outcome, folded."""
    for patient in patients:
        if patient.died is None:
            continue
        record = PatientRecord()
        record.fold_facts(facts_of(patient))
        times = tuple(record.times(CODES, ADMITTED_AT, ADMITTED_AT + 48 * HOUR_S))
        yield Stay(
            patient.record_id,
            record,
            patient.died,
            patient.icu_type,
            patient.age,
            patient.sex,
            patient.died_on_day,
            times,
        )
