"""From patients' records and times to the numbers that the sepsis model reads.

One function for training and serving. Only what was true of a patient by `as_of`, within the last
48 hours and not before the present stay, is looked at; all times are relative. What was not
measured is NaN, and the model treats that as information of its own. Counts are of hours with a
value, not of values: a monitor that sends every minute says no more than one that sends hourly.

Letters in shape comments: P patients, V variables, F features, K segments that hold something.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from connectors.contract import SetAside
from connectors.facts import PersonDetail
from models.carried import Seat
from models.columns import HOUR_S, Array, Asked, Batch, ColumnReader, View
from models.features import WINDOW_S
from models.record import PatientRecord, Stay
from models.sepsis_scores import COURSE, SCORES, course, scores
from models.sepsis_variables import LABORATORY, SEPSIS_CATALOGUE, VITALS
from models.series import not_used

NAN = math.nan

# What is computed of every variable. Bundles name these: changing what one means needs a new name.
STATISTICS = {
    "last": "last",
    "hours_since": "hours since last",
    "lowest": "lowest",
    "highest": "highest",
    "mean": "mean",
    "spread": "spread",
    "change": "change since the value before",
    "trend": "change since first",
    "hours": "hours with a value",
}
WINDOWS = (6, 12, 24)  # hours, for vital signs
RECENT = {"lowest": "lowest", "highest": "highest", "mean": "mean"}
RATIOS = {
    "shock_index": ("heart_rate", "sbp", "Heart rate / systolic pressure"),
    "modified_shock_index": ("heart_rate", "map", "Heart rate / mean pressure"),
    "saturation_to_oxygen": ("spo2", "fio2", "Oxygen saturation / inspired oxygen"),
    "urea_to_creatinine": ("urea_nitrogen", "creatinine", "Urea nitrogen / creatinine"),
    "breaths_to_saturation": ("resp_rate", "spo2", "Respiratory rate / oxygen saturation"),
    "diastolic_to_systolic": ("dbp", "sbp", "Diastolic / systolic pressure"),
    "heart_rate_to_temperature": ("heart_rate", "temperature", "Heart rate / temperature"),
    "lactate_to_bicarbonate": ("lactate", "bicarbonate", "Lactate / bicarbonate"),
}
CONTEXT = {
    "age": ("Age", "a"),
    "male": ("Male sex", ""),
    "hours_in_ward": ("Hours in the ward", "h"),
    "hours_in_hospital": ("Hours in the hospital", "h"),
    "hours_before_ward": ("Hours in the hospital before the ward", "h"),
    "variables": ("Number of different measurements", ""),
    "hours_since_laboratory": ("Hours since last laboratory result", "h"),
    "laboratory_6h": ("Laboratory results of 6 h", ""),
    "laboratory_12h": ("Laboratory results of 12 h", ""),
    "laboratory_24h": ("Laboratory results of 24 h", ""),
    "laboratory_48h": ("Laboratory results of 48 h", ""),
    "results_3h": ("Laboratory and bedside results of 3 h", ""),
    "results_6h": ("Laboratory and bedside results of 6 h", ""),
    "results_12h": ("Laboratory and bedside results of 12 h", ""),
    "results_24h": ("Laboratory and bedside results of 24 h", ""),
    "results_48h": ("Laboratory and bedside results of 48 h", ""),
    "vital_hours_3h": ("Hours with each vital sign, summed, of 3 h", ""),
    "vital_hours_6h": ("Hours with each vital sign, summed, of 6 h", ""),
    "vital_hours_12h": ("Hours with each vital sign, summed, of 12 h", ""),
    "laboratory_rate": ("Laboratory results an hour", "/h"),
    **SCORES,
}
_MALE: dict[object, float] = {"M": 1.0, "F": 0.0}
LONGEST_H = 1_000.0  # hours in ward and hospital are not told apart beyond


class Feature(NamedTuple):
    """One number. Its contribution is shown with `variable`'s, or alone where that is ""."""

    name: str
    variable: str
    statistic: str
    display: str
    unit: str


def _features() -> list[Feature]:
    found = [Feature(n, "", n, display, unit) for n, (display, unit) in CONTEXT.items()]
    found += [
        Feature(
            f"{v.name}.{statistic}", v.name, statistic, f"{v.display}, {words}",
            "h" if statistic.startswith("hours") else v.unit,
        )
        for statistic, words in STATISTICS.items()
        for v in SEPSIS_CATALOGUE
    ]  # fmt: skip
    found += [
        Feature(
            f"{v.name}.{statistic}_{hours}h", v.name, f"{statistic}_{hours}h",
            f"{v.display}, {words} of {hours} h", v.unit,
        )
        for hours in WINDOWS
        for statistic, words in RECENT.items()
        for v in VITALS
    ]  # fmt: skip
    found += [
        Feature(
            f"{v.name}.{statistic}", v.name, statistic, f"{v.display}, {words}",
            "" if statistic == "rate" else v.unit,
        )
        for statistic, words in COURSE.items()
        for v in VITALS
    ]  # fmt: skip
    return found + [Feature(n, over, n, display, "") for n, (over, _, display) in RATIOS.items()]


FEATURES: tuple[Feature, ...] = tuple(_features())
CODES: frozenset[str] = frozenset(code for v in SEPSIS_CATALOGUE for code in v.codes)
_IN_WARD = list(CONTEXT).index("hours_in_ward")
_VITAL_INDEX = {v.name: i for i, v in enumerate(VITALS)}
_INDEX = {v.name: i for i, v in enumerate(SEPSIS_CATALOGUE)}
_IS_VITAL = np.array([v in VITALS for v in SEPSIS_CATALOGUE])
# Glucose and inspired oxygen are also taken at the bedside: they say nothing of an order.
_BEDSIDE = {"glucose", "fio2"}
_IS_ORDERED = np.array([v in LABORATORY and v.name not in _BEDSIDE for v in SEPSIS_CATALOGUE])


def sepsis_contract() -> dict[str, object]:
    """What the meaning of the numbers rests on; a bundle made under another one is refused."""
    return {
        "window_s": WINDOW_S,
        "features": [f.name for f in FEATURES],
        "variables": {
            v.name: [v.unit, v.low, v.high, v.molar_mass, v.valence, list(v.codes)]
            for v in SEPSIS_CATALOGUE
        },
    }


class SepsisReader:
    """Computes features, remembering of each patient what has not changed."""

    def __init__(self) -> None:
        self.columns = ColumnReader(SEPSIS_CATALOGUE)
        self._seats: WeakKeyDictionary[PatientRecord, Seat] = WeakKeyDictionary()

    def seat(self, record: PatientRecord) -> Seat:
        """The patient's, in the model's forest."""
        return self._seats.setdefault(record, Seat())

    def forget(self, records: Iterable[PatientRecord]) -> None:
        """These patients are strangers from now on, with new seats."""
        for record in records:
            self._seats.pop(record, None)
            self.columns.forget(record)

    def not_used(self, record: PatientRecord, as_of: float) -> list[SetAside]:
        """Variables whose newest observation of the window could not be used."""
        rejecting = self.columns.rejecting(record)
        if not rejecting:
            return []
        every, start = self.columns.series(record), _start(as_of, record.stay(as_of))
        return not_used(SEPSIS_CATALOGUE, every, start, as_of, rejecting)

    def lowest_of_newest(self, record: PatientRecord, as_of: float, last: Array) -> list[float]:
        """Of each variable the lowest of the values at its newest time; `last` (V,) if just one."""
        every, start = self.columns.series(record), _start(as_of, record.stay(as_of))
        found: list[float] = last.tolist()
        for i, series in enumerate(every):
            lo, hi = series.span(start, as_of)
            # Values of one time are in ascending order.
            if hi - lo > 1 and series.times[hi - 2] == series.times[hi - 1]:
                found[i] = series.values[series.newest(lo, hi)][0]
        return found

    def matrix(self, patients: Sequence[tuple[PatientRecord, float]]) -> Array:
        """(P, F) features, NaN where not measured."""
        if not patients:
            return np.zeros((0, len(FEATURES)))
        asked: list[Asked] = []
        persons: list[tuple[float, ...]] = []
        for record, as_of in patients:
            stay = record.stay(as_of)
            asked.append(Asked(record, as_of, _start(as_of, stay)))
            persons.append(_person(record, as_of, stay))
        batch = self.columns.read(asked)
        tables = _statistics(batch)
        recent = _recent(batch)
        person = np.array(persons)
        seen = person[:, _IN_WARD]

        def read(variable: str, statistic: str) -> Array:
            if statistic in tables:
                return tables[statistic][:, _INDEX[variable]]
            return recent[statistic][:, _VITAL_INDEX[variable]]

        with np.errstate(invalid="ignore"):  # what was not measured is not a number
            parts = [
                person,
                _activity(batch, tables["hours_since"], seen),
                scores(read),
                *tables.values(),
                *recent.values(),
                *course({**tables, **recent}, _IS_VITAL, seen),
            ]
            parts += [
                (read(over, "last") / read(under, "last"))[:, None]
                for over, under, _ in RATIOS.values()
            ]
        return np.concatenate(parts, axis=1)


def _start(as_of: float, stay: Stay | None) -> float:
    """The earliest time that counts: a window back, not before the present stay."""
    return as_of - WINDOW_S if stay is None else max(as_of - WINDOW_S, stay.start)


def _statistics(batch: Batch) -> dict[str, Array]:
    """(P, V) for each of `STATISTICS`."""
    view, values, ages = batch.all, batch.values, batch.ages
    begin, newest = view.begin, view.end - 1
    n = (view.end - begin).astype(np.float64)
    mean = view.reduce(np.add, values) / n
    centred = values - np.append(np.repeat(mean, view.end - begin), 0.0)
    several = n > 1
    before = np.where(several, newest - 1, newest)
    found = {
        "last": values[newest],
        "hours_since": ages[newest],
        "lowest": view.reduce(np.minimum, values),
        "highest": view.reduce(np.maximum, values),
        "mean": mean,
        "spread": np.where(several, np.sqrt(view.reduce(np.add, centred**2) / n), NAN),
        "change": np.where(several, values[newest] - values[before], NAN),
        "trend": np.where(several, values[newest] - values[begin], NAN),
        "hours": view.reduce(np.add, _new_hours(batch)),
    }
    tables = dict(zip(STATISTICS, view.spread(*(found[s] for s in STATISTICS)), strict=True))
    tables["hours"] = np.nan_to_num(tables["hours"], nan=0.0)
    return tables


def _new_hours(batch: Batch) -> Array:
    """(O + 1,) 1 where an hour with a value begins: ages fall along a segment."""
    whole = np.floor(batch.ages)
    found = np.append(1.0, (whole[1:] != whole[:-1]).astype(np.float64))
    found[batch.all.begin] = 1.0
    return found


def _recent(batch: Batch) -> dict[str, Array]:
    """(P, vital signs) for each window and statistic of `RECENT`."""
    found: dict[str, Array] = {}
    view = batch.all.of(_IS_VITAL)
    for hours in WINDOWS:
        part = view.within(hours)
        lowest, highest, total = (
            part.reduce(how, batch.values) for how in (np.minimum, np.maximum, np.add)
        )
        mean = total / (part.end - part.begin)
        tables = part.spread(lowest, highest, mean)[:, :, _IS_VITAL]
        found |= {f"{name}_{hours}h": t for name, t in zip(RECENT, tables, strict=True)}
    return found


def _activity(batch: Batch, hours_since: Array, hours_in_ward: Array) -> Array:
    """(P, 15): how much is measured, and how lately and often the laboratory was asked."""
    ordered = batch.all.of(_IS_ORDERED)
    columns = [
        (~np.isnan(hours_since)).sum(1).astype(np.float64),
        np.fmin.reduce(hours_since[:, _IS_ORDERED], axis=1, initial=np.inf),
    ]
    columns[1][~np.isfinite(columns[1])] = NAN
    columns += [_counted(batch, ordered, hours) for hours in (*WINDOWS, math.inf)]
    asked = columns[-1]
    results, vitals = batch.all.of(~_IS_VITAL), batch.all.of(_IS_VITAL)
    columns += [_counted(batch, results, hours) for hours in (3.0, *WINDOWS, math.inf)]
    new = _new_hours(batch)
    columns += [_hours_with(vitals.within(hours), new) for hours in (3.0, 6.0, 12.0)]
    columns.append(asked / np.clip(hours_in_ward, 1.0, 48.0))
    return np.stack(columns, axis=1)


def _counted(batch: Batch, view: View, hours: float) -> Array:
    """(P,) how many observations are younger than so many hours."""
    counts = batch.younger(hours)[view.which].astype(np.float64)
    return _by_patient(view, counts)


def _hours_with(view: View, new: Array) -> Array:
    """(P,) hours with an observation, of all variables together."""
    return _by_patient(view, view.reduce(np.add, new))


def _by_patient(view: View, values: Array) -> Array:
    """(K,) → (P,): sums of what belongs to one patient."""
    patient = view.segments // len(SEPSIS_CATALOGUE)
    return np.asarray(np.bincount(patient, values, minlength=view.batch.patients), np.float64)


def _person(record: PatientRecord, as_of: float, stay: Stay | None) -> tuple[float, ...]:
    """The first five of `CONTEXT`."""
    age = record.age(as_of)
    male = _MALE.get(record.person(PersonDetail.SEX), NAN)
    in_ward = in_hospital = before = NAN
    if stay is not None:
        came = stay.in_ward_since(as_of)
        in_ward = min((as_of - came) / HOUR_S, LONGEST_H)
        in_hospital = min((as_of - stay.start) / HOUR_S, LONGEST_H)
        before = min((came - stay.start) / HOUR_S, LONGEST_H)
    return (NAN if age is None else age, male, in_ward, in_hospital, before)
