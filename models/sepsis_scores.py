"""Points of bedside scores, and how far a vital sign is from its own past, of many patients.

Scores add what trees cut up one by one: organs that fail together, signs that are off together.
Each is of what is known; what was not measured gives no points. None is the score of a guideline:
there is no coma scale here, and no vasopressor.

Letters in shape comments: P patients, V variables, S vital signs.

Sources: Vincent et al., Intensive Care Medicine 1996 (SOFA); Rice et al., Chest 2007 (saturation in
place of arterial oxygen); Bone et al., Chest 1992 (SIRS); Royal College of Physicians 2017 (NEWS2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from models.columns import Array

SCORES = {
    "sofa": ("SOFA points of what is known", ""),
    "sofa_rise": ("Rise of SOFA points within 48 h", ""),
    "sirs": ("SIRS criteria", ""),
    "sirs_6h": ("SIRS criteria of 6 h", ""),
    "news": ("Early warning points of vital signs", ""),
    "news_6h": ("Early warning points of vital signs, means of 6 h", ""),
}

# A variable's statistic, e.g. ("heart_rate", "mean_6h") → (P,).
Read = Callable[[str, str], Array]


def scores(read: Read) -> Array:
    """(P, `SCORES`)."""
    blood = _blood(read, "last", "last", "last")
    found = {
        "sofa": blood
        + _below(read("map", "lowest_6h"), (70,))
        + _below(100 * read("spo2", "last") / read("fio2", "last"), (512, 357, 214, 89)),
        "sofa_rise": blood - _blood(read, "highest", "lowest", "lowest"),
        "sirs": _sirs(read, "last", "last"),
        "sirs_6h": _sirs(read, "lowest_6h", "highest_6h"),
        "news": _news(read, "last"),
        "news_6h": _news(read, "mean_6h"),
    }
    return np.stack([found[name] for name in SCORES], axis=1)


def _below(x: Array, *cuts: tuple[float, ...]) -> Array:
    """A point for each cut that a value lies below."""
    found: Array = np.zeros(len(x))
    for group in cuts:
        for cut in group:
            found += x < cut
    return found


def _from(x: Array, *cuts: tuple[float, ...]) -> Array:
    """A point for each cut that a value reaches."""
    found: Array = np.zeros(len(x))
    for group in cuts:
        for cut in group:
            found += x >= cut
    return found


def _blood(read: Read, platelets: str, bilirubin: str, creatinine: str) -> Array:
    """SOFA points of coagulation, liver and kidneys."""
    return (
        _below(read("platelets", platelets), (150, 100, 50, 20))
        + _from(read("bilirubin", bilirubin), (1.2, 2, 6, 12))
        + _from(read("creatinine", creatinine), (1.2, 2, 3.5, 5))
    )


def _sirs(read: Read, lowest: str, highest: str) -> Array:
    """Criteria met, of four."""
    cells = read("leukocytes", "last")
    temperature = (read("temperature", highest) > 38) | (read("temperature", lowest) < 36)
    breathing = (read("resp_rate", highest) > 20) | (read("paco2", "last") < 32)
    found: Array = np.zeros(len(cells))
    fast, unusual = read("heart_rate", highest) > 90, (cells > 12) | (cells < 4)
    for met in (temperature, fast, breathing, unusual):
        found += met
    return found


def _news(read: Read, statistic: str) -> Array:
    """NEWS2 points of five vital signs, saturation on scale 1."""
    breaths, saturation, pressure, pulse, temperature = (
        read(name, statistic) for name in ("resp_rate", "spo2", "sbp", "heart_rate", "temperature")
    )
    return (
        _below(breaths, (12,), (9, 9))
        + _from(breaths, (21, 21), (25,))
        + _below(saturation, (96, 94, 92))
        + _below(pressure, (111, 101, 91))
        + _from(pressure, (220, 220, 220))
        + _below(pulse, (51,), (41, 41))
        + _from(pulse, (91, 111, 131))
        + _below(temperature, (36.05,), (35.05, 35.05))
        + _from(temperature, (38.05, 39.05))
    )


COURSE = {
    "shift": "mean of 6 h against 24 h",
    "off": "last against the mean",
    "rate": "share of hours with a value",
}


def course(tables: Mapping[str, Array], vital: Array, hours_in_ward: Array) -> list[Array]:
    """(P, S) for each of `COURSE`; `vital` (V,) says which columns of `tables` are vital signs."""
    seen = np.clip(hours_in_ward, 1.0, 48.0)[:, None]
    return [
        tables["mean_6h"] - tables["mean_24h"],
        (tables["last"] - tables["mean"])[:, vital],
        tables["hours"][:, vital] / seen,
    ]
