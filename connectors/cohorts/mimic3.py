"""MIMIC-III (demo or full): patients with their movements, charted values and laboratory results.

Reads the published tables PATIENTS, ADMISSIONS, TRANSFERS, CHARTEVENTS, OUTPUTEVENTS, LABEVENTS
and D_LABITEMS as csv or csv.gz, with file and column names in either case. Tables are streamed: in
memory are only the patients asked for, so name a number of patients when reading the full set.

What is decided here:

- Times are the set's own (shifted into the years 2100 to 2210 for each patient), as UTC.
- Ages above 89 are hidden in the set by a birth date 300 years back: they are read as 90.
- A chart row flagged `error` was charted and then found wrong: it is given with the time of its
  storing as `withdrawn_at`, so that a replay can send it and take it back.
- MetaVision charts no coma score total: it is the sum of its three components at one time.
- Any charted ventilator mode but standby is sent as "mechanical ventilation", the one answer that
  PhysioNet 2012 knows.
- Values that no body can have are passed on; refusing them is the model's task, with a reason.
- Laboratory rows without a LOINC code keep the set's item id, under the coding system 99MIMIC3.

Source: Johnson et al., MIMIC-III, Scientific Data 2016, and the table documentation that comes
with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from connectors.cohorts.mimic3_items import (
    CHART,
    GCS_COMPONENTS,
    GCS_TOTAL,
    NOT_VENTILATING,
    OUTPUT,
    TEXT_ITEMS,
    Item,
)
from connectors.cohorts.mimic3_labs import Resulted, results
from connectors.cohorts.mimic3_tables import (
    ADMISSIONS,
    CHARTEVENTS,
    OUTPUTEVENTS,
    PATIENTS,
    TRANSFERS,
    birthday,
    epoch,
    rows,
    time_or_none,
)
from connectors.cohorts.physionet2012 import MECHANICAL_VENTILATION

OLDEST_AGE = 90.0  # years; stands for older


class Movement(NamedTuple):
    """Something that happened to a stay. `event` is the ADT event that announces it."""

    time: float
    event: (
        str  # A04 registered in the emergency room, A01 admitted, A02 transferred, A03 discharged
    )
    visit: str
    ward: str
    died_at: float | None = None  # of A03


class Charted(NamedTuple):
    """One value that the ward charted."""

    time: float
    code: str  # LOINC
    name: str
    value: float | str
    unit: str  # UCUM
    item: int
    withdrawn_at: float | None = None


@dataclass(slots=True)
class MimicPatient:
    """One patient; every list is in order of time."""

    subject_id: int
    sex: str  # HL7 table 0001
    age: float | None  # whole years at the first admission
    movements: list[Movement] = field(default_factory=list)
    charted: list[Charted] = field(default_factory=list)
    resulted: list[Resulted] = field(default_factory=list)

    def span(self) -> tuple[float, float]:
        """First and last time of anything. Raises `ValueError` for a patient without events."""
        times = [e.time for events in self._lists() for e in events]
        times += [c.withdrawn_at for c in self.charted if c.withdrawn_at is not None]
        return min(times), max(times)

    def _lists(self) -> tuple[Sequence[Movement | Charted | Resulted], ...]:
        return self.movements, self.charted, self.resulted


@dataclass(slots=True)
class Cohort:
    """Patients by subject id, and the rows that were not taken, by reason."""

    patients: list[MimicPatient]
    skipped: Counter[str]


def load(folder: Path, limit: int | None = None) -> Cohort:
    """The first `limit` patients by subject id (all by default).

    Raises `CohortError` when a table or column is missing.
    """
    skipped: Counter[str] = Counter()
    admissions = _by_subject(folder)
    patients: dict[int, MimicPatient] = {}
    for row in sorted(rows(folder, PATIENTS), key=lambda r: int(r[0])):
        if limit is not None and len(patients) >= limit:
            break
        subject = int(row[0])
        stays = admissions.get(subject, [])
        patients[subject] = MimicPatient(subject, row[1] or "U", _age(row[2], stays))
    _add_movements(folder, patients, admissions)
    _add_chart(folder, patients, skipped)
    _add_output(folder, patients, skipped)
    for subject_id, result in results(folder, patients, skipped):
        patients[subject_id].resulted.append(result)
    for patient in patients.values():
        patient.movements.sort(key=lambda m: (m.time, m.event != "A04"))
        patient.charted.sort(key=lambda c: (c.time, c.code, c.item))
        patient.resulted.sort(key=lambda r: (r.time, r.specimen, r.code))
    return Cohort(list(patients.values()), skipped)


# ── persons and movements ───────────────────────────────────────────────────────────────────────


class _Admission(NamedTuple):
    visit: str
    admitted: float
    discharged: float | None
    died: float | None
    registered: float | None


def _by_subject(folder: Path) -> dict[int, list[_Admission]]:
    found: dict[int, list[_Admission]] = {}
    for subject, visit, admitted, discharged, died, registered in rows(folder, ADMISSIONS):
        stay = _Admission(
            visit,
            epoch(admitted),
            time_or_none(discharged),
            time_or_none(died),
            time_or_none(registered),
        )
        found.setdefault(int(subject), []).append(stay)
    return found


def _age(born: str, stays: list[_Admission]) -> float | None:
    if not born or not stays:
        return None
    birth = birthday(born)
    first = datetime.fromtimestamp(min(s.admitted for s in stays), UTC)
    years = first.year - birth.year - ((first.month, first.day) < (birth.month, birth.day))
    return min(float(years), OLDEST_AGE)


def _add_movements(
    folder: Path, patients: dict[int, MimicPatient], admissions: dict[int, list[_Admission]]
) -> None:
    first_ward: dict[str, str] = {}
    for row in rows(folder, TRANSFERS):
        subject, visit, event, unit, ward, since = row
        patient = patients.get(int(subject))
        if patient is None:
            continue
        # Wards outside intensive care have a number and no name.
        name = unit or (f"WARD{int(float(ward))}" if ward else "")
        if event == "admit":
            first_ward[visit] = name
        elif event == "transfer" and since and name:
            patient.movements.append(Movement(epoch(since), "A02", visit, name))
    for subject_id, stays in admissions.items():
        if subject_id not in patients:
            continue
        for stay in stays:
            ward = first_ward.get(stay.visit, "")
            patients[subject_id].movements += _stay(stay, ward)


def _stay(stay: _Admission, ward: str) -> Iterator[Movement]:
    if stay.registered is not None and stay.registered < stay.admitted:
        yield Movement(stay.registered, "A04", stay.visit, "ED")
    yield Movement(stay.admitted, "A01", stay.visit, ward)
    if stay.discharged is not None:
        # A few deaths are recorded minutes after the discharge that reports them.
        died = None if stay.died is None else min(stay.died, stay.discharged)
        yield Movement(stay.discharged, "A03", stay.visit, "", died)


# ── charted values ──────────────────────────────────────────────────────────────────────────────


def _add_chart(folder: Path, patients: dict[int, MimicPatient], skipped: Counter[str]) -> None:
    coma: dict[tuple[int, float], dict[int, float]] = {}
    for subject, item_id, charted, stored, text, number, error in rows(folder, CHARTEVENTS):
        patient = patients.get(int(subject))
        item = CHART.get(int(item_id))
        if patient is None:
            continue
        if item is None:
            skipped["chart item not mapped"] += 1
            continue
        event = _charted(int(item_id), item, charted, stored, text, number, error == "1")
        if event is None:
            skipped["chart row without a value or time"] += 1
            continue
        patient.charted.append(event)
        if event.item in GCS_COMPONENTS and error != "1" and isinstance(event.value, float):
            coma.setdefault((patient.subject_id, event.time), {})[event.item] = event.value
    for (subject_id, time), parts in coma.items():
        if parts.keys() == GCS_COMPONENTS:
            total = Charted(time, *GCS_TOTAL[:2], sum(parts.values()), GCS_TOTAL.unit, 0)
            patients[subject_id].charted.append(total)


def _charted(
    item_id: int, item: Item, charted: str, stored: str, text: str, number: str, error: bool
) -> Charted | None:
    value: float | str
    if item_id in TEXT_ITEMS:
        mode = text.strip()
        value = mode if mode.lower() in NOT_VENTILATING else MECHANICAL_VENTILATION
    else:
        # Four decimals: CareVue's values are floats of 32 bits written with 15 digits.
        value = round(float(number) * item.factor, 4) if number else ""
    if value == "" or not charted:
        return None
    time = epoch(charted)
    withdrawn = max(epoch(stored) if stored else time, time + 60.0) if error else None
    return Charted(time, item.code, item.name, value, item.unit, item_id, withdrawn)


def _add_output(folder: Path, patients: dict[int, MimicPatient], skipped: Counter[str]) -> None:
    for subject, item_id, charted, stored, value, error in rows(folder, OUTPUTEVENTS):
        patient = patients.get(int(subject))
        item = OUTPUT.get(int(item_id))
        if patient is None:
            continue
        if item is None:
            skipped["output that is not urine"] += 1
            continue
        event = _charted(int(item_id), item, charted, stored, "", value, error == "1")
        if event is None:
            skipped["output row without a value or time"] += 1
        else:
            patient.charted.append(event)
