"""Tiny cohorts in the published forms, made up."""

from __future__ import annotations

import csv
import gzip
import math
from pathlib import Path

import pandas as pd

from connectors.cohorts.physionet2019 import COLUMNS

# One PhysioNet 2012 patient: minute, parameter, value. -1 is "not known".
PHYSIONET_ROWS: list[tuple[int, str, float]] = [
    (0, "RecordID", 132539),
    (0, "Age", 54),
    (0, "Gender", 0),
    (0, "Height", -1),
    (0, "ICUType", 4),
    (0, "Weight", 81.5),
    (7, "HR", 73),
    (7, "Temp", 35.1),
    (7, "NISysABP", 147),
    (67, "HR", 77),
    (67, "pH", 7.31),
    (67, "Creatinine", 1.4),
    (67, "BUN", 21),
    (2880, "HR", 80),
]


def physionet_long(folder: Path, died: int = 0) -> Path:
    """The long form: one parquet file with its outcomes."""
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(PHYSIONET_ROWS, columns=["minute", "parameter", "value"])
    frame.insert(0, "record_id", 132539)
    frame.to_parquet(folder / "events_set_a.parquet")
    (folder / "outcomes_a.csv").write_text(_OUTCOMES.format(died=died))
    return folder


def physionet_original(folder: Path, died: int = 0) -> Path:
    """The original form: a text file for each patient."""
    (folder / "set-a").mkdir(parents=True, exist_ok=True)
    lines = ["Time,Parameter,Value"]
    lines += [f"{m // 60:02}:{m % 60:02},{name},{value:g}" for m, name, value in PHYSIONET_ROWS]
    (folder / "set-a" / "132539.txt").write_text("\n".join(lines) + "\n")
    (folder / "Outcomes-a.txt").write_text(_OUTCOMES.format(died=died))
    return folder


_OUTCOMES = (
    "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n132539,6,1,5,-1,{died}\n"
)

Rows = list[dict[str, str]]


def mimic(folder: Path, *, upper: bool = False, zipped: bool = False) -> Path:
    """Two patients of MIMIC-III: one with a stay in which they die, one aged over 89."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in _MIMIC.items():
        columns = list(dict.fromkeys(column for row in rows for column in row))
        header = [c.upper() if upper else c for c in columns]
        file = folder / f"{name.upper() if upper else name}.csv{'.gz' if zipped else ''}"
        opened = gzip.open if zipped else open
        with opened(file, "wt", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerow(["ROW_ID" if upper else "row_id", *header])
            writer.writerows([n, *(row.get(c, "") for c in columns)] for n, row in enumerate(rows))
    return folder


def _chart(subject: str, item: str, time: str, number: str, **more: str) -> dict[str, str]:
    row = {
        "subject_id": subject,
        "itemid": item,
        "charttime": time,
        "storetime": time,
        "value": number,
        "valuenum": number,
        "error": "0",
    }
    return row | more


def _lab(item: str, time: str, value: str, number: str, unit: str, flag: str) -> dict[str, str]:
    return {
        "subject_id": "10",
        "itemid": item,
        "charttime": time,
        "value": value,
        "valuenum": number,
        "valueuom": unit,
        "flag": flag,
    }


_MIMIC: dict[str, Rows] = {
    "patients": [
        {"subject_id": "10", "gender": "F", "dob": "2094-03-05 00:00:00"},
        {"subject_id": "20", "gender": "M", "dob": "1850-01-01 00:00:00"},
    ],
    "admissions": [
        {
            "subject_id": "10",
            "hadm_id": "142345",
            "admittime": "2164-10-23 21:09:00",
            "dischtime": "2164-10-25 17:15:00",
            "deathtime": "2164-10-25 17:10:00",
            "edregtime": "2164-10-23 16:43:00",
        },
        {
            "subject_id": "20",
            "hadm_id": "200000",
            "admittime": "2150-01-01 10:00:00",
            "dischtime": "2150-01-02 10:00:00",
            "deathtime": "",
            "edregtime": "",
        },
    ],
    "transfers": [
        {
            "subject_id": "10",
            "hadm_id": "142345",
            "eventtype": event,
            "curr_careunit": unit,
            "curr_wardid": ward,
            "intime": time,
        }
        for event, unit, ward, time in (
            ("admit", "MICU", "52", "2164-10-23 21:10:15"),
            ("transfer", "", "45", "2164-10-25 12:21:07"),
            ("discharge", "", "", "2164-10-25 17:14:27"),
        )
    ],
    "chartevents": [
        _chart("10", "211", "2164-10-23 22:00:00", "88"),
        _chart("10", "678", "2164-10-23 22:00:00", "98.400001525878906"),
        _chart("10", "190", "2164-10-23 22:00:00", ".40000000596046448"),
        _chart("10", "720", "2164-10-23 22:00:00", "", value="Assist Control"),
        _chart("10", "618", "2164-10-23 22:00:00", ""),  # no value
        _chart("10", "5820", "2164-10-23 22:00:00", "90"),  # an alarm limit: not mapped
        _chart(
            *("10", "211", "2164-10-24 01:00:00", "880"),
            error="1",
            storetime="2164-10-24 01:20:00",
        ),
        _chart("20", "220045", "2150-01-01 11:00:00", "70"),
        _chart("20", "220739", "2150-01-01 11:00:00", "4"),
        _chart("20", "223900", "2150-01-01 11:00:00", "5"),
        _chart("20", "223901", "2150-01-01 11:00:00", "6"),
        _chart("20", "220739", "2150-01-01 12:00:00", "3"),  # alone: no total
    ],
    "outputevents": [
        {
            "subject_id": "10",
            "itemid": item,
            "charttime": "2164-10-24 02:00:00",
            "storetime": "2164-10-24 02:00:00",
            "value": "60",
            "iserror": "",
        }
        for item in ("40055", "40054")  # urine, stool
    ],
    "labevents": [
        _lab("50912", "2164-10-23 23:30:00", "1.6", "1.6", "mg/dL", "abnormal"),
        _lab("51265", "2164-10-23 23:30:00", "210", "210", "K/uL", ""),
        _lab("51003", "2164-10-23 23:30:00", "<0.01", "", "ng/ml", ""),
        _lab("50800", "2164-09-01 08:00:00", "ART", "", "", ""),  # before the stay, no LOINC
        _lab("50912", "2164-10-24 05:00:00", "", "", "mg/dL", ""),  # no value
    ],
    "d_labitems": [
        {"itemid": item, "label": label, "fluid": "Blood", "category": kind, "loinc_code": loinc}
        for item, label, kind, loinc in (
            ("50912", "Creatinine", "Chemistry", "2160-0"),
            ("51003", "Troponin T", "Chemistry", "6598-7"),
            ("51265", "Platelet Count", "Hematology", "777-3"),
            ("50800", "SPECIMEN TYPE", "BLOOD GAS", ""),
        )
    ],
}

# One PhysioNet 2019 patient by hour; what is not named is not known. The second hour is empty.
SEPSIS_HOURS: tuple[dict[str, float], ...] = (
    {"HR": 97, "Temp": 36.9, "SepsisLabel": 0},
    {"SepsisLabel": 0},
    {"FiO2": 0.4, "Calcium": 1.13, "SepsisLabel": 0},
    {"Calcium": 8.4, "SepsisLabel": 1},
)
_SEPSIS_CONTEXT = {"Age": 83.0, "Gender": 0.0, "HospAdmTime": -0.03}


def _sepsis_rows() -> list[dict[str, float]]:
    names = [*COLUMNS, "Age", "Gender", "Unit1", "Unit2", "HospAdmTime", "ICULOS", "SepsisLabel"]
    rows = (
        {**hour, **_SEPSIS_CONTEXT, "ICULOS": float(i)} for i, hour in enumerate(SEPSIS_HOURS, 1)
    )
    return [{name: row.get(name, math.nan) for name in names} for row in rows]


def sepsis_original(folder: Path, name: str = "training_setA", patient: str = "p000001") -> Path:
    """The original form: a file for each patient."""
    rows = _sepsis_rows()
    lines = ["|".join(rows[0])]
    lines += ["|".join(f"{v:g}".replace("nan", "NaN") for v in row.values()) for row in rows]
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / f"{patient}.psv").write_text("\n".join(lines) + "\n")
    return folder


def sepsis_table(folder: Path, patient: str = "p000001") -> Path:
    """A table of patients, in single precision."""
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(_sepsis_rows()).astype("float32")
    frame.insert(0, "patient", patient)
    frame.to_parquet(folder / "train.parquet")
    return folder
