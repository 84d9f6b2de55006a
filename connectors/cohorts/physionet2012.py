"""PhysioNet/CinC Challenge 2012: 48 hours of intensive care, 37 parameters, in-hospital death.

Reads the two forms in which the set exists: the original one (`set-a/132539.txt`, …, with
`Outcomes-a.txt`) and the long form (`events_set_a.parquet` with `outcomes_a.csv`). Both give the
same patients.

What is decided here, once, for training and replay alike:

- -1 means "not known" for height, weight, sex; other values are passed on as they are, also those
  that no body can have: refusing them is the model's task, with a reason, as for any hospital.
- The set gives some values twice for one minute (mostly mean pressure and urine). A hospital's
  interface would send one value for one time, so the last one in file order counts.
- ICUType is where the patient lies, not a measurement: it becomes the name of the ward.
- Weight before the first weighing (minute 0) and later weights are the same series. Height is
  given at minute 0 only.
- MechVent (always 1) is a coded observation, "mechanical ventilation", not a number.
- Mg is documented as mmol/L but holds mg/dL (its median, 2.0, is the middle of the reference
  range in mg/dL and twice its upper limit in mmol/L). The unit sent is what the values are.

Source: Silva et al., Computing in Cardiology 2012; parameter list of the challenge's data page.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

HOURS = 48  # length of every record
ICU_TYPES = {1: "CCU", 2: "CSRU", 3: "MICU", 4: "SICU"}


class CohortError(Exception):
    """A folder or file that is not this data set; the message says what is missing."""


class Parameter(NamedTuple):
    """How one of the set's parameters is sent: LOINC code, its name, the UCUM unit of the data."""

    code: str
    name: str
    unit: str


class Event(NamedTuple):
    """One observation. `value` is text for the one coded parameter (MechVent)."""

    minute: int  # since admission to intensive care, 0 to 2,880
    code: str
    name: str
    value: float | str
    unit: str


@dataclass(frozen=True, slots=True)
class CohortPatient:
    """One stay. Events are in order of time."""

    record_id: int
    set_name: str  # a, b or c
    age: float | None  # years; 90 stands for older
    sex: str  # HL7 table 0001: F, M, U
    icu_type: str  # CCU, CSRU (cardiac surgery recovery), MICU, SICU; "" when not known
    died: int | None  # died in hospital; None where the set gives no outcome
    events: tuple[Event, ...]
    died_on_day: int | None = None  # in hospital or later, since admission; where known


MECHANICAL_VENTILATION = "mechanical ventilation"

PARAMETERS = {
    "ALP": Parameter("6768-6", "Alkaline phosphatase", "U/L"),
    "ALT": Parameter("1742-6", "Alanine aminotransferase", "U/L"),
    "AST": Parameter("1920-8", "Aspartate aminotransferase", "U/L"),
    "Albumin": Parameter("1751-7", "Albumin", "g/dL"),
    "BUN": Parameter("3094-0", "Urea nitrogen", "mg/dL"),
    "Bilirubin": Parameter("1975-2", "Bilirubin, total", "mg/dL"),
    "Cholesterol": Parameter("2093-3", "Cholesterol", "mg/dL"),
    "Creatinine": Parameter("2160-0", "Creatinine", "mg/dL"),
    "DiasABP": Parameter("76213-8", "Diastolic pressure, invasive", "mm[Hg]"),
    "FiO2": Parameter("3150-6", "Inspired oxygen fraction", "1"),
    "GCS": Parameter("9269-2", "Glasgow coma score", "{score}"),
    "Glucose": Parameter("2345-7", "Glucose", "mg/dL"),
    "HCO3": Parameter("1963-8", "Bicarbonate", "mmol/L"),
    "HCT": Parameter("4544-3", "Hematocrit", "%"),
    "HR": Parameter("8867-4", "Heart rate", "/min"),
    "Height": Parameter("8302-2", "Body height", "cm"),
    "K": Parameter("2823-3", "Potassium", "meq/L"),
    "Lactate": Parameter("2524-7", "Lactate", "mmol/L"),
    "MAP": Parameter("76214-6", "Mean arterial pressure, invasive", "mm[Hg]"),
    "MechVent": Parameter("20124-4", "Ventilation mode", ""),
    "Mg": Parameter("19123-9", "Magnesium", "mg/dL"),
    "NIDiasABP": Parameter("76535-4", "Diastolic pressure, non-invasive", "mm[Hg]"),
    "NIMAP": Parameter("76536-2", "Mean arterial pressure, non-invasive", "mm[Hg]"),
    "NISysABP": Parameter("76534-7", "Systolic pressure, non-invasive", "mm[Hg]"),
    "Na": Parameter("2951-2", "Sodium", "meq/L"),
    "PaCO2": Parameter("2019-8", "Arterial carbon dioxide pressure", "mm[Hg]"),
    "PaO2": Parameter("2703-7", "Arterial oxygen pressure", "mm[Hg]"),
    "Platelets": Parameter("777-3", "Platelets", "10*3/uL"),
    "RespRate": Parameter("9279-1", "Respiratory rate", "/min"),
    "SaO2": Parameter("2708-6", "Oxygen saturation, arterial", "%"),
    "SysABP": Parameter("76215-3", "Systolic pressure, invasive", "mm[Hg]"),
    "Temp": Parameter("8310-5", "Body temperature", "Cel"),
    "TroponinI": Parameter("10839-9", "Troponin I", "ug/L"),
    "TroponinT": Parameter("6598-7", "Troponin T", "ug/L"),
    "Urine": Parameter("9187-6", "Urine output", "mL"),
    "WBC": Parameter("6690-2", "Leukocytes", "10*3/uL"),
    "Weight": Parameter("29463-7", "Body weight", "kg"),
    "pH": Parameter("2744-1", "Arterial pH", "[pH]"),
}
_MISSING_AS_MINUS_ONE = frozenset({"Height", "Weight"})
_SEXES = {0: "F", 1: "M"}


def load(path: Path, sets: Iterable[str] | None = None) -> Iterator[CohortPatient]:
    """Patients of the sets in a folder, in order of set and record id.

    `sets` names those wanted (a, b, c); by default all that are there. Raises `CohortError` when
    the folder holds none of them, or one that is named is missing.
    """
    wanted = [name.lower() for name in sets] if sets else available(path)
    if not wanted:
        raise CohortError(
            f"{path} holds no set of PhysioNet 2012: expected events_set_a.parquet with "
            "outcomes_a.csv, or set-a/*.txt with Outcomes-a.txt (or b, c)."
        )
    for name in wanted:
        rows, outcomes = _source(path, name)
        for record_id, events in rows:
            yield _patient(record_id, name, events, outcomes.get(record_id, _Outcome(None, None)))


def available(path: Path) -> list[str]:
    """Names of the sets in a folder."""
    return [
        name
        for name in "abc"
        if (path / f"events_set_{name}.parquet").is_file() or (path / f"set-{name}").is_dir()
    ]


_Row = tuple[int, str, float]  # minute, parameter, value
_Rows = Iterator[tuple[int, list[_Row]]]


def _source(path: Path, name: str) -> tuple[_Rows, dict[int, _Outcome]]:
    long_form, folder = path / f"events_set_{name}.parquet", path / f"set-{name}"
    if long_form.is_file():
        return _long_form(long_form), _outcomes(path / f"outcomes_{name}.csv")
    if folder.is_dir():
        return _original(folder), _outcomes(path / f"Outcomes-{name}.txt")
    raise CohortError(f"{path} does not hold set {name}; it holds: {available(path) or 'none'}.")


def _long_form(file: Path) -> _Rows:
    # Imported here: connectors install without the training extra.
    import pandas as pd  # noqa: PLC0415

    frame = pd.read_parquet(file, columns=["record_id", "minute", "parameter", "value"])
    # Stable: the order within a minute says which of two values is the last one.
    frame = frame.sort_values(["record_id", "minute"], kind="stable")
    for record_id, rows in frame.groupby("record_id", sort=False):
        columns = (rows["minute"].tolist(), rows["parameter"].tolist(), rows["value"].tolist())
        yield int(str(record_id)), list(zip(*columns, strict=True))


def _original(folder: Path) -> _Rows:
    for file in sorted(folder.glob("*.txt"), key=lambda f: f.stem):
        if not file.stem.isdigit():
            continue
        rows = [_row(line, file) for line in _table(file, ("Time", "Parameter", "Value"))]
        yield int(file.stem), sorted((r for r in rows if r), key=lambda r: r[0])


def _table(file: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    with file.open(newline="", encoding="ascii", errors="replace") as lines:
        reader = csv.DictReader(lines)
        missing = set(columns) - set(reader.fieldnames or ())
        if missing:
            raise CohortError(f"{file} has no column {', '.join(sorted(missing))}.")
        return list(reader)


def _row(line: dict[str, str], file: Path) -> _Row | None:
    clock = re.fullmatch(r"(\d+):(\d\d)", (line["Time"] or "").strip())
    try:
        value = float(line["Value"])
    except (TypeError, ValueError):
        clock = None
    if clock is None:
        raise CohortError(f"{file}: a line is not HH:MM,Parameter,Value.")
    if not line["Parameter"]:
        return None  # the original has a few lines with a value and no name
    return int(clock[1]) * 60 + int(clock[2]), line["Parameter"], value


class _Outcome(NamedTuple):
    died: int | None
    day: int | None


def _outcomes(file: Path) -> dict[int, _Outcome]:
    if not file.is_file():
        return {}  # a set without outcomes can be replayed, not evaluated
    lines = _table(file, ("RecordID", "In-hospital_death"))
    return {int(line["RecordID"]): _outcome(line) for line in lines}


def _outcome(line: dict[str, str]) -> _Outcome:
    """`Survival` is in days, -1 for those of whom no death is known; not every copy has it."""
    died = int(line["In-hospital_death"])
    day = int(line.get("Survival") or -1)
    return _Outcome(died, day if day >= 0 else None)


def _patient(record_id: int, name: str, rows: list[_Row], outcome: _Outcome) -> CohortPatient:
    person = {parameter: value for _, parameter, value in reversed(rows) if value != -1}
    age = person.get("Age")
    return CohortPatient(
        record_id=record_id,
        set_name=name,
        age=age,
        sex=_SEXES.get(int(person.get("Gender", -1)), "U"),
        icu_type=ICU_TYPES.get(int(person.get("ICUType", 0)), ""),
        died=outcome.died,
        died_on_day=outcome.day,
        events=tuple(_events(rows)),
    )


def _events(rows: list[_Row]) -> Iterator[Event]:
    last: dict[tuple[int, str], float] = {}
    for minute, parameter, value in rows:
        if parameter in PARAMETERS and not (parameter in _MISSING_AS_MINUS_ONE and value == -1):
            last[minute, parameter] = value
    for (minute, parameter), value in last.items():
        code, display, unit = PARAMETERS[parameter]
        sent = MECHANICAL_VENTILATION if parameter == "MechVent" else value
        if not (parameter == "MechVent" and value != 1):
            yield Event(minute, code, display, sent, unit)
