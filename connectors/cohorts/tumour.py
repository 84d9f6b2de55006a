"""What the tumour cohorts have in common: one patient, one outcome, results of several kinds.

Results that have no LOINC code that fits go under codes of our own (`99TCS`); a hospital maps its
codes to them in the site file (docs/sources.md), as it maps any local code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from connectors.cohorts.tables import Reading, RecordId

LOCAL = "99TCS"
LOINC = "LN"


class Result(NamedTuple):
    """One result. `day` counts from the first: when it reached the record."""

    day: int
    kind: str  # "ehr", "pathology", …: what is ordered and resulted together
    code: str
    system: str
    name: str
    value: float | str
    unit: str = ""
    said: str = ""  # the words of the cohort, where they say more than the value


@dataclass(frozen=True, slots=True)
class TumourPatient:
    """One patient of a cohort. Results are in order of time."""

    record_id: RecordId
    age: float | None  # years
    sex: str  # M, F or U
    results: tuple[Result, ...]
    label: int | None  # the endpoint; None where follow-up ended before it was decided
    stratum: str = ""  # for subgroups, never an input
    # The course, for training alone, never an input: days to the event, or to the last that is
    # known of them.
    followed_d: float | None = None
    had_event: bool = False


def meet(patient: TumourPatient, where: str, reading: Reading) -> TumourPatient:
    """Count a patient. Alike are those with the same results and the same course to the day."""
    course = (patient.followed_d, patient.had_event, patient.age, patient.sex)
    content = (course, patient.results) if patient.followed_d is not None else None
    reading.meet(patient.record_id, where, content, patient.label is not None)
    return patient
