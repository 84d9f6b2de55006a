"""The simulated patients, and the beds they lie in. Nobody here is real."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

from connectors.replay.names import Name, synthetic_name
from connectors.simulator.physiology import DIED, Care, Course, Physiology, chosen, drawn

AUTHORITY = "SIMHOSP"
EMERGENCY = "ED"
ICU_SHARE = 0.4  # of the beds; the rest are on general wards
_GENERAL_WARDS = ("4 WEST", "5 EAST", "6 NORTH")
_FIRST_NUMBER = 700_000
_YEAR_S = 31_556_952.0


@dataclass(slots=True)
class SimulatedPatient:
    """One stay of one patient."""

    number: str
    visit: str
    name: Name
    sex: str
    birth_date: str  # YYYYMMDD
    icu: str  # the kind of intensive care that they need
    random: Random
    course: Course
    care: Care
    arrived: float  # epoch seconds; the course begins here
    leaves: float  # when discharged, or dead
    dies: bool
    ward: str = ""
    bed: str = ""
    patient_class: str = "I"
    present: bool = False
    admitted: float | None = None
    rounds: int = 0  # how often measuring has begun
    reported: set[str] = field(default_factory=set)  # panels that are wanted once

    @property
    def in_intensive_care(self) -> bool:
        """Charted often?"""
        return self.ward not in _GENERAL_WARDS

    def hours(self, at: float) -> float:
        """Since arrival."""
        return (at - self.arrived) / 3600.0

    def in_crisis(self, at: float) -> bool:
        """Acutely deteriorating or not yet recovered?"""
        hours = self.hours(at)
        return any(crisis.begin <= hours <= crisis.end for crisis in self.course.crises)


def make_patient(
    physiology: Physiology, seed: int, index: int, arrived: float, *, least_stay_s: float = 0.0
) -> SimulatedPatient:
    """The patient of that index: the same for the same seed, whoever else there is.

    `least_stay_s` draws the stay again until it is at least so long.
    """
    random = Random(f"tocsin/{seed}/{index}")  # noqa: S311 - reproducible, not secret
    kind = chosen(physiology.shares, random)
    course = Course(physiology, kind, random)
    practice = physiology.practice[course.outcome]
    stay = drawn(practice.stay_days, random) * 86_400.0
    while stay < least_stay_s:
        stay = max(drawn(practice.stay_days, random) * 86_400.0, stay * 1.2)
    number = str(_FIRST_NUMBER + 7 * index + seed % 7)
    sex = "F" if random.random() < practice.female else "M"
    return SimulatedPatient(
        number=number,
        visit=f"V{number}",
        name=synthetic_name(AUTHORITY, number, sex),
        sex=sex,
        birth_date=_birth_date(drawn(practice.age_years, random), arrived, random),
        icu=chosen(practice.wards, random),
        random=random,
        course=course,
        care=Care.drawn(practice, random),
        arrived=arrived,
        leaves=arrived + stay,
        dies=course.outcome == DIED,
    )


def _birth_date(age: float, at: float, random: Random) -> str:
    born = at - (int(age) + random.random()) * _YEAR_S
    return f"{datetime.fromtimestamp(born, UTC):%Y%m%d}"


class Beds:
    """Which beds are free. There is a bed for each patient and a fifth more."""

    def __init__(self, patients: int) -> None:
        total = max(8, round(patients * 1.2))
        icu = max(4, round(total * ICU_SHARE))
        wards = [(ward, icu // 4 + (i < icu % 4)) for i, ward in enumerate(_ICU_WARDS)]
        general = total - icu
        wards += [(ward, general // 3 + (i < general % 3)) for i, ward in enumerate(_GENERAL_WARDS)]
        self._free = {ward: [f"{n:02}" for n in range(count, 0, -1)] for ward, count in wards}

    def place(self, patient: SimulatedPatient, *, intensive: bool) -> bool:
        """Give the patient a bed and free the old one; False when every suitable ward is full."""
        wards = (patient.icu, *_ICU_WARDS) if intensive else _GENERAL_WARDS
        ward = next((w for w in wards if self._free[w]), None)
        if ward is None:
            return False
        self.free(patient)
        patient.ward, patient.bed = ward, self._free[ward].pop()
        return True

    def free(self, patient: SimulatedPatient) -> None:
        """The patient's bed can be given to another one."""
        if patient.ward in self._free and patient.bed:
            self._free[patient.ward].append(patient.bed)
            self._free[patient.ward].sort(reverse=True)
        patient.bed = ""


_ICU_WARDS = ("MICU", "SICU", "CCU", "CSRU")
