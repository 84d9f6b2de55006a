"""Which rows of MIMIC-III mean what: item ids to LOINC, spellings of units to UCUM.

Item ids were checked against `D_ITEMS` of the demo (v1.4). Calculated twins of a charted value
(677 °C of 678 °F, 679 °F of 676 °C), carried-forward weights (580, 581) and alarm limits are left
out: they are not measurements.
"""

from __future__ import annotations

from typing import NamedTuple


class Item(NamedTuple):
    """What a charted item is sent as."""

    code: str  # LOINC
    name: str
    unit: str  # UCUM
    factor: float = 1.0  # charted number × factor is in `unit`


_HR = Item("8867-4", "Heart rate", "/min")
_RR = Item("9279-1", "Respiratory rate", "/min")
_SPO2 = Item("59408-5", "Oxygen saturation by pulse oximetry", "%")
_SAO2 = Item("2708-6", "Oxygen saturation in arterial blood", "%")
_SYS = Item("8480-6", "Systolic blood pressure", "mm[Hg]")
_DIA = Item("8462-4", "Diastolic blood pressure", "mm[Hg]")
_MEAN = Item("8478-0", "Mean blood pressure", "mm[Hg]")
_ART_SYS = Item("76215-3", "Invasive systolic blood pressure", "mm[Hg]")
_ART_DIA = Item("76213-8", "Invasive diastolic blood pressure", "mm[Hg]")
_ART_MEAN = Item("76214-6", "Invasive mean blood pressure", "mm[Hg]")
_TEMP_C = Item("8310-5", "Body temperature", "Cel")
_TEMP_F = Item("8310-5", "Body temperature", "[degF]")
_GCS = Item("9269-2", "Glasgow coma score total", "{score}")
_EYE = Item("9267-6", "Glasgow coma score eye opening", "{score}")
_VERBAL = Item("9270-0", "Glasgow coma score verbal", "{score}")
_MOTOR = Item("9268-4", "Glasgow coma score motor", "{score}")
_FIO2_PERCENT = Item("3150-6", "Inhaled oxygen concentration", "%")
# Charted as a fraction (the set calls its unit "torr").
_FIO2_FRACTION = Item("3150-6", "Inhaled oxygen concentration", "%", 100.0)
_WEIGHT = Item("29463-7", "Body weight", "kg")
_POUNDS = Item("29463-7", "Body weight", "[lb_av]")
_HEIGHT = Item("8302-2", "Body height", "cm")
_INCHES = Item("8302-2", "Body height", "[in_i]")
_URINE = Item("9187-6", "Urine output", "mL")
# Text: the mode of the ventilator says that the patient is ventilated.
_VENT_MODE = Item("20124-4", "Ventilation mode", "")

# CareVue ids are below 10,000 (charts) or in the 40,000s (outputs), MetaVision's are above 220,000.
CHART: dict[int, Item] = {
    211: _HR,
    220045: _HR,
    618: _RR,
    220210: _RR,
    646: _SPO2,
    220277: _SPO2,
    220227: _SAO2,
    455: _SYS,
    442: _SYS,
    220179: _SYS,
    224167: _SYS,
    227243: _SYS,
    8441: _DIA,
    8440: _DIA,
    220180: _DIA,
    224643: _DIA,
    227242: _DIA,
    456: _MEAN,
    443: _MEAN,
    220181: _MEAN,
    51: _ART_SYS,
    6701: _ART_SYS,
    220050: _ART_SYS,
    225309: _ART_SYS,
    8368: _ART_DIA,
    8555: _ART_DIA,
    220051: _ART_DIA,
    225310: _ART_DIA,
    52: _ART_MEAN,
    6702: _ART_MEAN,
    220052: _ART_MEAN,
    225312: _ART_MEAN,
    676: _TEMP_C,
    223762: _TEMP_C,
    678: _TEMP_F,
    223761: _TEMP_F,
    198: _GCS,
    184: _EYE,
    220739: _EYE,
    723: _VERBAL,
    223900: _VERBAL,
    454: _MOTOR,
    223901: _MOTOR,
    190: _FIO2_FRACTION,
    189: _FIO2_FRACTION,
    3420: _FIO2_PERCENT,
    727: _FIO2_PERCENT,
    223835: _FIO2_PERCENT,
    762: _WEIGHT,
    763: _WEIGHT,
    226512: _WEIGHT,
    224639: _WEIGHT,
    226531: _POUNDS,
    226730: _HEIGHT,
    226707: _INCHES,
    920: _INCHES,
    720: _VENT_MODE,
    223849: _VENT_MODE,
}
TEXT_ITEMS = frozenset({720, 223849})
NOT_VENTILATING = frozenset({"", "standby", "other/remarks"})  # sent as charted

# MetaVision charts no total: it is the sum of its components, where all three share a time.
GCS_TOTAL = _GCS
GCS_COMPONENTS = frozenset({220739, 223900, 223901})

_CAREVUE_URINE = (
    *(40055, 40056, 40069, 40085, 40094, 40096),
    *(40405, 40428, 40473, 40651, 40715, 43175),
)
_METAVISION_URINE = (
    *(226557, 226558, 226559, 226560, 226561),
    *(226563, 226564, 226565, 226567, 226584),
)
OUTPUT: dict[int, Item] = dict.fromkeys((*_CAREVUE_URINE, *_METAVISION_URINE), _URINE)

# VALUEUOM of LABEVENTS, lower case, to UCUM. A spelling that is not listed is sent as it stands.
UCUM: dict[str, str] = {
    "%": "%",
    "#/hpf": "/[HPF]",
    "#/lpf": "/[LPF]",
    "#/ul": "/uL",
    "g/dl": "g/dL",
    "fl": "fL",
    "iu/l": "[IU]/L",
    "k/ul": "10*3/uL",
    "l/min": "L/min",
    "m/ul": "10*6/uL",
    "meq/l": "meq/L",
    "mg/dl": "mg/dL",
    "mg/g": "mg/g",
    "mg/l": "mg/L",
    "miu/ml": "m[IU]/mL",
    "ml": "mL",
    "mm hg": "mm[Hg]",
    "mm/hr": "mm/h",
    "mmol/l": "mmol/L",
    "mosm/kg": "mosm/kg",
    "ng/dl": "ng/dL",
    "ng/ml": "ng/mL",
    "pg": "pg",
    "pg/ml": "pg/mL",
    "ratio": "{ratio}",
    "sec": "s",
    "seconds": "s",
    "u/l": "U/L",
    "u/ml": "U/mL",
    "ug/dl": "ug/dL",
    "ug/ml": "ug/mL",
    "uiu/ml": "u[IU]/mL",
    "umol/l": "umol/L",
    "units": "[pH]",  # the only use of "units" in the set
    "uu/ml": "u[IU]/mL",
}

# Laboratory items whose unit some rows leave out; their other rows all have this one.
UNIT_LEFT_OUT: dict[int, str] = {50816: "%", 50817: "%"}
