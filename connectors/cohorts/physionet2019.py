"""PhysioNet/CinC Challenge 2019: intensive care by the hour, 34 measurements, onset of sepsis.

Reads the two forms in which the sets exist: the original one, a file for each patient
(`training_setA/p000001.psv`, …, in the folder or below it), and tables of many patients
(`*.parquet`, with the column `patient` beside the original ones). Both give the same patients.

What is decided here, once, for training and replay alike:

- A row is what was charted or resulted within one hour; it is sent at the end of that hour, as
  many hours after the admission to intensive care as its ICULOS says.
- HospAdmTime says when the patient had come to the hospital, in hours before intensive care. A
  hospital knows this at the time, so it may be used: admission, then the move to intensive care.
- Unit1 and Unit2 (medical and surgical intensive care) are where the patient lies: the ward's name.
- Calcium below 2 is ionised calcium in mmol/L: the column mixes it with total calcium in mg/dL, and
  no value lies between (1.5 to 3 are rare, 8 is usual). It gets the code of ionised calcium.
- Magnesium is documented as mmol/dL and troponin I as ng/mL; the values are mg/dL and µg/L.
- Values that no body can have are passed on: refusing them is the model's task, with a reason.

Source: Reyna et al., Critical Care Medicine 2020; list of columns of the challenge's page.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from connectors.cohorts.physionet2012 import Parameter
from connectors.cohorts.tables import CohortError, Reading, identifier, parquet

__all__ = ["COLUMNS", "CohortError", "CohortPatient", "Event", "available", "load"]

COLUMNS: dict[str, Parameter] = {
    "HR": Parameter("8867-4", "Heart rate", "/min"),
    "O2Sat": Parameter("59408-5", "Oxygen saturation by pulse oximetry", "%"),
    "Temp": Parameter("8310-5", "Body temperature", "Cel"),
    "SBP": Parameter("8480-6", "Systolic pressure", "mm[Hg]"),
    "MAP": Parameter("8478-0", "Mean arterial pressure", "mm[Hg]"),
    "DBP": Parameter("8462-4", "Diastolic pressure", "mm[Hg]"),
    "Resp": Parameter("9279-1", "Respiratory rate", "/min"),
    "EtCO2": Parameter("19891-1", "End-tidal carbon dioxide pressure", "mm[Hg]"),
    "BaseExcess": Parameter("11555-0", "Base excess", "mmol/L"),
    "HCO3": Parameter("1963-8", "Bicarbonate", "mmol/L"),
    "FiO2": Parameter("3150-6", "Inspired oxygen fraction", "1"),
    "pH": Parameter("2744-1", "Arterial pH", "[pH]"),
    "PaCO2": Parameter("2019-8", "Arterial carbon dioxide pressure", "mm[Hg]"),
    "SaO2": Parameter("2708-6", "Oxygen saturation, arterial", "%"),
    "AST": Parameter("1920-8", "Aspartate aminotransferase", "U/L"),
    "BUN": Parameter("3094-0", "Urea nitrogen", "mg/dL"),
    "Alkalinephos": Parameter("6768-6", "Alkaline phosphatase", "U/L"),
    "Calcium": Parameter("17861-6", "Calcium", "mg/dL"),
    "Chloride": Parameter("2075-0", "Chloride", "mmol/L"),
    "Creatinine": Parameter("2160-0", "Creatinine", "mg/dL"),
    "Bilirubin_direct": Parameter("1968-7", "Bilirubin, direct", "mg/dL"),
    "Glucose": Parameter("2345-7", "Glucose", "mg/dL"),
    "Lactate": Parameter("2524-7", "Lactate", "mmol/L"),
    "Magnesium": Parameter("19123-9", "Magnesium", "mg/dL"),
    "Phosphate": Parameter("2777-1", "Phosphate", "mg/dL"),
    "Potassium": Parameter("2823-3", "Potassium", "mmol/L"),
    "Bilirubin_total": Parameter("1975-2", "Bilirubin, total", "mg/dL"),
    "TroponinI": Parameter("10839-9", "Troponin I", "ug/L"),
    "Hct": Parameter("4544-3", "Hematocrit", "%"),
    "Hgb": Parameter("718-7", "Hemoglobin", "g/dL"),
    "PTT": Parameter("3173-2", "Activated partial thromboplastin time", "s"),
    "WBC": Parameter("6690-2", "Leukocytes", "10*3/uL"),
    "Fibrinogen": Parameter("3255-7", "Fibrinogen", "mg/dL"),
    "Platelets": Parameter("777-3", "Platelets", "10*3/uL"),
}
_IONISED = Parameter("1994-3", "Calcium, ionised", "mmol/L")
_IONISED_BELOW = 2.0
_CONTEXT = ("Age", "Gender", "HospAdmTime", "ICULOS")  # Unit1 and Unit2 are no input
_LABEL = "SepsisLabel"
_PATIENT = "patient"
_READ = frozenset({*COLUMNS, *_CONTEXT, "Unit1", "Unit2", _LABEL})
_SEXES = {0.0: "F", 1.0: "M"}


class Event(NamedTuple):
    """One observation, at the end of an hour since admission to intensive care."""

    hour: int
    code: str
    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class CohortPatient:
    """One stay in intensive care. Events are in order of time."""

    record_id: str  # p000001 and on are of hospital A, p100001 and on of hospital B
    age: float | None  # years
    sex: str  # HL7 table 0001: F, M, U
    unit: str  # MICU, SICU; "" when not known
    hospital_h: float  # hours in the hospital before intensive care
    hours: tuple[int, ...]  # of the rows, ascending; there are rows without an observation
    labels: tuple[int, ...] | None  # of the rows: sepsis begins within six hours, or has begun
    events: tuple[Event, ...]


_Table = Mapping[str, Sequence[float]]  # columns of one patient; NaN where nothing is known


def load(path: Path, reading: Reading | None = None) -> Iterator[CohortPatient]:
    """Patients of all files in a folder (or of one file), in order of file and id.

    `reading` counts what is left out. Raises `CohortError` when there are none, a file is not of
    this set, or a patient comes twice.
    """
    reading = Reading() if reading is None else reading
    files = available(path)
    if not files:
        raise CohortError(
            f"{path} holds no set of PhysioNet 2019: expected *.psv, one file for each patient, "
            "in it or in training_setA and training_setB, or tables *.parquet."
        )
    for file in files:
        for record_id, table in _tables(file):
            patient = _patient(record_id, table, file)
            content = (patient.age, patient.hospital_h, patient.events) if patient.events else None
            reading.meet(record_id, str(file), content, patient.labels is not None)
            yield patient


def available(path: Path) -> list[Path]:
    """The files of a folder and what is below it, or the file itself."""
    if path.is_file():
        return [path]
    return sorted([*path.rglob("*.psv"), *path.rglob("*.parquet")])


def _tables(file: Path) -> Iterator[tuple[str, _Table]]:
    if file.suffix == ".psv":
        yield file.stem, _original(file)
    else:
        yield from _many(file)


def _original(file: Path) -> _Table:
    with file.open(newline="", encoding="utf-8-sig", errors="replace") as lines:
        reader = csv.reader(lines, delimiter="|")
        header = next(reader, [])
        if not header:
            raise CohortError(f"{file} is empty: copy it again, or take it out of the folder.")
        _check(header, file)
        try:
            rows = [[float(cell) for cell in line] for line in reader if line]
        except ValueError as error:
            raise CohortError(f"{file}: a cell is not a number ({error}).") from None
    if any(len(row) != len(header) for row in rows):
        raise CohortError(f"{file}: a line has not as many cells as the header.")
    return dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}


def _many(file: Path) -> Iterator[tuple[str, _Table]]:
    frame = parquet(file, (*COLUMNS, *_CONTEXT), _PATIENT)
    frame = frame.sort_values([_PATIENT, "ICULOS"], kind="stable")
    names = [name for name in frame.columns if name in _READ]
    for patient, rows in frame.groupby(_PATIENT, sort=False):
        record_id = str(identifier(str(patient), str(file)))
        try:
            columns = {name: _shortest(rows[name].to_numpy()) for name in names}
        except ValueError as error:
            raise CohortError(f"{file}: a cell of {record_id} is no number ({error}).") from None
        yield record_id, columns


def _shortest(column: Iterable[Any]) -> list[float]:
    """Single precision as the original writes it: 36.9, not 36.900001525878906."""
    return [float(str(value)) for value in column]


def _check(header: Sequence[str], file: Path) -> None:
    missing = {*COLUMNS, *_CONTEXT} - set(header)
    if missing:
        raise CohortError(f"{file} has no column {', '.join(sorted(missing))}.")


def _patient(record_id: str, table: _Table, file: Path) -> CohortPatient:
    times = [*table.get("ICULOS", ())]
    hours = tuple(int(h) for h in times if math.isfinite(h))
    if len(hours) < len(times) or any(a >= b for a, b in pairwise(hours)):
        raise CohortError(f"{file}: the hours (ICULOS) of {record_id} do not ascend.")
    before = _first(table, "HospAdmTime")
    return CohortPatient(
        record_id=record_id,
        age=_first(table, "Age"),
        sex=_SEXES.get(_first(table, "Gender"), "U"),  # type: ignore[arg-type]
        unit=_unit(table),
        hospital_h=0.0 if before is None else max(0.0, -before),
        hours=hours,
        labels=_labels(table, record_id, file),
        events=tuple(_events(table, hours)),
    )


def _first(table: _Table, name: str) -> float | None:
    return next((v for v in table.get(name, ()) if math.isfinite(v)), None)


def _unit(table: _Table) -> str:
    if _first(table, "Unit1") == 1:
        return "MICU"
    return "SICU" if _first(table, "Unit2") == 1 else ""


def _labels(table: _Table, record_id: str, file: Path) -> tuple[int, ...] | None:
    if _LABEL not in table:
        return None  # can be replayed, not evaluated
    labels = tuple(table[_LABEL])
    if labels and all(map(math.isnan, labels)):
        return None
    if not set(labels) <= {0.0, 1.0}:
        raise CohortError(f"{file}: {_LABEL} of {record_id} is not 0 or 1 everywhere.")
    return tuple(int(label) for label in labels)


def _events(table: _Table, hours: tuple[int, ...]) -> Iterator[Event]:
    columns = [(name, parameter, table.get(name, ())) for name, parameter in COLUMNS.items()]
    for i, hour in enumerate(hours):
        for name, parameter, values in columns:
            value = values[i]
            if math.isnan(value):
                continue
            ionised = name == "Calcium" and value < _IONISED_BELOW
            code, display, unit = _IONISED if ionised else parameter
            yield Event(hour, code, display, value, unit)
