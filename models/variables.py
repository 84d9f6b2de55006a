"""The catalogue of variables that EHR models read: codes, canonical units, plausible ranges.

Hospitals code one quantity in several ways (serum or whole blood, mass or mole, this or that
method); all codes of a variable end in one series in its canonical UCUM unit.

Source of codes: LOINC 2.8x. Plausible ranges: wider than what survivors have been reported with,
narrower than what instruments print when they are disconnected, filled wrongly or mistyped (a
heart rate of 0, a pH of 735, 1.9 °C). A value outside is refused with a reason, never moved to the
border.
"""

from __future__ import annotations

from typing import NamedTuple


class Variable(NamedTuple):
    """One quantity."""

    name: str  # used in feature names and bundles
    display: str
    codes: tuple[str, ...]  # LOINC; the first is the one that the training cohort uses
    unit: str  # canonical, UCUM; "" for a coded answer
    low: float  # plausible, inclusive, in the canonical unit
    high: float
    molar_mass: float | None = None  # g/mol, where laboratories report mass or moles
    valence: int = 1  # equivalents per mole
    unit_optional: bool = False  # a number without a unit can only mean one thing
    answers: tuple[tuple[str, float], ...] = ()  # coded answers, in lower case, as numbers
    # Units, in lower case, in which an answer may be a number; (): a number is one in any.
    counted: tuple[str, ...] = ()


_VENTILATION = (
    ("mechanical ventilation", 1.0),
    ("1", 1.0),
    ("yes", 1.0),
    ("none", 0.0),
    ("off", 0.0),
    ("standby", 0.0),
    ("0", 0.0),
    ("no", 0.0),
)

CATALOGUE: tuple[Variable, ...] = (
    # Vital signs
    Variable("heart_rate", "Heart rate", ("8867-4", "8889-8", "76282-3"), "/min", 10, 350),
    Variable("resp_rate", "Respiratory rate", ("9279-1", "19840-8", "76270-8"), "/min", 2, 90),
    Variable("temperature", "Body temperature", ("8310-5", "8331-1", "8329-5"), "Cel", 25, 45),
    Variable("spo2", "Oxygen saturation", ("2708-6", "59408-5", "20564-1"), "%", 20, 100),
    Variable("sbp_invasive", "Systolic pressure, invasive", ("76215-3",), "mm[Hg]", 20, 300),
    Variable("dbp_invasive", "Diastolic pressure, invasive", ("76213-8",), "mm[Hg]", 5, 225),
    Variable("map_invasive", "Mean pressure, invasive", ("76214-6",), "mm[Hg]", 10, 250),
    # A pressure whose method is not named is nearly always a cuff.
    Variable(
        "sbp_cuff", "Systolic pressure, cuff", ("76534-7", "8480-6", "8459-0"), "mm[Hg]", 20, 300
    ),
    Variable(
        "dbp_cuff", "Diastolic pressure, cuff", ("76535-4", "8462-4", "8453-3"), "mm[Hg]", 5, 225
    ),
    Variable("map_cuff", "Mean pressure, cuff", ("76536-2", "8478-0"), "mm[Hg]", 10, 250),
    Variable("gcs", "Glasgow coma score", ("9269-2",), "{score}", 3, 15, unit_optional=True),
    Variable("urine", "Urine output", ("9187-6", "9188-4"), "mL", 0, 5_000),
    Variable("weight", "Body weight", ("29463-7", "3141-9"), "kg", 20, 350),
    Variable("height", "Body height", ("8302-2", "3137-7"), "cm", 100, 250),
    # Breathing support and blood gases
    Variable("ventilated", "Mechanical ventilation", ("20124-4",), "", 0, 1, answers=_VENTILATION),
    Variable("fio2", "Inspired oxygen fraction", ("3150-6", "19994-3", "19996-8"), "%", 20, 100),
    Variable("pao2", "Arterial oxygen pressure", ("2703-7", "11556-8"), "mm[Hg]", 10, 700),
    Variable("paco2", "Arterial CO2 pressure", ("2019-8", "11557-6"), "mm[Hg]", 5, 200),
    Variable("ph", "Arterial pH", ("2744-1", "11558-4"), "[pH]", 6.3, 8.0, unit_optional=True),
    Variable(
        "lactate", "Lactate", ("2524-7", "32693-4", "2518-9"), "mmol/L", 0.05, 40, molar_mass=90.08
    ),
    # Chemistry
    Variable("sodium", "Sodium", ("2951-2", "2947-0"), "mmol/L", 90, 200),
    Variable("potassium", "Potassium", ("2823-3", "6298-4"), "mmol/L", 1, 15),
    Variable("bicarbonate", "Bicarbonate", ("1963-8", "2028-9", "1959-6"), "mmol/L", 2, 60),
    Variable("magnesium", "Magnesium", ("19123-9", "2601-3"), "mg/dL", 0.2, 12, 24.305, valence=2),
    # Urea counts by its nitrogen: one mole of urea holds two of nitrogen.
    Variable(
        "urea_nitrogen", "Urea nitrogen", ("3094-0", "14937-7", "22664-7"), "mg/dL", 1, 300, 28.014
    ),
    Variable(
        "creatinine", "Creatinine", ("2160-0", "14682-9", "38483-4"), "mg/dL", 0.1, 30, 113.12
    ),
    Variable(
        "glucose",
        "Glucose",
        ("2345-7", "2339-0", "41653-7", "15074-8", "14749-6", "2340-8"),
        "mg/dL",
        10,
        2_000,
        180.156,
    ),
    Variable("albumin", "Albumin", ("1751-7", "61151-7"), "g/dL", 0.5, 8),
    Variable("alp", "Alkaline phosphatase", ("6768-6",), "U/L", 5, 5_000),
    Variable("alt", "Alanine aminotransferase", ("1742-6", "1743-4"), "U/L", 1, 30_000),
    Variable("ast", "Aspartate aminotransferase", ("1920-8", "30239-8"), "U/L", 1, 30_000),
    Variable("bilirubin", "Bilirubin, total", ("1975-2", "14631-6"), "mg/dL", 0.05, 80, 584.66),
    Variable("cholesterol", "Cholesterol", ("2093-3", "14647-2"), "mg/dL", 20, 1_000, 386.65),
    Variable("troponin_i", "Troponin I", ("10839-9", "42757-5", "89579-7"), "ug/L", 0, 500),
    Variable("troponin_t", "Troponin T", ("6598-7", "6597-9", "67151-1"), "ug/L", 0, 100),
    # Blood count
    Variable("hematocrit", "Hematocrit", ("4544-3", "20570-8", "4545-0"), "%", 5, 75),
    Variable("platelets", "Platelets", ("777-3", "26515-7", "778-1"), "10*3/uL", 1, 3_000),
    Variable("leukocytes", "Leukocytes", ("6690-2", "26464-8", "804-5"), "10*3/uL", 0.05, 500),
)

BY_NAME = {variable.name: variable for variable in CATALOGUE}
BY_CODE = {code: variable for variable in CATALOGUE for code in variable.codes}
