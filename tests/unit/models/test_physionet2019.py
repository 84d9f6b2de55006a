"""Both forms of the set give the same patients."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from connectors.cohorts.physionet2019 import (
    COLUMNS,
    CohortError,
    CohortPatient,
    available,
    load,
)
from models.sepsis_variables import SEPSIS_CATALOGUE
from models.units import Rejection, affine
from tests.unit.replay.folders import sepsis_original, sepsis_table


def _only(path: Path) -> CohortPatient:
    (patient,) = load(path)
    return patient


def test_both_forms_give_the_same_patient(tmp_path: Path) -> None:
    assert _only(sepsis_original(tmp_path / "a")) == _only(sepsis_table(tmp_path / "b"))


def test_a_patient_is_read_as_documented(tmp_path: Path) -> None:
    patient = _only(sepsis_original(tmp_path))
    assert (patient.record_id, patient.age, patient.sex, patient.unit) == ("p000001", 83, "F", "")
    assert patient.hospital_h == 0.03
    assert patient.hours == (1, 2, 3, 4)  # there is a row without an observation
    assert patient.labels == (0, 0, 0, 1)
    assert [(e.hour, e.code, e.value, e.unit) for e in patient.events] == [
        (1, "8867-4", 97.0, "/min"),
        (1, "8310-5", 36.9, "Cel"),
        (3, "3150-6", 0.4, "1"),
        (3, "1994-3", 1.13, "mmol/L"),  # ionised: below 2
        (4, "17861-6", 8.4, "mg/dL"),
    ]


def test_a_set_without_labels_can_be_read(tmp_path: Path) -> None:
    file = next(sepsis_original(tmp_path).rglob("*.psv"))
    lines = [line.rpartition("|")[0] for line in file.read_text().splitlines()]
    file.write_text("\n".join(lines) + "\n")
    assert _only(tmp_path).labels is None


def test_sets_and_tables_are_read_in_order_of_file(tmp_path: Path) -> None:
    sepsis_original(tmp_path, "training_setB", "p100001")
    sepsis_original(tmp_path, "training_setA", "p000002")
    assert [f.stem for f in available(tmp_path)] == ["p000002", "p100001"]
    assert [p.record_id for p in load(tmp_path)] == ["p000002", "p100001"]


def test_other_folders_are_refused_with_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"training_setA"):
        list(load(tmp_path / "nowhere"))
    pd.DataFrame({"patient": ["p1"], "HR": [80.0]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(CohortError, match=r"no column .*SBP"):
        list(load(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("97", "fast", "not a number"),
        ("|1|0\n", "|1\n", "as many cells"),
        ("|2|0\n", "|1|0\n", "do not ascend"),
        ("|2|0\n", "|NaN|0\n", "do not ascend"),
        ("|2|0\n", "|2|7\n", "not 0 or 1"),
        ("|2|0\n", "|2|NaN\n", "not 0 or 1"),
    ],
)
def test_broken_files_are_refused_with_the_reason(
    tmp_path: Path, old: str, new: str, why: str
) -> None:
    file = next(sepsis_original(tmp_path).rglob("*.psv"))
    broken = file.read_text().replace(old, new, 1)
    assert broken != file.read_text()
    file.write_text(broken)
    with pytest.raises(CohortError, match=why):
        list(load(tmp_path))


def test_a_patient_who_comes_twice_is_refused(tmp_path: Path) -> None:
    sepsis_table(sepsis_original(tmp_path))
    with pytest.raises(CohortError, match="p000001"):
        list(load(tmp_path))


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_is_a_variable_in_a_unit_that_converts(column: str) -> None:
    code, _, unit = COLUMNS[column]
    (variable,) = [v for v in SEPSIS_CATALOGUE if code in v.codes]
    assert variable.codes[0] == code
    assert not isinstance(affine(variable, unit), Rejection)


@pytest.mark.slow
@pytest.mark.shared
def test_the_real_set_is_read_whole(shared: Path) -> None:
    """Counts and shares as the set's description gives them."""
    found = list(load(shared / "data" / "physionet2019"))
    assert len(found) == 14_000
    assert sum(1 in (p.labels or ()) for p in found) == 783
    assert sum(len(p.hours) for p in found) == 533_597
    assert all(math.isfinite(e.value) for p in found for e in p.events)
