"""Laboratory results of MIMIC-III: LOINC codes, UCUM units, censored values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

from connectors.cohorts.mimic3_items import UCUM, UNIT_LEFT_OUT
from connectors.cohorts.mimic3_tables import LAB_ITEMS, LABEVENTS, epoch, rows

LOCAL_SYSTEM = "99MIMIC3"


class Resulted(NamedTuple):
    """One laboratory result. Results with equal `specimen` and time belong to one order."""

    time: float
    specimen: str  # "Blood Gas, Blood"
    code: str
    name: str
    system: str  # LN, or 99MIMIC3
    value: float | str
    comparator: str
    unit: str
    ucum: bool  # is the unit UCUM?
    abnormal: bool


_CENSORED = re.compile(r"(<=|>=|<|>|LESS THAN|GREATER THAN)\s*(\d+(?:\.\d+)?)", re.IGNORECASE)
_COMPARATORS = {"LESS THAN": "<", "GREATER THAN": ">"}


class _Test(NamedTuple):
    specimen: str
    code: str
    name: str
    system: str


def _tests(folder: Path) -> dict[int, _Test]:
    found: dict[int, _Test] = {}
    for item, label, fluid, category, loinc in rows(folder, LAB_ITEMS):
        specimen = f"{category.title()}, {fluid.title()}"
        code, system = (loinc, "LN") if loinc else (item, LOCAL_SYSTEM)
        found[int(item)] = _Test(specimen, code, label, system)
    return found


def results(
    folder: Path, subjects: Container[int], skipped: Counter[str]
) -> Iterator[tuple[int, Resulted]]:
    """Subject and result of each row about one of the subjects, in the order of the table."""
    tests = _tests(folder)
    for subject, item, charted, text, number, spelled, flag in rows(folder, LABEVENTS):
        if int(subject) not in subjects:
            continue
        test = tests.get(int(item))
        if test is None:
            skipped["laboratory item not in d_labitems"] += 1
            continue
        if not charted or not (text.strip() or number):
            skipped["laboratory row without a value or time"] += 1
            continue
        value, comparator = _lab_value(text.strip(), number)
        unit = UCUM.get((spelled or UNIT_LEFT_OUT.get(int(item), "")).lower())
        yield (
            int(subject),
            Resulted(
                time=epoch(charted),
                specimen=test.specimen,
                code=test.code,
                name=test.name,
                system=test.system,
                value=value,
                comparator=comparator,
                unit=spelled if unit is None else unit,
                ucum=unit is not None,
                abnormal=flag == "abnormal",
            ),
        )


def _lab_value(text: str, number: str) -> tuple[float | str, str]:
    """Value and comparator: censored values keep their bound, text stays text."""
    censored = _CENSORED.fullmatch(text)
    if censored:
        sign = censored[1].upper()
        return float(censored[2]), _COMPARATORS.get(sign, sign)
    return (float(number), "") if number else (text, "")
