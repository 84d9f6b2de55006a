"""The tables of MIMIC-III as published: csv or csv.gz, file and column names in either case."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from connectors.cohorts.tables import CohortError

_FORMAT = "%Y-%m-%d %H:%M:%S"


class Table(NamedTuple):
    """A table and the columns that are read of it."""

    name: str
    columns: tuple[str, ...]


PATIENTS = Table("patients", ("subject_id", "gender", "dob"))
ADMISSIONS = Table(
    "admissions",
    ("subject_id", "hadm_id", "admittime", "dischtime", "deathtime", "edregtime"),
)
TRANSFERS = Table(
    "transfers",
    ("subject_id", "hadm_id", "eventtype", "curr_careunit", "curr_wardid", "intime"),
)
CHARTEVENTS = Table(
    "chartevents",
    ("subject_id", "itemid", "charttime", "storetime", "value", "valuenum", "error"),
)
OUTPUTEVENTS = Table(
    "outputevents", ("subject_id", "itemid", "charttime", "storetime", "value", "iserror")
)
LABEVENTS = Table(
    "labevents", ("subject_id", "itemid", "charttime", "value", "valuenum", "valueuom", "flag")
)
LAB_ITEMS = Table("d_labitems", ("itemid", "label", "fluid", "category", "loinc_code"))


def rows(folder: Path, table: Table) -> Iterator[list[str]]:
    """The named columns of each row, in that order. Raises `CohortError` for what is missing."""
    file = _file(folder, table.name)
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", newline="", encoding="utf-8-sig", errors="replace") as lines:
        reader = csv.reader(lines)
        header = [name.lower() for name in next(reader, [])]
        missing = [c for c in table.columns if c not in header]
        if missing:
            raise CohortError(f"{file} has no column {', '.join(missing)}.")
        at = [header.index(c) for c in table.columns]
        for number, line in enumerate(reader, 2):
            if len(line) < len(header):
                raise CohortError(f"{file}: row {number} is cut off.")
            yield [line[i] for i in at]


def _file(folder: Path, table: str) -> Path:
    names = {p.name.lower(): p for p in folder.iterdir()} if folder.is_dir() else {}
    for suffix in (".csv", ".csv.gz"):
        if table + suffix in names:
            return names[table + suffix]
    raise CohortError(
        f"{folder} does not hold {table}.csv or {table}.csv.gz: expected the tables of MIMIC-III."
    )


@lru_cache(maxsize=65_536)
def epoch(text: str) -> float:
    """A time of the set, as if it were UTC, in epoch seconds."""
    return birthday(text).timestamp()


def time_or_none(text: str) -> float | None:
    """`epoch`, None for an empty field."""
    return epoch(text) if text else None


def birthday(text: str) -> datetime:
    """A date of birth: up to 300 years before the stay for the oldest."""
    return datetime.strptime(text, _FORMAT).replace(tzinfo=UTC)
