"""The tumour cohorts by the way that live data take: facts, fold, record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from connectors.cohorts.tables import RecordId
from connectors.cohorts.tumour import Result, TumourPatient
from connectors.facts import AnyFact, Observation, PersonDetail
from connectors.replay.stay import birth_year
from connectors.replay.tumours import last_day
from models.inputs import DAY_S
from models.record import PatientRecord

START = 1_577_880_000.0  # 2020-01-01, noon UTC: day 0 of every patient


@dataclass(frozen=True, slots=True)
class Folded:
    """One patient as Tocsin knows them."""

    record_id: RecordId
    record: PatientRecord
    last: float  # when everything is known
    label: int | None  # the outcome; None where follow-up ended before it was decided
    followed_d: float | None  # days until the event, or until follow-up ended
    had_event: bool

    @property
    def at_risk(self) -> bool:
        """Is the outcome still open when everything is known? Of others there is nothing to tell:
        a relapse that was there before the score is not what the score foretells."""
        return self.followed_d is None or self.followed_d > (self.last - START) / DAY_S


@dataclass(frozen=True, slots=True)
class Case(Folded):
    """A patient whose outcome is known."""

    label: int
    age: float | None
    sex: str
    stratum: str


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
                value=birth_year(patient.age, START),
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


def folded(patients: Iterable[TumourPatient]) -> Iterator[Folded]:
    """All patients."""
    for patient in patients:
        record, last = _record(patient)
        yield Folded(
            record_id=patient.record_id,
            record=record,
            last=last,
            label=patient.label,
            followed_d=patient.followed_d,
            had_event=patient.had_event,
        )


def cases(patients: Iterable[TumourPatient]) -> Iterator[Case]:
    """Patients with a known outcome."""
    for p in patients:
        if p.label is not None:
            record, last = _record(p)
            yield Case(
                record_id=p.record_id,
                record=record,
                last=last,
                label=p.label,
                followed_d=p.followed_d,
                had_event=p.had_event,
                age=p.age,
                sex=p.sex,
                stratum=p.stratum,
            )


def _record(patient: TumourPatient) -> tuple[PatientRecord, float]:
    """The record, and when everything is known."""
    record = PatientRecord()
    record.fold_facts(facts_of(patient))
    return record, START + last_day(patient) * DAY_S
