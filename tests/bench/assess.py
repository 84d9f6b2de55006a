"""What a score costs: 1,000 patients in one batch, with and without reasons, and one alone.

`python tests/bench/assess.py` on made-up patients, one core; the best of several runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from random import Random

import torch

from connectors.cohorts.physionet2012 import Parameter
from connectors.cohorts.physionet2019 import COLUMNS, CohortPatient, Event
from models.bundle import load_bundle
from models.inputs import DAY_S
from models.questions import QUESTIONS
from models.record import PatientRecord
from models.sepsis_variables import SEPSIS_CATALOGUE
from models.training.sepsis_cohort import stays
from models.training.tumours import START
from tests.unit.models.test_multimodal import EVERYTHING, record

PATIENTS = 1_000


def best(work: Callable[[], object], runs: int) -> float:
    """Seconds of the fastest run."""
    times: list[float] = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def tumour_ward(risk: str) -> list[tuple[PatientRecord, float]]:
    """Patients of whom everything is known."""
    return [(record(EVERYTHING[risk]), START + 20 * DAY_S) for _ in range(PATIENTS)]


def _event(hour: int, parameter: Parameter, around: float) -> Event:
    """A value near the middle of what is plausible."""
    variable = next(v for v in SEPSIS_CATALOGUE if v.codes[0] == parameter.code)
    value = around * (variable.low + variable.high) / (200 if parameter.unit == "1" else 2)
    return Event(hour, parameter.code, parameter.name, round(value, 3), parameter.unit)


def intensive_care() -> list[tuple[PatientRecord, float]]:
    """Thirty hours: bedside values every hour, a laboratory round every six."""
    names = list(COLUMNS)
    asked = []
    for i in range(PATIENTS):
        random = Random(i)
        events = tuple(
            _event(hour, COLUMNS[n], random.gauss(1.0, 0.05))
            for hour in range(1, 31)
            for n in (names if hour % 6 == 0 else names[:7])
        )
        hours = tuple(range(1, 31))
        patient = CohortPatient(f"p{i}", 60.0, "F", "MICU", 5.0, hours, (0,) * 30, events)
        asked.append(next(stays([patient])).moments()[-1])
    return asked


def main() -> None:
    """Print one line for each risk."""
    torch.set_num_threads(1)
    wards = {"sepsis": intensive_care, **{r: partial(tumour_ward, r) for r in sorted(QUESTIONS)}}
    for risk, ward in wards.items():
        model = load_bundle(None, risk)
        asked = ward()
        model.assess(asked)
        each = 1e6 / PATIENTS
        with_reasons = best(lambda m=model, a=asked: m.assess(a), 5) * each  # type: ignore[misc]
        without = best(lambda m=model, a=asked: m.log_odds(a), 5) * each  # type: ignore[misc]
        alone = best(lambda m=model, a=asked[:1]: m.assess(a), 50) * 1e6  # type: ignore[misc]
        print(  # noqa: T201
            f"{risk:24s} {with_reasons:6.0f} us a patient with reasons, {without:5.0f} without; "
            f"one alone {alone:6.0f} us"
        )


if __name__ == "__main__":
    main()
