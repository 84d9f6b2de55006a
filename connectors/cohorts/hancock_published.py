"""HANCOCK as it is published, `StructuredData/*.json`, brought into the form of its feature tables.

The authors number categories in alphabetical order of the words that the file holds, with "not
known" last, and so do we: on the whole set this gives the numbers of their tables. On a part of it
other numbers would come out, so a file that lacks a category is refused. Day 0 is the first
treatment; the one patient whose blood count they set aside as an outlier is set aside here too.
The tissue microarray is published core by core and is not read.

Source: the authors' repository, `feature_extraction/extract_tabular_features.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from connectors.cohorts.tables import CohortError, Line, RecordId, identifier, number

FILES = ("clinical_data.json", "pathological_data.json", "blood_data.json")
Lines = dict[RecordId, Line]
_BINARY = {"no": 0, "yes": 1, "Absent": 0, "CIS": 1, "male": 0, "female": 1}
_IN_SITU = {"pTis": "T0is"}  # before all other stages
_ENDS = ("days_to_recurrence", "days_to_metastasis_1", "days_to_progress_1")
_OUTLIER = ("Leukocytes [#/volume] in Blood", "Basophils [#/volume] in Blood")


def find(folder: Path) -> Path | None:
    """Where the three files lie: in the folder itself or in its `StructuredData`."""
    for place in (folder, folder / "StructuredData"):
        if all((place / name).is_file() for name in FILES):
            return place
    return None


def tables(folder: Path, levels: Mapping[str, int]) -> dict[str, Lines]:
    """The feature tables by name. `levels`: how many answers a category has; all others have two.

    Raises `CohortError` for files that are not the whole set.
    """
    clinical, pathological, blood = (_read(folder / name) for name in FILES)
    return {
        "targets": _by_id(FILES[0], clinical, _target),
        "clinical": _numbered(FILES[0], clinical, levels),
        "pathological": _numbered(FILES[1], pathological, levels),
        "blood": _blood(blood),
        "tma_cell_density": {},
    }


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, ValueError):
        raise CohortError(f"{file} is not JSON in UTF-8.") from None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise CohortError(f"{file} is no list of patients.")
    if not all(isinstance(one.get("patient_id"), str) for one in found):
        raise CohortError(f"{file} has a row without a patient_id.")
    return found


def _id(row: Mapping[str, Any]) -> RecordId:
    return identifier(str(row["patient_id"]), "patient_id")


def _by_id(file: str, rows: Iterable[Mapping[str, Any]], of: Callable[[Any], Line]) -> Lines:
    found: Lines = {}
    for row in rows:
        if _id(row) in found:
            raise CohortError(f"{file}: patient {_id(row)} comes twice.")
        found[_id(row)] = of(row)
    return found


def _numbered(file: str, rows: list[dict[str, Any]], levels: Mapping[str, int]) -> Lines:
    """Every column as the tables have it: numbers as text, "" where nothing is known."""
    columns = sorted({name for row in rows for name in row})
    codes = {c: _codes(c, rows, levels[c]) for c in columns if c in levels}
    named = [c for c in columns if c != "patient_id"]
    return _by_id(file, rows, lambda row: {c: _cell(c, row.get(c), codes.get(c)) for c in named})


def _codes(column: str, rows: Iterable[Mapping[str, Any]], count: int) -> dict[Any, int]:
    words = {_word(row.get(column)) for row in rows}
    ordered = sorted(w for w in words if w is not None)
    found = {word: n for n, word in enumerate([*ordered, *([None] if None in words else [])])}
    if len(found) != count:
        raise CohortError(
            f"{column} has {len(found)} answers, and the whole set has {count}: parts of HANCOCK "
            "cannot be read from its JSON files, since its categories are numbered by all of it."
        )
    return found


def _word(value: Any) -> str | None:
    return None if value is None else _IN_SITU.get(str(value), str(value))


def _cell(column: str, value: Any, codes: Mapping[Any, int] | None) -> str:
    if codes is not None:
        return str(codes[_word(value)])
    if value is None:
        return ""
    if isinstance(value, str) and value in _BINARY:
        return str(_BINARY[value])
    return str(value)  # a number, or a column that nobody reads


def _target(row: Mapping[str, Any]) -> dict[str, str]:
    """Relapse, metastasis, progress or death, whichever came first, from the first treatment on."""
    try:
        start, last = float(row["days_to_first_treatment"]), float(row["days_to_last_information"])
    except (KeyError, TypeError, ValueError):
        raise CohortError(f"Patient {_id(row)} has no days of treatment and follow-up.") from None
    days = [_days(row, name) for name in _ENDS if row.get(name) is not None]
    days += [last] if row.get("survival_status") == "deceased" else []
    end = min(days, default=last) - start
    return {"rfs_event": str(int(bool(days))), "days_to_rfs_event": str(int(end))}


def _days(row: Mapping[str, Any], name: str) -> float:
    days = number(str(row[name]), f"Patient {_id(row)}: {name}")
    if days is None:
        raise CohortError(f"Patient {_id(row)}: {name} is {row[name]!r}; null says unknown.")
    return days


def _blood(rows: list[dict[str, Any]]) -> Lines:
    """The first value of each analyte of each patient."""
    found: Lines = {}
    for row in rows:
        if row.get("value") is not None:
            found.setdefault(_id(row), {}).setdefault(str(row.get("LOINC_name")), str(row["value"]))
    highest = {
        max(
            (number(line[name], f"Patient {key}: {name}") or 0.0, key)
            for key, line in found.items()
            if name in line
        )[1]
        for name in _OUTLIER
        if any(name in line for line in found.values())
    }
    if len(highest) == 1:  # one patient with the most of both: not a count that can be
        del found[highest.pop()]
    return found
