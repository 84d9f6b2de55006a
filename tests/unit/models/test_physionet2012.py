"""Both forms of the set give the same patients."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from connectors.cohorts.physionet2012 import PARAMETERS, CohortError, CohortPatient, available, load
from models.units import Rejection, affine
from models.variables import BY_CODE

_ROWS = [
    (0, "RecordID", 132539),
    (0, "Age", 54),
    (0, "Gender", 0),
    (0, "Height", -1),
    (0, "ICUType", 4),
    (0, "Weight", -1),
    (7, "HR", 73),
    (7, "MAP", 0),
    (7, "MAP", 81),
    (67, "MechVent", 1),
    (67, "Weight", 80.5),
    (2_880, "Mg", 1.9),
]


@pytest.fixture
def long_form(tmp_path: Path) -> Path:
    """Set a as a table."""
    frame = pd.DataFrame(_ROWS, columns=["minute", "parameter", "value"]).assign(record_id=132539)
    frame.astype({"value": float}).to_parquet(tmp_path / "events_set_a.parquet")
    (tmp_path / "outcomes_a.csv").write_text("RecordID,SAPS-I,In-hospital_death\n132539,6,1\n")
    return tmp_path


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """Set a as the challenge published it."""
    folder = tmp_path / "original" / "set-a"
    folder.mkdir(parents=True)
    lines = [f"{m // 60:02d}:{m % 60:02d},{p},{v}" for m, p, v in _ROWS]
    text = "\n".join(["Time,Parameter,Value", *lines, "12:00,,5", ""])
    (folder / "132539.txt").write_text(text)
    (folder.parent / "Outcomes-a.txt").write_text("RecordID,SAPS-I,In-hospital_death\n132539,6,1\n")
    return folder.parent


def _only(path: Path) -> CohortPatient:
    (patient,) = load(path)
    return patient


def test_both_forms_give_the_same_patient(long_form: Path, original: Path) -> None:
    assert _only(long_form) == _only(original)


def test_a_patient_is_read_as_documented(long_form: Path) -> None:
    patient = _only(long_form)
    assert (patient.age, patient.sex, patient.icu_type, patient.died) == (54, "F", "SICU", 1)
    found = [(e.minute, e.code, e.value, e.unit) for e in patient.events]
    assert found == [
        (7, "8867-4", 73.0, "/min"),
        (7, "76214-6", 81.0, "mm[Hg]"),  # the last of two values at one minute
        (67, "20124-4", "mechanical ventilation", ""),
        (67, "29463-7", 80.5, "kg"),
        (2_880, "19123-9", 1.9, "mg/dL"),
    ]


def test_a_set_without_outcomes_can_be_read(original: Path) -> None:
    (original / "Outcomes-a.txt").unlink()
    assert _only(original).died is None


def test_several_sets_are_read_in_order(original: Path) -> None:
    (original / "set-b").mkdir()
    (original / "set-b" / "142675.txt").write_text("Time,Parameter,Value\n00:00,Age,60\n")
    assert available(original) == ["a", "b"]
    assert [p.set_name for p in load(original)] == ["a", "b"]
    assert [p.record_id for p in load(original, ["b"])] == [142675]


def test_other_folders_are_refused_with_what_is_missing(tmp_path: Path, original: Path) -> None:
    with pytest.raises(CohortError, match=r"events_set_a\.parquet"):
        list(load(tmp_path / "nowhere"))
    with pytest.raises(CohortError, match="does not hold set c"):
        list(load(original, ["c"]))
    (original / "set-a" / "132539.txt").write_text("Time,Parameter,Value\nnoon,HR,80\n")
    with pytest.raises(CohortError, match="HH:MM"):
        list(load(original))


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_every_parameter_is_a_variable_in_a_unit_that_converts(parameter: str) -> None:
    code, _, unit = PARAMETERS[parameter]
    variable = BY_CODE[code]
    assert variable.codes[0] == code
    if not variable.answers:
        assert not isinstance(affine(variable, unit), Rejection)
