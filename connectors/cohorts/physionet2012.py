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

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from connectors.cohorts.tables import (
    CohortError,
    Line,
    Reading,
    RecordId,
    by_patient,
    flag,
    identifier,
    in_order,
    number,
    parquet,
    table,
)

__all__ = ["PARAMETERS", "CohortError", "CohortPatient", "Event", "Parameter", "available", "load"]

HOURS = 48  # length of every record
ICU_TYPES = {1: "CCU", 2: "CSRU", 3: "MICU", 4: "SICU"}


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

    record_id: RecordId
    set_name: str  # a, b, c, or what another set is called
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


def load(
    path: Path, sets: Iterable[str] | None = None, reading: Reading | None = None
) -> Iterator[CohortPatient]:
    """Patients of the sets in a folder, in order of set and record id.

    `sets` names those wanted (a, b, …); by default all that are there. `reading` counts what is
    left out. Raises `CohortError` when the folder holds none of them, one that is named is missing,
    a value is impossible, or a patient comes twice.
    """
    reading = Reading() if reading is None else reading
    wanted = list(sets) if sets else available(path)
    if not wanted:
        raise CohortError(
            f"{path} holds no set of PhysioNet 2012: expected events_set_a.parquet with "
            "outcomes_a.csv, or set-a/*.txt with Outcomes-a.txt (or another letter)."
        )
    for name in wanted:
        rows, outcomes = _source(path, name, reading)
        for record_id, events in rows:
            outcome = outcomes.pop(record_id, _Outcome(None, None))
            patient = _patient(record_id, name, events, outcome)
            content = (patient.age, patient.sex, patient.events) if patient.events else None
            reading.meet(record_id, f"set {name}", content, outcome.died is not None)
            yield patient
        reading.outcomes_without_patient += len(outcomes)


def available(path: Path) -> list[str]:
    """Names of the sets in a folder."""
    tables = {f.stem.removeprefix("events_set_") for f in path.glob("events_set_*.parquet")}
    folders = {f.name.removeprefix("set-") for f in path.glob("set-*") if f.is_dir()}
    return sorted(tables | folders)


_Row = tuple[int, str, float]  # minute, parameter, value
_Rows = Iterator[tuple[RecordId, list[_Row]]]


def _source(path: Path, name: str, reading: Reading) -> tuple[_Rows, dict[RecordId, _Outcome]]:
    for found in (name, name.lower()):
        long_form, folder = path / f"events_set_{found}.parquet", path / f"set-{found}"
        if long_form.is_file():
            return _long_form(long_form), _outcomes(path / f"outcomes_{found}.csv", reading)
        if folder.is_dir():
            return _original(folder), _outcomes(path / f"Outcomes-{found}.txt", reading)
    raise CohortError(f"{path} does not hold set {name}; it holds: {available(path) or 'none'}.")


def _long_form(file: Path) -> _Rows:
    frame = parquet(file, ("minute", "parameter", "value"), "record_id")
    for column in ("minute", "value"):
        if frame[column].dtype.kind not in "iuf":
            raise CohortError(f"{file}: the column {column} is not of numbers.")
    if not frame["minute"].notna().all():
        raise CohortError(f"{file}: a row has no minute.")
    frame = frame[frame["value"].notna()]  # no value: nothing was measured
    # Stable: the order within a minute says which of two values is the last one.
    frame = frame.sort_values(["record_id", "minute"], kind="stable")
    for record_id, rows in frame.groupby("record_id", sort=False):
        minutes = rows["minute"].astype(int).tolist()
        columns = (minutes, rows["parameter"].tolist(), rows["value"].tolist())
        yield identifier(str(record_id), str(file)), list(zip(*columns, strict=True))


def _original(folder: Path) -> _Rows:
    files = [(identifier(file.stem, str(folder)), file) for file in sorted(folder.glob("*.txt"))]
    for record_id, file in sorted(files, key=lambda f: in_order(f[0])):
        rows = [_row(line, file) for line in table(file, ("Time", "Parameter", "Value"))]
        yield record_id, sorted((r for r in rows if r), key=lambda r: r[0])


def _row(line: Line, file: Path) -> _Row | None:
    clock = re.fullmatch(r"(\d+):(\d\d)", line["Time"].strip())
    if clock is None:
        raise CohortError(f"{file}: a line is not HH:MM,Parameter,Value.")
    value = number(line["Value"], f"{file}: {line['Parameter']} at {line['Time']}")
    if not line["Parameter"] or value is None:
        return None  # the original has a few lines with a value and no name
    return int(clock[1]) * 60 + int(clock[2]), line["Parameter"], value


class _Outcome(NamedTuple):
    died: int | None
    day: int | None


def _outcomes(file: Path, reading: Reading) -> dict[RecordId, _Outcome]:
    if not file.is_file():
        return {}  # a set without outcomes can be replayed, not evaluated
    lines = table(file, ("RecordID", "In-hospital_death"))
    found = by_patient(file, lines, "RecordID", reading)
    return {record_id: _outcome(line, f"{file}: {record_id}") for record_id, line in found.items()}


def _outcome(line: Line, where: str) -> _Outcome:
    """`Survival` is in days, -1 for those of whom no death is known; not every copy has it."""
    died = flag(line["In-hospital_death"], f"{where}: In-hospital_death")
    day = number(line.get("Survival"), f"{where}: Survival")
    return _Outcome(died, None if day is None or day < 0 else int(day))


def _patient(record_id: RecordId, name: str, rows: list[_Row], outcome: _Outcome) -> CohortPatient:
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
