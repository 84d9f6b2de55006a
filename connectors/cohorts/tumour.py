"""What the tumour cohorts have in common: one patient, one outcome, results of several kinds.

Results that have no LOINC code that fits go under codes of our own (`99TCS`); a hospital maps its
codes to them in the site file (docs/sources.md), as it maps any local code.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from connectors.cohorts.physionet2012 import CohortError

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

    record_id: int
    age: float | None  # years
    sex: str  # M, F or U
    results: tuple[Result, ...]
    label: int | None  # the endpoint; None where follow-up ended before it was decided
    stratum: str = ""  # for subgroups, never an input
    # The course, for training alone, never an input: days to the event, or to the last that is
    # known of them.
    followed_d: float | None = None
    had_event: bool = False


def table(file: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Lines of a CSV file. Raises `CohortError` when it is missing or another file."""
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            missing = [c for c in columns if c not in (reader.fieldnames or ())]
            if missing:
                raise CohortError(f"{file} has no column {', '.join(missing)}.")
            return list(reader)
    except FileNotFoundError:
        raise CohortError(
            f"{file} is missing: name the folder that holds it with --data."
        ) from None
    except UnicodeDecodeError:
        raise CohortError(f"{file} is not a CSV file in UTF-8.") from None


def number(text: str) -> float | None:
    """A cell as a number, None when it is empty."""
    return float(text) if text.strip() else None
