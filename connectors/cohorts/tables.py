"""What all cohorts read alike: tables, record ids, numbers, and a count of what was left out.

A value that cannot be one is an error with file, line and column. A patient who comes twice is
refused; a line that comes twice is read once and counted.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

RecordId = int | str  # a number where the id is one: 7, 7.0 and 007 are one patient
Line = dict[str, str]
_UNKNOWN = frozenset({"", "nan", "na", "n/a", "none", "null", "unknown", "."})  # in lower case


class CohortError(Exception):
    """A folder or file that is not this data set; the message says what is missing."""


@dataclass(slots=True)
class Reading:
    """What a loader left out of a cohort, and what it kept and wonders about."""

    repeated_lines: int = 0  # read once
    repeated_scans: int = 0  # of a patient who is in the cohort with another one
    patients_without_outcome: int = 0  # can be replayed, not evaluated
    outcomes_without_patient: int = 0
    same_content_under_another_id: int = 0  # kept
    _ids: dict[RecordId, str] = field(default_factory=dict)
    _contents: set[int] = field(default_factory=set)

    def meet(self, record_id: RecordId, where: str, content: Hashable, decided: bool) -> None:
        """Count a patient; `content`: all that is known of them, None where that is next to
        nothing; `decided`: the outcome is known. Raises `CohortError` for an id's second patient.
        """
        if record_id in self._ids:
            raise CohortError(
                f"{where}: patient {record_id} was in {self._ids[record_id]} before. Give each "
                "patient one id and one place; `--set` reads one set of several."
            )
        self._ids[record_id] = where
        self.patients_without_outcome += not decided
        if content is not None:
            seal = hash(content)
            self.same_content_under_another_id += seal in self._contents
            self._contents.add(seal)

    def counts(self) -> dict[str, int]:
        """By name, those that are not 0: for metrics.json."""
        return {name: count for name in _WORDS if (count := getattr(self, name))}


_WORDS = {
    "patients_without_outcome": "without a known outcome, left out",
    "repeated_lines": "lines that came twice, read once",
    "repeated_scans": "second scans of a patient, left out",
    "outcomes_without_patient": "outcomes without a patient",
    "same_content_under_another_id": "patients with all the values of another one, under another "
    "id: both were kept, and if they are the same patient, intervals are too narrow",
}


def in_words(counts: Mapping[str, int]) -> str:
    """What `Reading.counts` gave as a sentence; "" where nothing is to be said."""
    said = "; ".join(f"{counts[name]} {words}" for name, words in _WORDS.items() if name in counts)
    return f"Reading the cohort: {said}." if said else ""


def identifier(text: str, where: str) -> RecordId:
    """A record id; whole numbers may be written as floats. Raises `CohortError` for none."""
    said = text.strip()
    if said.casefold() in _UNKNOWN:
        raise CohortError(f"{where}: a patient has no id.")
    whole = re.fullmatch(r"(\d+)(\.0*)?", said)
    return int(whole[1]) if whole else said


def in_order(record_id: RecordId) -> tuple[bool, int, str]:
    """Sorts numbers before names."""
    return (False, record_id, "") if isinstance(record_id, int) else (True, 0, record_id)


def number(text: str | None, where: str) -> float | None:
    """A cell, None where it says that nothing is known. Raises `CohortError`."""
    said = (text or "").strip()
    if said.casefold() in _UNKNOWN:
        return None
    try:
        value = float(said)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise CohortError(f"{where} is {said!r}, not a number; leave it empty if it is not known.")
    return value


def flag(text: str | None, where: str) -> int | None:
    """0 or 1, None where nothing is known. Raises `CohortError` for anything else."""
    value = number(text, where)
    if value is not None and value not in (0.0, 1.0):
        raise CohortError(f"{where} is {value:g}: 0 and 1 are possible, empty if it is not known.")
    return None if value is None else int(value)


def table(
    file: Path,
    columns: Collection[str],
    numbers: Collection[str] = (),
    flags: Collection[str] = (),
) -> list[Line]:
    """Lines of a CSV file, with `columns` at least; the named cells are checked, and "" where they
    say that nothing is known. Raises `CohortError` when it is missing or another file."""
    return [
        line
        | {c: _number(line.get(c), f"{file}, line {n}: {c}") for c in numbers}
        | {c: _flag(line.get(c), f"{file}, line {n}: {c}") for c in flags}
        for n, line in _lines(file, columns)
    ]


def _number(text: str | None, where: str) -> str:
    return "" if text is None or number(text, where) is None else text.strip()


def _flag(text: str | None, where: str) -> str:
    value = flag(text, where)
    return "" if value is None else str(value)


def _lines(file: Path, columns: Collection[str]) -> Iterator[tuple[int, Line]]:
    try:
        text = file.read_text(encoding="utf-8-sig")  # a spreadsheet begins it with a mark
    except FileNotFoundError:
        raise CohortError(
            f"{file} is missing: name the folder that holds it with --data."
        ) from None
    except UnicodeDecodeError:
        raise CohortError(f"{file} is not a CSV file in UTF-8.") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
    if not reader.fieldnames:
        raise CohortError(f"{file} is empty: copy it again, or take it out of the folder.")
    missing = sorted({*columns} - {*reader.fieldnames})
    if missing:
        raise CohortError(f"{file} has no column {', '.join(missing)}.")
    for line in reader:
        if None in line or None in line.values():
            raise CohortError(
                f"{file}, line {reader.line_num}: not as many cells as the header has."
            )
        yield reader.line_num, line


def by_patient(
    file: Path, lines: Iterable[Line], column: str, reading: Reading
) -> dict[RecordId, Line]:
    """Lines by the record id in a column. A line that comes twice is counted and read once.

    Raises `CohortError` for two lines of a patient that say different things.
    """
    found: dict[RecordId, Line] = {}
    for line in lines:
        record_id = identifier(line[column], f"{file}: {column}")
        before = found.setdefault(record_id, line)
        if before is line:
            continue
        differing = sorted(c for c in line if line[c] != before[c] and c != column)
        if differing:
            raise CohortError(
                f"{file}: {record_id} has two lines that differ in {', '.join(differing[:5])}. "
                "Keep the right one."
            )
        reading.repeated_lines += 1
    return found


def parquet(file: Path, columns: Collection[str], patient: str) -> pd.DataFrame:
    """A table with those columns at least; `patient`: the one of record ids, on each row one.

    Raises `CohortError` when it cannot be read, or lacks one.
    """
    # Imported here: connectors install without the training extra.
    import pandas as pd  # noqa: PLC0415

    try:
        frame = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise CohortError(
            f"{file} cannot be read as a parquet file: it is damaged or something else "
            f"({str(error).splitlines()[0]}). Copy it again, or take it out of the folder."
        ) from None
    missing = sorted({*columns, patient} - {*frame.columns})
    if missing:
        raise CohortError(f"{file} has no column {', '.join(missing)}.")
    without = int(frame[patient].isna().sum())
    if without:
        raise CohortError(f"{file}: {without} rows have no id of a patient ({patient}).")
    return frame
