"""Which variables of the catalogue the charts draw, in which order; names of observations."""

from __future__ import annotations

from typing import NamedTuple

from models.variables import BY_CODE


class Panel(NamedTuple):
    """One strip of the trends: lines that share an axis."""

    title: str
    lines: tuple[tuple[str, tuple[str, ...]], ...]  # (label, names in `models.variables`)


VITALS = (
    Panel("Heart rate", (("Heart rate", ("heart_rate",)),)),
    Panel(
        "Blood pressure",
        (
            ("Systolic", ("sbp_invasive", "sbp_cuff")),
            ("Mean", ("map_invasive", "map_cuff")),
            ("Diastolic", ("dbp_invasive", "dbp_cuff")),
        ),
    ),
    Panel("Oxygen saturation", (("SpO₂", ("spo2",)),)),
    Panel("Respiratory rate", (("Respiratory rate", ("resp_rate",)),)),
    Panel("Temperature", (("Temperature", ("temperature",)),)),
    Panel("Glasgow coma score", (("Glasgow coma score", ("gcs",)),)),
)


def _single(title: str, name: str) -> Panel:
    return Panel(title, ((title, (name,)),))


# In the order in which they are preferred where there is room for some only.
LABS = (
    _single("Lactate", "lactate"),
    _single("Creatinine", "creatinine"),
    _single("White cells", "leukocytes"),
    _single("Platelets", "platelets"),
    _single("Bilirubin", "bilirubin"),
    _single("Arterial pH", "ph"),
    _single("Urea nitrogen", "urea_nitrogen"),
    _single("Potassium", "potassium"),
    _single("Sodium", "sodium"),
    _single("Bicarbonate", "bicarbonate"),
    _single("Glucose", "glucose"),
    _single("Haematocrit", "hematocrit"),
)

MOST_LABS = 6


def label_of(code: str, name: str) -> str:
    """The catalogue's name for an observation, else the sender's, else the code."""
    variable = BY_CODE.get(code)
    return variable.display if variable else name or code
