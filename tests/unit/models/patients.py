"""Small patients for tests."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.facts import EncounterEvent, Observation, PersonDetail
from models.record import PatientRecord

START = 1_700_000_000.0
HOUR = 3_600.0
HEART_RATE, LACTATE, PRESSURE, WEIGHT = "8867-4", "2524-7", "76215-3", "29463-7"
UNITS = {HEART_RATE: "/min", LACTATE: "mmol/L", PRESSURE: "mm[Hg]", WEIGHT: "kg"}


def observation(
    code: str,
    hour: float,
    value: float | str | None,
    *,
    unit: str | None = None,
    status: str = "F",
    changed: float = 0.0,
    removed: bool = False,
    start: float = START,
) -> Observation:
    """One value, `hour` hours after the start."""
    return Observation(
        id=f"{code}/{hour}",
        rank=(1, start + changed, int(status in "CD"), ""),
        removed=removed,
        code=code,
        system="LN",
        time=start + hour * HOUR,
        status=status,
        value=value,
        unit=UNITS.get(code, "") if unit is None else unit,
    )


def admission(hour: float = 0.0, start: float = START) -> EncounterEvent:
    """An admission."""
    return encounter(EncounterEvent.ADMITTED, hour, start)


def discharge(hour: float, start: float = START) -> EncounterEvent:
    """A discharge."""
    return encounter(EncounterEvent.DISCHARGED, hour, start)


def encounter(event: str, hour: float, start: float = START) -> EncounterEvent:
    """An event of the one visit."""
    return EncounterEvent(
        id=f"visit:{event}", rank=(1, start, 0, ""), visit="v", event=event,
        time=start + hour * HOUR, patient_class="I",
    )  # fmt: skip


def person(field: str, value: float | str) -> PersonDetail:
    """A demographic detail."""
    return PersonDetail(id=f"person:{field}", rank=(1, START, 0, ""), field=field, value=value)


def record(facts: Iterable[Observation | EncounterEvent | PersonDetail]) -> PatientRecord:
    """A record of these facts."""
    made = PatientRecord()
    made.fold_facts(facts)
    return made


def sick(start: float = START) -> PatientRecord:
    """Ten hours of a patient who gets worse."""
    facts: list[Observation | EncounterEvent | PersonDetail] = [
        admission(start=start),
        person(PersonDetail.SEX, "M"),
        person(PersonDetail.BIRTH_YEAR, 1950),
    ]
    for hour in range(10):
        facts.append(observation(HEART_RATE, hour, 90.0 + 4 * hour, start=start))
        facts.append(observation(PRESSURE, hour, 120.0 - 5 * hour, start=start))
    facts.append(observation(LACTATE, 2, 3.0, start=start))
    facts.append(observation(LACTATE, 8, 7.5, start=start))
    return record(facts)
