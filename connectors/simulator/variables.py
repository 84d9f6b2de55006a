"""What the simulated hospital measures: codes, units, precision, and how it is ordered."""

from __future__ import annotations

from typing import NamedTuple

from connectors.hl7.build import Code


class Measure(NamedTuple):
    """One quantity, as the cohort holds it and as the hospital sends it."""

    name: str
    fitted_from: tuple[str, ...]  # LOINC codes in the cohort reader
    code: Code
    unit: str  # UCUM
    decimals: int
    low: float  # values outside are artefacts: not fitted
    high: float


class Panel(NamedTuple):
    """What is resulted together. The first measure says how often."""

    name: str
    code: Code
    measures: tuple[str, ...]


def _ln(code: str, name: str) -> Code:
    return (code, name, "LN")


BEDSIDE: tuple[Measure, ...] = (
    Measure("hr", ("8867-4",), _ln("8867-4", "Heart rate"), "/min", 0, 10, 300),
    Measure("rr", ("9279-1",), _ln("9279-1", "Respiratory rate"), "/min", 0, 3, 80),
    Measure("temp", ("8310-5",), _ln("8310-5", "Body temperature"), "Cel", 1, 30, 43),
    # The cohort has no pulse oximetry; arterial saturation stands in for its distribution.
    Measure("spo2", ("2708-6",), _ln("59408-5", "Oxygen saturation"), "%", 0, 50, 100),
    Measure(
        "sbp", ("76215-3", "76534-7"), _ln("8480-6", "Systolic pressure"), "mm[Hg]", 0, 30, 280
    ),
    Measure(
        "dbp", ("76213-8", "76535-4"), _ln("8462-4", "Diastolic pressure"), "mm[Hg]", 0, 10, 200
    ),
    Measure("gcs", ("9269-2",), _ln("9269-2", "Glasgow coma score"), "{score}", 0, 3, 15),
    Measure("urine", ("9187-6",), _ln("9187-6", "Urine output"), "mL", 0, 0, 3000),
    Measure("fio2", ("3150-6",), _ln("3150-6", "Inspired oxygen fraction"), "1", 2, 0.21, 1.0),
)
MEAN_PRESSURE = Measure(
    "map", ("76214-6", "76536-2"), _ln("8478-0", "Mean arterial pressure"), "mm[Hg]", 0, 20, 220
)
VENTILATION = _ln("20124-4", "Ventilation mode")
# An arterial line's pressures have codes of their own.
INVASIVE: dict[str, Code] = {
    "sbp": _ln("76215-3", "Systolic pressure, invasive"),
    "dbp": _ln("76213-8", "Diastolic pressure, invasive"),
    "map": _ln("76214-6", "Mean arterial pressure, invasive"),
}
INVASIVE_CODE = "76215-3"
VENTILATION_CODE = "20124-4"

LABORATORY: tuple[Measure, ...] = (
    Measure("creatinine", ("2160-0",), _ln("2160-0", "Creatinine"), "mg/dL", 1, 0.1, 25),
    Measure("bun", ("3094-0",), _ln("3094-0", "Urea nitrogen"), "mg/dL", 0, 1, 250),
    Measure("sodium", ("2951-2",), _ln("2951-2", "Sodium"), "mmol/L", 0, 100, 180),
    Measure("potassium", ("2823-3",), _ln("2823-3", "Potassium"), "mmol/L", 1, 1.5, 12),
    Measure("bicarbonate", ("1963-8",), _ln("1963-8", "Bicarbonate"), "mmol/L", 0, 3, 55),
    Measure("glucose", ("2345-7",), _ln("2345-7", "Glucose"), "mg/dL", 0, 15, 1200),
    Measure("magnesium", ("19123-9",), _ln("19123-9", "Magnesium"), "mg/dL", 1, 0.5, 8),
    Measure("hematocrit", ("4544-3",), _ln("4544-3", "Hematocrit"), "%", 1, 8, 65),
    Measure("leukocytes", ("6690-2",), _ln("6690-2", "Leukocytes"), "10*3/uL", 1, 0.1, 200),
    Measure("platelets", ("777-3",), _ln("777-3", "Platelets"), "10*3/uL", 0, 3, 1200),
    Measure("ph", ("2744-1",), _ln("2744-1", "Arterial pH"), "[pH]", 2, 6.7, 7.9),
    Measure("paco2", ("2019-8",), _ln("2019-8", "Arterial CO2 pressure"), "mm[Hg]", 0, 8, 150),
    Measure("pao2", ("2703-7",), _ln("2703-7", "Arterial oxygen pressure"), "mm[Hg]", 0, 20, 600),
    Measure("lactate", ("2524-7",), _ln("2524-7", "Lactate"), "mmol/L", 1, 0.2, 30),
    Measure("bilirubin", ("1975-2",), _ln("1975-2", "Bilirubin, total"), "mg/dL", 1, 0.1, 60),
    Measure("alt", ("1742-6",), _ln("1742-6", "Alanine aminotransferase"), "U/L", 0, 2, 12000),
    Measure("ast", ("1920-8",), _ln("1920-8", "Aspartate aminotransferase"), "U/L", 0, 2, 18000),
    Measure("alp", ("6768-6",), _ln("6768-6", "Alkaline phosphatase"), "U/L", 0, 8, 2500),
    Measure("albumin", ("1751-7",), _ln("1751-7", "Albumin"), "g/dL", 1, 0.8, 6),
    Measure("troponin_t", ("6598-7",), _ln("6598-7", "Troponin T"), "ug/L", 2, 0.005, 30),
)

BODY: tuple[Measure, ...] = (
    Measure("weight", ("29463-7",), _ln("29463-7", "Body weight"), "kg", 1, 30, 250),
    Measure("height", ("8302-2",), _ln("8302-2", "Body height"), "cm", 0, 120, 220),
)

PANELS: tuple[Panel, ...] = (
    Panel(
        "chemistry",
        _ln("24323-8", "Comprehensive metabolic 2000 panel"),
        ("creatinine", "bun", "sodium", "potassium", "bicarbonate", "glucose", "magnesium"),
    ),
    Panel(
        "count",
        _ln("58410-2", "CBC panel - Blood by Automated count"),
        ("leukocytes", "hematocrit", "platelets"),
    ),
    Panel(
        "gas",
        _ln("24336-0", "Gas panel - Arterial blood"),
        ("ph", "paco2", "pao2", "lactate"),
    ),
    Panel(
        "liver",
        _ln("24325-3", "Hepatic function panel"),
        ("bilirubin", "alt", "ast", "alp", "albumin"),
    ),
    Panel("troponin", _ln("18487-9", "Troponin panel"), ("troponin_t",)),
)

VITAL_SIGNS: Code = _ln("85353-1", "Vital signs panel")
ADMISSION = Panel("body", VITAL_SIGNS, ("weight", "height"))  # measured once, on admission

# Bedside first: the correlation of steps is kept for these.
MEASURES: tuple[Measure, ...] = BEDSIDE + LABORATORY + BODY
BY_NAME: dict[str, Measure] = {measure.name: measure for measure in MEASURES}
