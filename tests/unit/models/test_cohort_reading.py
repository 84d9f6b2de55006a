"""Sets of other hospitals in the form of the cohorts: what is read, refused, counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from connectors.cohorts import hancock, physionet2012, physionet2019, ucsf_pdgm
from connectors.cohorts.tables import CohortError, Reading
from tests.unit.replay.folders import sepsis_original, sepsis_table

_MARK = "\ufeff".encode()  # with which a spreadsheet begins a file


def _stays(folder: Path, name: str = "x", first: int = 7, outcomes: str | None = None) -> Path:
    """A set of three patients in the long form, of which no two are alike."""
    rows = [
        (first + n, minute, parameter, value + n)
        for n in range(3)
        for minute, parameter, value in ((0, "Age", 60.0), (7, "HR", 80.0), (60, "HR", 90.0))
    ]
    frame = pd.DataFrame(rows, columns=["record_id", "minute", "parameter", "value"])
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(folder / f"events_set_{name}.parquet")
    said = outcomes or "".join(f"{first + n},{n % 2}\n" for n in range(3))
    (folder / f"outcomes_{name}.csv").write_text(f"RecordID,In-hospital_death\n{said}")
    return folder


def test_a_set_of_any_name_is_read_in_both_forms(tmp_path: Path) -> None:
    (_stays(tmp_path) / "set-h2").mkdir()
    (tmp_path / "set-h2" / "H0.txt").write_text("Time,Parameter,Value\n00:00,Age,60\n")
    (tmp_path / "Outcomes-h2.txt").write_text("RecordID, In-hospital_death\nH0,1\n")
    found = list(physionet2012.load(tmp_path))
    assert [(p.set_name, p.record_id, p.died) for p in found] == [
        ("h2", "H0", 1), ("x", 7, 0), ("x", 8, 1), ("x", 9, 0),
    ]  # fmt: skip
    assert [p.record_id for p in physionet2012.load(tmp_path, ["X"])] == [7, 8, 9]


def test_whole_numbers_may_be_written_as_floats_and_a_blank_outcome_is_unknown(
    tmp_path: Path,
) -> None:
    _stays(tmp_path, outcomes="7.0,1.0\n8.0,\n9.0,NaN\n10.0,0\n")
    file = tmp_path / "events_set_x.parquet"
    pd.read_parquet(file).astype({"record_id": float, "minute": float}).to_parquet(file)
    reading = Reading()
    found = list(physionet2012.load(tmp_path, reading=reading))
    assert [(p.record_id, p.died) for p in found] == [(7, 1), (8, None), (9, None)]
    assert found[0].events[0].minute == 7
    assert reading.counts() == {"patients_without_outcome": 2, "outcomes_without_patient": 1}


@pytest.mark.parametrize(
    ("outcomes", "why"),
    [
        ("7,-1\n", r"outcomes_x\.csv: 7: In-hospital_death is -1"),
        ("7,2\n", "In-hospital_death is 2"),
        ("7,yes\n", "'yes', not a number"),
        ("7,0\n7,1\n", "7 has two lines that differ in In-hospital_death"),
        (",0\n", "a patient has no id"),
        ("7\n", "line 2: not as many cells"),
    ],
)
def test_an_impossible_outcome_is_refused_with_file_record_and_value(
    tmp_path: Path, outcomes: str, why: str
) -> None:
    with pytest.raises(CohortError, match=why):
        list(physionet2012.load(_stays(tmp_path, outcomes=outcomes)))


def test_a_patient_may_come_once_and_a_copy_under_another_id_is_counted(tmp_path: Path) -> None:
    _stays(_stays(tmp_path, "a", outcomes="7,0\n7,0\n"), "b", first=107)
    reading = Reading()
    assert len(list(physionet2012.load(tmp_path, reading=reading))) == 6
    assert reading.counts() == {
        "patients_without_outcome": 2, "repeated_lines": 1, "same_content_under_another_id": 3,
    }  # fmt: skip
    _stays(tmp_path, "c", first=9)
    with pytest.raises(CohortError, match="set c: patient 9 was in set a before"):
        list(physionet2012.load(tmp_path))


def test_an_empty_value_is_no_measurement(tmp_path: Path) -> None:
    file = _stays(tmp_path) / "events_set_x.parquet"
    frame = pd.read_parquet(file)
    frame.loc[frame["minute"] == 7, "value"] = None
    frame.to_parquet(file)
    assert [[e.minute for e in p.events] for p in physionet2012.load(tmp_path)] == [[60]] * 3


_Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda f: f.drop(columns="value"), "no column value"),
        (lambda f: f.drop(columns="record_id"), "no column record_id"),
        (lambda f: f.astype({"value": str}), "column value is not of numbers"),
        (lambda f: f.assign(record_id=[None, *f["record_id"][1:]]), "1 rows have no id"),
        (lambda f: f.assign(minute=[None, *f["minute"][1:]]), "a row has no minute"),
    ],
)
def test_a_table_that_lacks_something_is_refused_in_words(
    tmp_path: Path, change: _Change, why: str
) -> None:
    file = _stays(tmp_path) / "events_set_x.parquet"
    change(pd.read_parquet(file)).to_parquet(file)
    with pytest.raises(CohortError, match=why):
        list(physionet2012.load(tmp_path))


@pytest.mark.parametrize("content", [b"", b"hello", b"PAR1" + bytes(30)])
def test_a_damaged_parquet_file_is_named(tmp_path: Path, content: bytes) -> None:
    for load, name in ((physionet2012.load, "events_set_x"), (physionet2019.load, "any")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"{name}.parquet").write_bytes(content)
        with pytest.raises(CohortError, match=rf"{name}\.parquet cannot be read"):
            list(load(folder))


def test_files_from_a_spreadsheet_are_read(tmp_path: Path) -> None:
    """They begin with a mark and have two characters at the end of a line."""
    _stays(tmp_path / "12")
    sepsis_original(tmp_path / "19")
    files = [tmp_path / "12" / "outcomes_x.csv", *(tmp_path / "19").rglob("*.psv")]
    for file in files:
        file.write_bytes(_MARK + file.read_bytes().replace(b"\n", b"\r\n"))
    assert [p.died for p in physionet2012.load(tmp_path / "12")] == [0, 1, 0]
    assert len(list(physionet2019.load(tmp_path / "19"))) == 1


def test_a_table_of_2019_may_lie_in_a_subfolder_without_units_and_lack_labels(
    tmp_path: Path,
) -> None:
    table = next(sepsis_table(tmp_path / "setC").glob("*.parquet"))
    frame = pd.read_parquet(table).drop(columns=["Unit1", "Unit2"])
    again = frame.assign(patient="p200002", SepsisLabel=float("nan"))
    pd.concat([frame, again]).to_parquet(table)
    reading = Reading()
    found = list(physionet2019.load(tmp_path, reading))
    assert [(p.record_id, p.unit, p.labels is None) for p in found] == [
        ("p000001", "", False), ("p200002", "", True),
    ]  # fmt: skip
    assert reading.counts() == {"patients_without_outcome": 1, "same_content_under_another_id": 1}


def test_a_column_of_2019_that_is_not_of_numbers_is_refused(tmp_path: Path) -> None:
    table = next(sepsis_table(tmp_path).glob("*.parquet"))
    pd.read_parquet(table).assign(HR="fast").to_parquet(table)
    with pytest.raises(CohortError, match="a cell of p000001 is no number"):
        list(physionet2019.load(tmp_path))


# ── tumours ────────────────────────────────────────────────────────────────────────────────────

_HEADER = "ID,Sex,Age at MRI,WHO CNS Grade,MGMT status,1p/19q,IDH,1-dead 0-alive,OS,EOR"
_REST = "4,negative,,wildtype"


def _gliomas(folder: Path, *lines: str) -> Path:
    (folder / "UCSF-PDGM-metadata.csv").write_text("\n".join([_HEADER, *lines]) + "\n")
    return folder


def test_ids_of_other_hospitals_are_of_other_patients(tmp_path: Path) -> None:
    """UCSF scanned its 409 twice; somebody else's 409 is one patient like any other."""
    ids = ("UCSF-PDGM-0409", "UPENN-GBM-409", "UCSF-PDGM-004", "H0", "409")
    _gliomas(tmp_path, *(f"{one},M,{50 + n},{_REST},1,{n},GTR" for n, one in enumerate(ids)))
    reading = Reading()
    found = [p.record_id for p in ucsf_pdgm.load(tmp_path, reading)]
    assert found == [4, 409, "H0", "UPENN-GBM-409"]
    assert reading.counts() == {"repeated_scans": 1}


@pytest.mark.parametrize("word", ["", "nan", "n/a", "NA", " unknown "])
def test_words_for_unknown_are_unknown(tmp_path: Path, word: str) -> None:
    _gliomas(tmp_path, f"H1,M,{word},{_REST},{word},{word},GTR")
    (patient,) = ucsf_pdgm.load(tmp_path)
    assert (patient.age, patient.followed_d, patient.label) == (None, None, None)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"H1,M,sixty,{_REST},1,90,GTR", r"metadata\.csv, line 2: Age at MRI is 'sixty'"),
        (f"H1,M,60,{_REST},1,inf,GTR", "line 2: OS is 'inf'"),
        (f"H1,M,60,{_REST},2,90,GTR", "line 2: 1-dead 0-alive is 2"),
        (f"H1,M,60,{_REST},1,90", "line 2: not as many cells"),
        (f"H1,M,60,{_REST},1,90,GTR\nH1,M,60,{_REST},0,90,GTR", "H1 has two lines that differ"),
    ],
)
def test_impossible_cells_are_refused_with_file_line_and_column(
    tmp_path: Path, line: str, why: str
) -> None:
    with pytest.raises(CohortError, match=why):
        ucsf_pdgm.load(_gliomas(tmp_path, line))


def test_a_death_written_as_a_float_is_a_death_and_a_line_twice_is_read_once(
    tmp_path: Path,
) -> None:
    line = f"H1,M,60,{_REST},1.0,90.0,GTR"
    reading = Reading()
    (patient,) = ucsf_pdgm.load(_gliomas(tmp_path, line, line), reading)
    assert (patient.label, reading.counts()) == (1, {"repeated_lines": 1})


def _head_neck(folder: Path) -> dict[str, dict[str, str]]:
    """One patient of another hospital, with all that is read; no tissue microarray."""
    return {
        "targets": {"patient_id": "H7", "rfs_event": "1.0", "days_to_rfs_event": "300"},
        "clinical": {"patient_id": "H7", "sex": "1.0", "age_at_initial_diagnosis": "60"}
        | {c: "1" for c, _, _ in hancock.CLINICAL},
        "blood": {"patient_id": "H7"} | {name: "4.5" for name, _, _ in hancock.BLOOD},
        "pathological": {"patient_id": "H7"} | {c: "1.0" for c, _, _ in hancock.PATHOLOGY},
    }


def _written(folder: Path, tables: dict[str, dict[str, str]]) -> Path:
    for name, line in tables.items():
        pd.DataFrame([line]).to_csv(folder / f"{name}.csv", index=False, encoding="utf-8-sig")
    return folder


def test_head_and_neck_patients_of_another_hospital_are_read(tmp_path: Path) -> None:
    (patient,) = hancock.load(_written(tmp_path, _head_neck(tmp_path)))
    assert (patient.record_id, patient.sex, patient.label) == ("H7", "F", 1)
    assert {r.kind for r in patient.results} == {"ehr", "blood", "pathology"}


@pytest.mark.parametrize(
    ("table", "column", "value", "why"),
    [
        ("pathological", "grading", "7", "grading is 7, and has the numbers 0 to 3"),
        ("pathological", "grading", "-1", "grading is -1"),
        ("blood", hancock.BLOOD[1][0], "high", r"blood\.csv, line 2: Hemoglobin"),
        ("targets", "rfs_event", "-1", "rfs_event is -1"),
    ],
)
def test_impossible_values_of_head_and_neck_patients_are_refused(
    tmp_path: Path, table: str, column: str, value: str, why: str
) -> None:
    tables = _head_neck(tmp_path)
    tables[table][column] = value
    with pytest.raises(CohortError, match=why):
        hancock.load(_written(tmp_path, tables))
