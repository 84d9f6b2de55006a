"""The catalogue of variables that the sepsis model reads: codes, units, plausible ranges.

Where hospitals tell an arterial line from a cuff, both end in one series: the training cohort does
not tell them apart. Codes and ranges as in `models.variables`, from the same sources.
"""

from __future__ import annotations

from models import critical
from models.variables import BY_NAME, Variable


def _pressure(name: str, display: str) -> Variable:
    """Cuff and arterial line together; the plain code, which the cohort uses, first."""
    cuff, invasive = BY_NAME[f"{name}_cuff"], BY_NAME[f"{name}_invasive"]
    plain = next(code for code in cuff.codes if code in {"8480-6", "8462-4", "8478-0"})
    codes = tuple(dict.fromkeys((plain, *cuff.codes, *invasive.codes)))
    return Variable(name, display, codes, cuff.unit, cuff.low, cuff.high)


VITALS: tuple[Variable, ...] = (
    BY_NAME["heart_rate"],
    Variable("spo2", "Oxygen saturation", ("59408-5", "20564-1"), "%", 20, 100),
    BY_NAME["temperature"],
    _pressure("sbp", "Systolic pressure"),
    _pressure("map", "Mean pressure"),
    _pressure("dbp", "Diastolic pressure"),
    BY_NAME["resp_rate"],
    Variable("etco2", "End-tidal CO2 pressure", ("19891-1", "19889-5"), "mm[Hg]", 5, 150),
)

LABORATORY: tuple[Variable, ...] = (
    BY_NAME["fio2"],
    Variable("base_excess", "Base excess", ("11555-0", "1925-7"), "mmol/L", -40, 40),
    BY_NAME["bicarbonate"],
    BY_NAME["ph"],
    BY_NAME["paco2"],
    Variable("sao2", "Arterial oxygen saturation", ("2708-6",), "%", 20, 100),
    BY_NAME["lactate"],
    BY_NAME["ast"],
    BY_NAME["alp"],
    BY_NAME["bilirubin"],
    Variable(
        "bilirubin_direct", "Bilirubin, direct", ("1968-7", "14629-0"), "mg/dL", 0.01, 60, 584.66
    ),
    BY_NAME["urea_nitrogen"],
    BY_NAME["creatinine"],
    BY_NAME["glucose"],
    Variable("calcium", "Calcium", ("17861-6", "2000-8"), "mg/dL", 3, 25, 40.078, valence=2),
    Variable(
        "calcium_ionised", "Calcium, ionised", ("1994-3", "1995-0"), "mmol/L", 0.3, 3, 40.078,
        valence=2,
    ),
    Variable("chloride", "Chloride", ("2075-0", "2069-3"), "mmol/L", 60, 150),
    BY_NAME["potassium"],
    BY_NAME["magnesium"],
    # Phosphate counts by its phosphorus.
    Variable("phosphate", "Phosphate", ("2777-1", "14879-1"), "mg/dL", 0.2, 25, 30.974),
    BY_NAME["troponin_i"],
    BY_NAME["hematocrit"],
    Variable("hemoglobin", "Hemoglobin", ("718-7", "59260-0"), "g/dL", 1, 25),
    BY_NAME["leukocytes"],
    BY_NAME["platelets"],
    Variable("ptt", "Partial thromboplastin time", ("3173-2", "14979-9"), "s", 10, 300),
    Variable("fibrinogen", "Fibrinogen", ("3255-7",), "mg/dL", 20, 2_000),
)  # fmt: skip

SEPSIS_CATALOGUE: tuple[Variable, ...] = VITALS + LABORATORY

_BANDS = {
    **critical.VITAL_SIGNS,
    **critical.LABORATORY,
    "sbp": critical.VITAL_SIGNS["sbp_cuff"],
    "sao2": critical.VITAL_SIGNS["spo2"],
}
# Newest values beside which nobody is called safe (`models.critical`), of what is read here.
CRITICAL = {v.name: _BANDS[v.name] for v in SEPSIS_CATALOGUE if v.name in _BANDS}
