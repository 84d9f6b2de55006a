"""One feature function, the same however the record came about."""

from __future__ import annotations

import math
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.derived import DERIVED
from models.features import FEATURES, FeatureReader
from models.record import PatientRecord
from models.variables import BY_CODE
from tests.unit.models.patients import (
    HEART_RATE,
    HOUR,
    LACTATE,
    PRESSURE,
    START,
    admission,
    observation,
    record,
    sick,
)

_AT = {f.name: i for i, f in enumerate(FEATURES)}


def _read(patient: PatientRecord, hour: float, reader: FeatureReader | None = None) -> list[float]:
    return (reader or FeatureReader()).read(patient, START + hour * HOUR)[0]


def _same(a: list[float], b: list[float]) -> bool:
    return np.array_equal(np.array(a), np.array(b), equal_nan=True)


def test_statistics_are_those_of_the_window() -> None:
    row = _read(sick(), 9)
    rate = [90.0 + 4 * h for h in range(10)]
    assert row[_AT["heart_rate.last"]] == 126.0
    assert row[_AT["heart_rate.lowest"]] == 90.0
    assert row[_AT["heart_rate.mean"]] == np.mean(rate)
    assert row[_AT["heart_rate.spread"]] == np.std(rate)
    assert row[_AT["heart_rate.trend"]] == 36.0
    assert row[_AT["lactate.hours_since"]] == 1.0
    assert row[_AT["male"]] == 1.0
    assert row[_AT["hours"]] == 9.0
    assert math.isnan(row[_AT["sodium.last"]])


def test_values_before_the_stay_or_the_window_do_not_count() -> None:
    before = record(
        [observation(HEART_RATE, -1, 150.0), admission(), observation(HEART_RATE, 1, 80)]
    )
    assert _read(before, 2)[_AT["heart_rate.highest"]] == 80.0
    long_ago = record([observation(HEART_RATE, 0, 150.0), observation(HEART_RATE, 60, 80.0)])
    assert _read(long_ago, 60)[_AT["heart_rate.highest"]] == 80.0


def test_a_corrected_and_a_deleted_value_are_gone() -> None:
    reader, patient = FeatureReader(), sick()
    assert _read(patient, 9, reader)[_AT["lactate.last"]] == 7.5
    patient.fold_facts([observation(LACTATE, 8, 2.5, status="C", changed=9.0)])
    assert _read(patient, 9, reader)[_AT["lactate.last"]] == 2.5
    patient.fold_facts([observation(LACTATE, 8, 2.5, status="D", changed=10.0, removed=True)])
    assert _read(patient, 9, reader)[_AT["lactate.last"]] == 3.0


def test_urine_adds_up_over_hours() -> None:
    patient = record([admission(), *(observation("9187-6", h, 50.0, unit="mL") for h in range(13))])
    row = _read(patient, 12)
    assert row[_AT["urine.sum_6h"]] == 350.0  # at 6, 7, … 12 h: both ends count
    assert row[_AT["urine.sum_48h"]] == 650.0


def test_two_codes_of_one_variable_are_one_series() -> None:
    glucose = record(
        [
            observation("2345-7", 1, 180.156, unit="mg/dL"),
            observation("15074-8", 2, 5.0, unit="mmol/L"),
        ]
    )
    row = _read(glucose, 3)
    assert row[_AT["glucose.first"]] == 180.156
    assert row[_AT["glucose.last"]] == 90.078


def _not_used(patient: PatientRecord, hour: float, reader: FeatureReader) -> list[tuple[str, str]]:
    _, window = reader.read(patient, START + hour * HOUR)
    return [(one.feature, one.reason) for one in window.not_used()]


def test_what_cannot_be_used_is_told_while_nothing_newer_can() -> None:
    reader = FeatureReader()
    patient = record([observation(HEART_RATE, 0, 80.0), observation(PRESSURE, 3, 120.0)])
    assert _not_used(patient, 4, reader) == []
    patient.fold_facts([observation(HEART_RATE, 1, 0.0), observation(LACTATE, 2, 3.0, unit="")])
    both = [("Heart rate", "implausible"), ("Lactate", "unit_missing")]
    assert _not_used(patient, 4, reader) == both
    assert _read(patient, 4, reader)[_AT["heart_rate.last"]] == 80.0
    assert _not_used(patient, 0.5, reader) == []  # it was not known then
    patient.fold_facts([observation(HEART_RATE, 5, 85.0)])
    assert _not_used(patient, 6, reader) == both[1:]
    assert _not_used(patient, 52, reader) == []  # out of the window


def test_what_was_corrected_is_not_told_any_more() -> None:
    reader, patient = FeatureReader(), record([observation(HEART_RATE, 1, 800.0)])
    assert _not_used(patient, 2, reader) == [("Heart rate", "implausible")]
    patient.fold_facts([observation(HEART_RATE, 1, 80.0, status="C", changed=9.0)])
    assert _not_used(patient, 2, reader) == []


def test_of_a_text_no_word_is_told() -> None:
    reader, patient = FeatureReader(), record([observation(HEART_RATE, 1, "ask Mrs Miller")])
    _, window = reader.read(patient, START + 2 * HOUR)
    (one,) = window.not_used()
    assert (one.value, one.reason) == (None, "not_a_number")


_CODES = sorted({HEART_RATE, LACTATE, PRESSURE, "2345-7", "2339-0", "9187-6", "20124-4"})
_UNITS = {"2345-7": "mg/dL", "2339-0": "mg/dL", "9187-6": "mL"}
_values = st.tuples(
    st.sampled_from(_CODES),
    st.integers(0, 200),
    st.integers(0, 150),
    st.sampled_from("FFFCD"),
    st.integers(0, 5),
)


def _fact(row: tuple[str, int, int, str, int]) -> object:
    code, quarter, value, status, changed = row
    return observation(
        code, quarter / 4, float(value), unit=_UNITS.get(code), status=status, changed=changed,
        removed=status == "D",
    )  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(_values, max_size=40), seed=st.integers(0, 1_000))
def test_incremental_reading_equals_reading_afresh(
    rows: list[tuple[str, int, int, str, int]], seed: int
) -> None:
    """Whatever arrives in whatever order, a warm reader gives what a new one gives."""
    facts = [_fact(r) for r in rows]
    rng = random.Random(seed)
    warm, live = FeatureReader(), PatientRecord()
    for fact in facts:
        live.fold_facts([fact])  # type: ignore[list-item]
        hour = rng.uniform(0, 110)  # also when much has left the window
        afresh = PatientRecord()
        afresh.fold_facts(live.facts.values())
        assert _same(_read(live, hour, warm), _read(afresh, hour))


def test_time_goes_back_after_what_had_left_the_window_was_deleted() -> None:
    warm, live = FeatureReader(), record([observation(HEART_RATE, 0, 150.0)])
    _read(live, 60, warm)
    live.fold_facts([observation(HEART_RATE, 0, None, status="D", changed=9.0, removed=True)])
    assert _same(_read(live, 10, warm), _read(live, 10))


@settings(deadline=None, max_examples=30)
@given(rows=st.lists(_values, max_size=25), seed=st.integers(0, 1_000))
def test_the_order_of_arrival_does_not_matter(
    rows: list[tuple[str, int, int, str, int]], seed: int
) -> None:
    facts = [_fact(r) for r in rows]
    shuffled = facts[:]
    random.Random(seed).shuffle(shuffled)
    assert _same(_read(record(facts), 50), _read(record(shuffled), 50))  # type: ignore[arg-type]


def test_moving_a_patient_in_time_changes_nothing() -> None:
    later = START + 37 * 86_400.0
    a = FeatureReader().read(sick(), START + 9.5 * HOUR)[0]
    b = FeatureReader().read(sick(later), later + 9.5 * HOUR)[0]
    assert _same(a[_AT["male"] :], b[_AT["male"] :])


def test_a_batch_gives_what_single_readings_give() -> None:
    pairs = [(sick(), START + h * HOUR) for h in (0.5, 3, 9)]
    matrix, _ = FeatureReader().matrix(pairs)
    for row, (patient, as_of) in zip(matrix, pairs, strict=True):
        assert _same(list(row), FeatureReader().read(patient, as_of)[0])


def test_every_feature_has_its_own_name_and_belongs_to_a_variable() -> None:
    assert len(_AT) == len(FEATURES)
    names = {v.name for v in BY_CODE.values()} | {d.group for d in DERIVED} | {"amount"}
    assert {f.variable for f in FEATURES} - {""} == names
