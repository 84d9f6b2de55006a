"""One deadly value among normal ones: nobody is called safe, and the chart speaks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.facts import EncounterEvent, Observation, PersonDetail
from models.bundle import load_bundle, load_risks
from models.critical import LABORATORY, VITAL_SIGNS
from models.record import PatientRecord
from models.risk import RiskModel
from models.variables import BY_NAME
from tests.unit.models.patients import HOUR, START, admission, observation, person, record

NOW = 12.0  # hours in the stay
_HOURLY = {
    "heart_rate": (60, 95), "resp_rate": (12, 20), "temperature": (36.2, 37.6), "spo2": (95, 100),
    "sbp_cuff": (112, 145), "dbp_cuff": (60, 85), "map_cuff": (75, 100), "gcs": (15, 15),
}  # fmt: skip
_SOMETIMES = {
    "sodium": (136, 144), "potassium": (3.6, 4.9), "urea_nitrogen": (8, 20), "ph": (7.36, 7.44),
    "creatinine": (0.6, 1.2), "glucose": (80, 140), "lactate": (0.6, 1.8), "hematocrit": (33, 44),
}  # fmt: skip
_OUTER = {**VITAL_SIGNS, **LABORATORY}

Facts = list[Observation | EncounterEvent | PersonDetail]


@pytest.fixture(scope="module")
def learned() -> RiskModel:
    """The shipped model alone."""
    return load_bundle(None, "deterioration")


@pytest.fixture(scope="module")
def running() -> RiskModel:
    """As it runs: with the rule behind it."""
    (found,) = load_risks(None, ["deterioration"])
    return found


def value(name: str, hour: float, number: float) -> Observation:
    """A value of a variable in its own unit."""
    variable = BY_NAME[name]
    return observation(variable.codes[0], hour, number, unit=variable.unit)


def normal(share: float = 0.5, age: int = 65) -> Facts:
    """Twelve hours of somebody well; `share` says where in the normal ranges."""
    facts: Facts = [admission(), person("sex", "M"), person("birth_year", 2023 - age)]
    for hour in range(12):
        ranges = _HOURLY if hour % 6 else {**_HOURLY, **_SOMETIMES}
        facts += [value(n, hour, low + share * (high - low)) for n, (low, high) in ranges.items()]
    return facts


def ask(model: RiskModel, patient: PatientRecord) -> tuple[str | None, float | None]:
    """Why it is silent, its probability."""
    (answer,) = model.assess([(patient, START + NOW * HOUR + 60)])
    return answer.abstained, answer.probability


def _deadly() -> st.SearchStrategy[tuple[str, float]]:
    """Values in every band, to the ends of what is plausible."""
    ends = []
    for name, (low, high) in _OUTER.items():
        if low is not None:
            below = math.nextafter(low, -math.inf)
            ends.append(st.tuples(st.just(name), st.floats(BY_NAME[name].low, below)))
        if high is not None:
            ends.append(st.tuples(st.just(name), st.floats(high, BY_NAME[name].high)))
    return st.one_of(ends)


@settings(deadline=None, max_examples=100)
@given(deadly=_deadly(), share=st.floats(0, 1), age=st.integers(16, 95))
def test_a_deadly_value_among_normal_ones_is_never_called_safe(
    learned: RiskModel, running: RiskModel, deadly: tuple[str, float], share: float, age: int
) -> None:
    patient = record([*normal(share, age), value(deadly[0], NOW, deadly[1])])
    reason, probability = ask(learned, patient)
    if deadly[0] in VITAL_SIGNS:
        assert reason == "critical_value" or (probability or 0) >= learned.rule.fire
    else:
        assert reason == "critical_value" or (probability or 0) > 0.138
    (answer,) = running.assess([(patient, START + NOW * HOUR + 60)])
    if reason is not None:
        assert answer.fall_back is not None
        assert answer.fall_back.reason == "critical_value"
        # Of high temperature the chart gives two points, which do not trigger.
        if deadly[0] in VITAL_SIGNS and deadly[0] != "temperature":
            assert answer.fall_back.as_if >= running.rule.fire


@settings(deadline=None, max_examples=20)
@given(share=st.floats(0, 1), age=st.integers(16, 95))
def test_who_is_well_is_answered(learned: RiskModel, share: float, age: int) -> None:
    assert ask(learned, record(normal(share, age)))[0] is None


@pytest.mark.parametrize(
    ("name", "number"),
    [(n, b) for n, band in _OUTER.items() for b in band if b is not None],
)
def test_a_band_begins_where_it_says(learned: RiskModel, name: str, number: float) -> None:
    low, _ = _OUTER[name]
    inside = math.nextafter(number, -math.inf) if number == low else number
    outside = number if number == low else math.nextafter(number, -math.inf)
    assert ask(learned, record([*normal(), value(name, NOW, inside)]))[0] == "critical_value"
    assert ask(learned, record([*normal(), value(name, NOW, outside)]))[0] is None


def test_a_vital_sign_counts_for_an_hour(learned: RiskModel) -> None:
    for since, reason in ((0.0, "critical_value"), (0.5, "critical_value"), (1.2, None)):
        patient = record([*normal(), value("spo2", NOW - since, 55.0)])
        patient.fold_facts([value("spo2", NOW + 0.01, 96.0)])
        assert ask(learned, patient)[0] == reason


def test_a_value_counts_for_a_day(learned: RiskModel) -> None:
    potassium = [*normal(), value("potassium", NOW, 8.0)]
    patient = record(potassium)
    for hour, reason in ((23.0, "critical_value"), (25.0, None)):
        patient.fold_facts([value("heart_rate", NOW + hour, 75.0)])
        (answer,) = learned.assess([(patient, START + (NOW + hour) * HOUR)])
        assert answer.abstained in {reason, "too_little_data"}
        assert (answer.abstained == "critical_value") == (reason is not None)


def test_a_result_of_the_laboratory_is_over_with_the_next(learned: RiskModel) -> None:
    patient = record([*normal(), value("potassium", NOW - 0.5, 8.0)])
    assert ask(learned, patient)[0] == "critical_value"
    patient.fold_facts([value("potassium", NOW, 4.1)])
    assert ask(learned, patient)[0] is None


def test_values_to_and_fro_across_an_edge_are_one_emergency(running: RiskModel) -> None:
    """A point that would end the alert of the chart comes an hour after the last low value."""
    minutes = range(5, 60, 5)
    seen = [78.0, 82.0, 79.0, 93.0, 79.5, 97.0, 81.0, 79.0, 88.0, 95.0, 96.0]
    facts = [value("spo2", NOW - 1 + m / 60, s) for m, s in zip(minutes, seen, strict=True)]
    patient = record([*normal(), *facts, value("spo2", NOW + 1, 97.0)])
    points = [(patient, START + (NOW - 1 + m / 60) * HOUR) for m in minutes]
    fire = math.log(running.rule.fire / (1 - running.rule.fire))
    scored = running.log_odds(points)
    assert all(z is None or z >= fire for z in scored)
    assert (scored[0] or 0.0) >= fire
    (after,) = running.log_odds([(patient, START + (NOW + 1) * HOUR)])
    assert after is not None
    assert after < fire


def test_a_value_taken_back_is_over(learned: RiskModel) -> None:
    patient = record([*normal(), value("heart_rate", NOW, 20.0)])
    assert ask(learned, patient)[0] == "critical_value"
    patient.fold_facts([observation("8867-4", NOW, 80.0, status="C", changed=9.0)])
    assert ask(learned, patient)[0] is None


@pytest.mark.parametrize(("later", "reason"), [(0.0, None), (-0.2, None), (0.2, "critical_value")])
def test_of_two_ways_of_measuring_pressure_the_later_counts(
    learned: RiskModel, later: float, reason: str | None
) -> None:
    """Invasive and low, by a cuff and normal: how much later is the former?"""
    at = NOW - 1
    pair = [value("sbp_invasive", at + later, 60.0), value("sbp_cuff", at, 120.0)]
    expected = "critical_value" if later == 0.0 else reason  # the invasive one where they tie
    assert ask(learned, record([*normal(), *pair]))[0] == expected


def test_who_is_ventilated_may_sleep(learned: RiskModel) -> None:
    coma = [*normal(), value("gcs", NOW, 3.0)]
    assert ask(learned, record(coma))[0] == "critical_value"
    asleep = [*coma, observation("20124-4", NOW - 1, "mechanical ventilation")]
    assert ask(learned, record(asleep))[0] is None
    awake = [*asleep, observation("20124-4", NOW - 0.5, "none")]
    assert ask(learned, record(awake))[0] == "critical_value"


@pytest.mark.parametrize(("name", "number"), [("spo2", 55.0), ("potassium", 8.2)])
def test_the_score_names_the_value(running: RiskModel, name: str, number: float) -> None:
    patient = record([*normal(), value(name, NOW, number)])
    (answer,) = running.assess([(patient, START + NOW * HOUR + 60)])
    (one,) = answer.missing.set_aside
    assert (one.feature, one.value, one.reason) == (
        BY_NAME[name].display, number, "critical_value",
    )  # fmt: skip


@pytest.mark.parametrize("number", [3.0, 0.0, 180.0])
def test_a_newest_value_that_cannot_be_is_told_by_whoever_answers(
    learned: RiskModel, running: RiskModel, number: float
) -> None:
    """The older value stands, and nobody has to guess that."""
    patient = record([*normal(), value("spo2", NOW, number)])
    ask_all = [learned, running, load_bundle(None, "news2")]
    for model in ask_all:
        (answer,) = model.assess([(patient, START + NOW * HOUR + 60)])
        (one,) = answer.missing.set_aside
        assert (one.feature, one.value, one.reason) == ("Oxygen saturation", number, "implausible")


def test_a_silent_model_tells_what_it_could_not_use(learned: RiskModel) -> None:
    only = record([admission(), value("heart_rate", NOW, 0.0)])
    (answer,) = learned.assess([(only, START + NOW * HOUR + 60)])
    assert answer.abstained == "no_data"
    assert [one.reason for one in answer.missing.set_aside] == ["implausible"]


@pytest.mark.parametrize(
    ("name", "other", "one", "two"),
    [("spo2", "59408-5", 97.0, 55.0), ("heart_rate", "8889-8", 80.0, 25.0)],
)
def test_of_values_that_contradict_one_another_the_deadly_one_counts(
    running: RiskModel, name: str, other: str, one: float, two: float
) -> None:
    """Two feeds, one time: whichever way round they say it."""
    unit = BY_NAME[name].unit
    for first, second in ((one, two), (two, one)):
        both = [value(name, NOW, first), observation(other, NOW, second, unit=unit)]
        (answer,) = running.assess([(record([*normal(), *both]), START + NOW * HOUR + 60)])
        assert answer.fall_back is not None
        assert answer.fall_back.as_if >= running.rule.fire
        (told,) = answer.missing.set_aside
        assert told.value == two


def test_a_date_of_birth_that_nobody_has_is_none(learned: RiskModel) -> None:
    facts = normal()
    unknown = [f for f in facts if not (isinstance(f, PersonDetail) and f.field == "birth_year")]
    placeholder = [*unknown, person("birth_year", 1800)]
    assert ask(learned, record(placeholder)) == ask(learned, record(unknown))
