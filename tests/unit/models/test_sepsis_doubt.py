"""Sepsis: no child is answered, and nobody is called safe beside a deadly or a strange value."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors.facts import EncounterEvent, Observation, PersonDetail
from models.bundle import load_bundle
from models.record import PatientRecord
from models.risk import Assessment, RiskModel
from models.sepsis_variables import CRITICAL, SEPSIS_CATALOGUE
from tests.unit.models.patients import HOUR, START, admission, observation, person, record

NOW = 30.0  # hours in the stay
_VARIABLES = {v.name: v for v in SEPSIS_CATALOGUE}
_HOURLY = {
    "heart_rate": (65, 90), "resp_rate": (12, 19), "temperature": (36.4, 37.4), "spo2": (95, 99),
    "sbp": (112, 140), "dbp": (60, 80), "map": (76, 98),
}  # fmt: skip
_DAILY = {
    "potassium": (3.7, 4.6), "urea_nitrogen": (9, 18), "creatinine": (0.6, 1.1),
    "glucose": (85, 135), "leukocytes": (5, 10), "platelets": (170, 320), "hematocrit": (34, 43),
}  # fmt: skip

Facts = list[Observation | EncounterEvent | PersonDetail]


@pytest.fixture(scope="module")
def model() -> RiskModel:
    return load_bundle(None, "sepsis")


def value(name: str, hour: float, number: float) -> Observation:
    """A value of a variable in its own unit."""
    variable = _VARIABLES[name]
    return observation(variable.codes[0], hour, number, unit=variable.unit)


def normal(share: float = 0.5, age: int | None = 65) -> Facts:
    """Thirty hours of somebody well; `share` says where in the normal ranges."""
    facts: Facts = [admission(-20), person("sex", "M")]
    if age is not None:
        facts.append(person("birth_year", 2023 - age))
    for hour in range(int(NOW)):
        ranges = _HOURLY if hour % 12 else {**_HOURLY, **_DAILY}
        facts += [value(n, hour, low + share * (high - low)) for n, (low, high) in ranges.items()]
    return facts


def ask(model: RiskModel, patient: PatientRecord) -> Assessment:
    (answer,) = model.assess([(patient, START + NOW * HOUR)])
    assert model.log_odds([(patient, START + NOW * HOUR)]) == [answer.log_odds]
    return answer


def _values() -> st.SearchStrategy[tuple[str, float]]:
    """Any plausible value of any variable."""
    each = [st.tuples(st.just(v.name), st.floats(v.low, v.high)) for v in SEPSIS_CATALOGUE]
    return st.one_of(each)


def _deadly() -> st.SearchStrategy[tuple[str, float]]:
    """Values in every band, to the ends of what is plausible."""
    ends = []
    for name, (low, high) in CRITICAL.items():
        if low is not None:
            below = math.nextafter(low, -math.inf)
            ends.append(st.tuples(st.just(name), st.floats(_VARIABLES[name].low, below)))
        if high is not None:
            ends.append(st.tuples(st.just(name), st.floats(high, _VARIABLES[name].high)))
    return st.one_of(ends)


@settings(deadline=None, max_examples=40)
@given(age=st.integers(0, 17), values=st.lists(_values(), max_size=8), share=st.floats(0, 1))
def test_no_child_is_answered(
    model: RiskModel, age: int, values: list[tuple[str, float]], share: float
) -> None:
    """Neither reassured nor warned of: an age is no sign of illness."""
    now = [value(name, NOW, number) for name, number in values]
    answer = ask(model, record([*normal(share, age), *now]))
    assert (answer.abstained, answer.evidence) == ("out_of_distribution", ())


@settings(deadline=None, max_examples=10)
@given(share=st.floats(0, 1), age=st.one_of(st.integers(19, 95), st.none()))
def test_who_is_well_and_grown_up_is_answered(
    model: RiskModel, share: float, age: int | None
) -> None:
    assert ask(model, record(normal(share, age))).abstained is None


def test_of_a_child_of_whom_nothing_is_known_that_is_said(model: RiskModel) -> None:
    assert ask(model, record([admission(), person("birth_year", 2015)])).abstained == "no_data"


@settings(deadline=None, max_examples=50)
@given(deadly=_deadly(), share=st.floats(0, 1), age=st.integers(19, 95))
def test_a_deadly_value_among_normal_ones_is_never_called_safe(
    model: RiskModel, deadly: tuple[str, float], share: float, age: int
) -> None:
    name, number = deadly
    answer = ask(model, record([*normal(share, age), value(name, NOW, number)]))
    if answer.log_odds is not None:
        assert answer.log_odds > answer.baseline
        return
    assert answer.abstained == "critical_value"
    (aside,) = answer.missing.set_aside
    assert (aside.feature, aside.value, aside.reason) == (
        _VARIABLES[name].display, number, "critical_value",
    )  # fmt: skip


def test_it_is_over_with_the_next_value(model: RiskModel) -> None:
    patient = record([*normal(), value("spo2", NOW - 0.5, 55.0)])
    assert ask(model, patient).abstained == "critical_value"
    patient.fold_facts([value("spo2", NOW, 97.0)])
    assert ask(model, patient).abstained is None


def test_values_unlike_anybody_s_are_never_called_safe(model: RiskModel) -> None:
    """None of them deadly by itself, together in nobody."""
    strange = {
        "calcium": 16.0, "phosphate": 0.4, "magnesium": 6.0, "chloride": 130.0, "hemoglobin": 19.0,
        "hematocrit": 24.0, "bicarbonate": 42.0, "base_excess": -20.0, "platelets": 950.0,
    }  # fmt: skip
    answer = ask(model, record([*normal(), *(value(n, NOW, v) for n, v in strange.items())]))
    assert answer.abstained == "out_of_distribution"


def test_a_newest_value_that_no_body_can_have_is_named(model: RiskModel) -> None:
    """What was measured before it stands."""
    answer = ask(model, record([*normal(), value("heart_rate", NOW, 0.0)]))
    assert answer.log_odds == ask(model, record(normal())).log_odds
    (aside,) = answer.missing.set_aside
    assert (aside.feature, aside.value, aside.reason) == ("Heart rate", 0.0, "implausible")


def test_the_sickest_are_warned_of(model: RiskModel) -> None:
    dying = {
        "heart_rate": 150.0, "resp_rate": 38.0, "temperature": 39.9, "spo2": 78.0, "sbp": 62.0,
        "map": 41.0, "lactate": 12.0, "ph": 7.05, "creatinine": 4.0, "leukocytes": 31.0,
        "platelets": 25.0, "bilirubin": 9.0,
    }  # fmt: skip
    course = [value(n, NOW - h, v) for n, v in dying.items() for h in (3.0, 2.0, 1.0, 0.0)]
    answer = ask(model, record([*normal(), *course]))
    assert answer.log_odds is not None
    assert answer.log_odds > answer.baseline


@pytest.mark.parametrize(
    ("name", "deadly", "fine"),
    [("spo2", 60.0, 98.0), ("potassium", 2.0, 4.0), ("potassium", 8.0, 4.0), ("ph", 6.9, 7.4)],
)
def test_of_two_values_of_one_time_either_may_be_true(
    model: RiskModel, name: str, deadly: float, fine: float
) -> None:
    both = [value(name, NOW - 0.1, number) for number in (deadly, fine)]
    both = [replace(one, id=f"{one.id}/{feed}") for feed, one in enumerate(both)]
    answer = ask(model, record([*normal(), *both]))
    assert answer.abstained == "critical_value"
    assert [(one.value, one.reason) for one in answer.missing.set_aside] == [
        (deadly, "critical_value")
    ]
    later = record([*normal(), *both, value(name, NOW - 0.05, fine)])
    assert ask(model, later).abstained is None
