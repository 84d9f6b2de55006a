"""What a score costs on a ward whose time goes on: 1,000 patients in one batch, and one alone.

`python -m tests.bench.assess_ward` on made-up patients, one core; processor time, the best of
several runs. Before each run every patient gets one observation more, as in the running system:
what is known of a patient is carried on.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import torch

from connectors.facts import EncounterEvent, Observation, PersonDetail
from models.bundle import load_bundle
from models.record import PatientRecord
from models.risk import RiskModel
from models.variables import CATALOGUE
from tests.unit.models.patients import HOUR, admission, person

PATIENTS = 1_000
HOURLY = ("heart_rate", "resp_rate", "spo2", "sbp_invasive", "dbp_invasive", "map_invasive")
MORE = ("temperature", "gcs", "urine", "fio2", "ph", "pao2", "paco2", "lactate", "glucose")
DAILY = ("sodium", "potassium", "bicarbonate", "creatinine", "urea_nitrogen", "platelets")
MIDDLE = {
    "heart_rate": 84.0, "resp_rate": 17.0, "spo2": 97.0, "temperature": 37.0, "gcs": 14.0,
    "sbp_invasive": 122.0, "dbp_invasive": 60.0, "map_invasive": 80.0, "urine": 90.0, "fio2": 40.0,
    "ph": 7.38, "pao2": 95.0, "paco2": 41.0, "lactate": 1.8, "glucose": 128.0, "sodium": 139.0,
    "potassium": 4.1, "bicarbonate": 24.0, "creatinine": 1.1, "urea_nitrogen": 21.0,
    "platelets": 190.0,
}  # fmt: skip
EHR = ("deterioration", "sepsis", "news2")
Asked = list[tuple[PatientRecord, float]]


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of one run."""
    start = time.process_time()
    work()
    return time.process_time() - start


def _value(name: str, at: float, rng: random.Random) -> Observation:
    variable = next(v for v in CATALOGUE if v.name == name)
    value = MIDDLE[name]
    return Observation(
        id=f"{name}/{at}",
        rank=(1, at, 0, ""),
        code=variable.codes[0],
        system="LN",
        time=at,
        status="F",
        value=round(value * rng.uniform(0.97, 1.02), 3),
        unit=variable.unit,
    )


def day_in_intensive_care(seed: int) -> PatientRecord:
    """A patient 24 hours after admission: about 210 values of 21 variables."""
    rng = random.Random(seed)
    facts: list[Observation | EncounterEvent | PersonDetail] = [
        admission(),
        person(PersonDetail.SEX, "FM"[seed % 2]),
        person(PersonDetail.BIRTH_YEAR, 1950 - seed % 40),
    ]
    start = admission().time
    for hour in range(24):
        at = start + hour * HOUR
        facts += [_value(n, at, rng) for n in HOURLY]
        facts += [_value(n, at, rng) for n in MORE if hour % 4 == 0]
        facts += [_value(n, at, rng) for n in DAILY if hour % 12 == 0]
    made = PatientRecord()
    made.fold_facts(facts)
    return made


class Ward:
    """Patients whose time goes on: each has a new heart rate at each step."""

    def __init__(self, n: int) -> None:
        self.records = [day_in_intensive_care(i) for i in range(n)]
        first = self.records[0].stays()[0].start
        self._now = first + 24 * HOUR
        self._rng = random.Random(0)

    def step(self, n: int | None = None) -> Asked:
        """A minute later: the first `n` patients, with the time."""
        self._now += 60.0
        chosen = self.records[:n]
        for one in chosen:
            one.fold_facts([_value("heart_rate", self._now, self._rng)])
        return [(one, self._now) for one in chosen]


def ehr(model: RiskModel) -> tuple[float, float, float]:
    """Seconds with reasons, without, and of one alone."""
    ward = Ward(PATIENTS)
    model.assess(ward.step())
    with_reasons, without, alone = [], [], []
    for _ in range(5):
        asked = ward.step()
        with_reasons.append(seconds(lambda a=asked: model.assess(a)))  # type: ignore[misc]
        asked = ward.step()
        without.append(seconds(lambda a=asked: model.log_odds(a)))  # type: ignore[misc]
    for _ in range(100):
        asked = ward.step(1)
        alone.append(seconds(lambda a=asked: model.assess(a)))  # type: ignore[misc]
    return min(with_reasons), min(without), min(alone)


def main() -> None:
    """Print one line for each risk."""
    torch.set_num_threads(1)
    for risk in EHR:
        costs = ehr(load_bundle(None, risk))
        each, plain, alone = costs[0] * 1e6 / PATIENTS, costs[1] * 1e6 / PATIENTS, costs[2] * 1e6
        print(  # noqa: T201
            f"{risk:20s} {each:6.0f} us a patient with reasons, {plain:5.0f} without; "
            f"one alone {alone:6.0f} us"
        )


if __name__ == "__main__":
    main()
