"""What the sepsis model reads of a record: windows, counts, context; nothing of the future."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from connectors.facts import EncounterEvent, Observation, PersonDetail
from models.record import PatientRecord
from models.sepsis_features import FEATURES, SepsisReader
from models.sepsis_scores import SCORES, scores
from tests.unit.models.patients import (
    HEART_RATE,
    HOUR,
    LACTATE,
    START,
    admission,
    observation,
    person,
    record,
    sick,
)

_COLUMN = {f.name: j for j, f in enumerate(FEATURES)}


def _read(patient: PatientRecord, hour: float) -> dict[str, float]:
    """Features that have a value."""
    row = SepsisReader().matrix([(patient, START + hour * HOUR)])[0]
    return {name: float(row[j]) for name, j in _COLUMN.items() if not np.isnan(row[j])}


def _moved(hour: float, ward: str) -> EncounterEvent:
    return EncounterEvent(
        id=f"visit:{ward}", rank=(1, START + hour * HOUR, 0, ""), visit="v",
        event=EncounterEvent.LOCATED, time=START + hour * HOUR, patient_class="I", ward=ward,
    )  # fmt: skip


def test_statistics_are_of_the_last_48_hours_of_the_stay() -> None:
    rates = [(-1, 300.0), (0, 70.0), (1, 90.0), (10, 80.0), (52, 100.0), (53, 60.0)]
    patient = record([admission(), *(observation(HEART_RATE, h, v) for h, v in rates)])
    early, late = _read(patient, 10), _read(patient, 53)
    assert early["heart_rate.last"] == 80
    assert (early["heart_rate.lowest"], early["heart_rate.highest"]) == (70, 90)
    assert early["heart_rate.mean"] == pytest.approx(80)
    assert early["heart_rate.spread"] == pytest.approx(np.std([70, 90, 80]))
    assert (early["heart_rate.change"], early["heart_rate.trend"]) == (-10, 10)
    assert early["heart_rate.hours_since"] == 0
    assert (late["heart_rate.lowest"], late["heart_rate.highest"]) == (60, 100)
    assert late["heart_rate.hours"] == 3
    assert "lactate.last" not in late
    assert late["lactate.hours"] == 0


def test_windows_are_open_at_their_far_end() -> None:
    patient = record([admission(), *(observation(HEART_RATE, h, 60.0 + h) for h in range(14))])
    found = _read(patient, 13)
    assert found["heart_rate.lowest_6h"] == 68  # hours 8 to 13
    assert found["heart_rate.lowest_12h"] == 62
    assert found["heart_rate.lowest_24h"] == 60
    assert found["heart_rate.mean_6h"] == pytest.approx(70.5)
    quiet = _read(patient, 30)
    assert "heart_rate.lowest_12h" not in quiet
    assert quiet["heart_rate.lowest_24h"] == 67


def test_hours_with_a_value_are_counted_not_values() -> None:
    minutes = [observation(HEART_RATE, m / 60, 80.0) for m in range(1, 121)]
    assert _read(record([admission(), *minutes]), 2.0)["heart_rate.hours"] == 2


def test_context_is_what_was_known_then() -> None:
    facts = [admission(), _moved(0, "ER"), _moved(5, "ICU"), _moved(40, "WARD")]
    patient = record(
        [*facts, person(PersonDetail.SEX, "M"), observation(HEART_RATE, 7, 80.0),
         observation(LACTATE, 2, 1.0), observation(LACTATE, 8, 2.0)]
    )  # fmt: skip
    found = _read(patient, 8)
    assert found["male"] == 1
    assert (found["hours_in_hospital"], found["hours_in_ward"]) == (8, 3)
    assert found["hours_before_ward"] == 5
    assert found["variables"] == 2
    assert found["hours_since_laboratory"] == 0
    assert (found["laboratory_6h"], found["laboratory_24h"]) == (1, 2)
    assert _read(patient, 41)["hours_in_ward"] == 1
    assert "age" not in found


def test_many_patients_are_read_as_each_alone() -> None:
    patients = [
        sick(),
        record([admission()]),
        PatientRecord(),
        record([observation(LACTATE, 1, 2.0)]),
    ]
    asked = [(p, START + h * HOUR) for p in patients for h in (0.5, 9, 20)]
    together = SepsisReader().matrix(asked)
    alone = np.concatenate([SepsisReader().matrix([one]) for one in asked])
    assert np.array_equal(together, alone, equal_nan=True)
    assert SepsisReader().matrix([]).shape == (0, len(FEATURES))


_row = st.tuples(st.sampled_from([HEART_RATE, LACTATE]), st.integers(-4, 70), st.floats(20, 90))


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(_row, max_size=25), seed=st.integers(0, 9), cut=st.integers(-2, 60))
def test_neither_order_nor_the_future_changes_a_feature(
    rows: list[tuple[str, int, float]], seed: int, cut: int
) -> None:
    facts: list[Observation] = [observation(c, h, v) for c, h, v in rows]
    shuffled = [admission(), _moved(30, "ICU"), *facts]
    random.Random(seed).shuffle(shuffled)
    known = [o for o in facts if o.time <= START + cut * HOUR]
    whole, reader = PatientRecord(), SepsisReader()
    for fact in shuffled:  # read in between: what is remembered must follow
        whole.fold_facts([fact])
        reader.matrix([(whole, START + cut * HOUR)])
    past = record([admission(), *([_moved(30, "ICU")] if cut >= 30 else []), *known])
    at = START + cut * HOUR
    assert np.array_equal(
        reader.matrix([(whole, at)]), SepsisReader().matrix([(past, at)]), equal_nan=True
    )


def test_time_is_relative() -> None:
    here = SepsisReader().matrix([(sick(), START + 9 * HOUR)])
    there = SepsisReader().matrix([(sick(START + 7), START + 7 + 9 * HOUR)])
    assert np.allclose(here, there, equal_nan=True, atol=1e-9)


def test_names_are_unique() -> None:
    assert len({f.name for f in FEATURES}) == len({f.display for f in FEATURES}) == len(FEATURES)


def test_scores_count_points_of_what_is_known() -> None:
    """Platelets 90 and creatinine 2.5 after 160 and 1.0: two points each, all of them a rise."""
    known = {
        "heart_rate": 120.0, "temperature": 38.6, "resp_rate": 24.0, "spo2": 93.0, "sbp": 95.0,
        "map": 65.0, "fio2": 40.0, "leukocytes": 14.0, "platelets": 90.0, "creatinine": 2.5,
    }  # fmt: skip
    best = {("platelets", "highest"): 160.0, ("creatinine", "lowest"): 1.0}

    def read(variable: str, statistic: str) -> NDArray[np.float64]:
        value = best.get((variable, statistic), known.get(variable, np.nan))
        return np.array([value, np.nan])

    found = scores(read)
    points = {name: found[0, i] for i, name in enumerate(SCORES)}
    # platelets 2, creatinine 2, mean pressure 1, saturation over oxygen of 232: 2
    assert points["sofa"] == 7
    assert points["sofa_rise"] == 4
    assert points["sirs"] == points["sirs_6h"] == 4
    # breaths 2, saturation 2, pressure 2, pulse 2, temperature 1
    assert points["news"] == points["news_6h"] == 9
    assert not found[1].any()  # nothing is known of the second: no points


def test_the_course_is_against_the_patient_s_own_past() -> None:
    facts = [*(observation(HEART_RATE, h, 80.0) for h in range(20)), admission()]
    facts += [observation(HEART_RATE, h, 120.0) for h in range(20, 24)]
    named = _read(record(facts), 23.5)
    assert named["heart_rate.off"] == pytest.approx(120 - (20 * 80 + 4 * 120) / 24)
    assert named["heart_rate.shift"] == pytest.approx((2 * 80 + 4 * 120) / 6 - (20 * 80 + 480) / 24)
    assert named["heart_rate.rate"] == pytest.approx(24 / 23.5)


def test_a_monitor_that_sends_every_minute_counts_no_more_than_hourly_rounds() -> None:
    hourly = [observation(HEART_RATE, h + 0.5, 80.0) for h in range(6)]
    every = [observation(HEART_RATE, h + m / 10, 80.0) for h in range(6) for m in range(10)]
    counts = [_read(record([admission(), *facts]), 5.9) for facts in (hourly, every)]
    for name in ("vital_hours_3h", "vital_hours_6h", "vital_hours_12h"):
        assert counts[0][name] == counts[1][name]
    assert counts[0]["vital_hours_3h"] == 3
    found = _read(record([admission(), observation(LACTATE, 1, 2.0)]), 5.9)
    assert [found[f"results_{h}h"] for h in (3, 6, 48)] == [0, 1, 1]
