"""The shipped models when one of them raises in the middle of its work: nobody else is touched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from connectors.contract import Missing
from connectors.facts import AnyFact, Observation
from models import carried, multimodal_network, series
from models.bundle import load_bundle, load_risks
from models.contained import MODEL_ERROR, Contained, Failure, contain
from models.questions import GLIOMA
from models.record import PatientRecord
from models.risk import Assessment, RiskModel
from models.training.tumours import START as OPERATION
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

POISON = 131.25  # an ordinary heart rate, which the models here are made to fail on
BREATHS = "9279-1"
Told = list[Failure]


def ward() -> list[PatientRecord]:
    """Four patients; the third one is the one."""
    return [
        sick(),
        record([admission(), observation(HEART_RATE, 1, 80.0), observation(LACTATE, 2, 1.0)]),
        sick(),
        record([admission(), observation(HEART_RATE, 3, 95.0), observation(PRESSURE, 3, 100.0)]),
    ]


def later(patients: Sequence[PatientRecord], value: float) -> None:
    """An hour later there is something new of each."""
    for i, one in enumerate(patients):
        new: list[AnyFact] = [observation(PRESSURE, 11, 90.0 + i), observation(BREATHS, 11, 20.0)]
        new.append(observation(HEART_RATE, 11, value if i == 2 else 100.0 + i))
        one.fold_facts(new)


def ask(model: RiskModel, patients: Sequence[PatientRecord], hour: float) -> Any:
    now = START + hour * HOUR
    points = [(one, START + h * HOUR) for one in patients for h in (hour - 1.0, hour)]
    return model.answer([(one, now) for one in patients], points)


def fails_in_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a value is converted: the first thing that is done with it, and shared by models."""
    real = series.canonical

    def canonical(variable: Any, one: Observation) -> Any:
        if one.value == POISON:
            raise ValueError(f"cannot convert {one.value}")
        return real(variable, one)

    monkeypatch.setattr(series, "canonical", canonical)


def fails_in_the_forest(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the seats of all patients are brought up to date: nearly the last thing."""
    real = carried.Carried.__call__

    def call(self: carried.Carried, x: Any, seats: Any) -> Any:
        found = real(self, x, seats)
        if (x == POISON).any():
            raise OverflowError(f"{POISON} is too much")
        return found

    monkeypatch.setattr(carried.Carried, "__call__", call)


def contained(model: RiskModel, told: Told) -> RiskModel:
    return contain(model, lambda part: Contained(part, told.append))


@pytest.mark.parametrize("risk", ["deterioration", "sepsis", "news2"])
@pytest.mark.parametrize("fails", [fails_in_units, fails_in_the_forest])
def test_others_get_the_answers_that_they_would_get(
    risk: str, fails: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    if risk == "news2" and fails is fails_in_the_forest:
        pytest.skip("it has none")
    told: Told = []
    model, patients = contained(load_bundle(None, risk), told), ward()
    ask(model, patients, 10)
    with monkeypatch.context() as patched:
        fails(patched)
        later(patients, POISON)
        found, scored = ask(model, patients, 11)
    good = ward()
    later(good, POISON)
    expected, points = ask(load_bundle(None, risk), good, 11)
    assert [a.abstained for a in found] == [None, None, MODEL_ERROR, None]
    for i in (0, 1, 3):
        assert found[i] == expected[i]
        assert scored[2 * i : 2 * i + 2] == points[2 * i : 2 * i + 2]
    assert scored[5] is None
    (failure,) = told
    assert failure.error in ("ValueError", "OverflowError")
    assert str(POISON) not in repr(failure)
    # What was half done is forgotten: with the error mended, it answers as if nothing had been.
    assert ask(model, patients, 11) == (expected, points)


def test_two_risks_that_share_a_series_both_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second may not take for read what the first has failed to read."""
    patients, found = ward(), []
    models = [contained(load_bundle(None, risk), []) for risk in ("deterioration", "sepsis")]
    for model in models:
        ask(model, patients, 10)
    fails_in_units(monkeypatch)
    later(patients, POISON)
    for model in models:
        found.append([a.abstained for a in ask(model, patients, 11)[0]])
    assert found == [[None, None, MODEL_ERROR, None]] * 2


def test_where_the_model_fails_the_rule_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    told: Told = []
    (model,) = load_risks(None, ["deterioration"])
    model, patients = contained(model, told), ward()
    fails_in_the_forest(monkeypatch)
    later(patients, POISON)
    found, scored = ask(model, patients, 11)
    assert [a.fall_back and a.fall_back.reason for a in found] == [None, None, MODEL_ERROR, None]
    assert found[2].abstained is None and found[2].evidence[0].modality == "news2"
    assert scored[5] is not None
    assert [f.risk for f in told] == ["deterioration"]


def test_a_tumour_model_that_raises_for_one_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    patients = [
        record([
            observation("extent-of-resection", 1, "GTR", unit="", start=OPERATION),
            observation("who-cns-grade", 1, grade, unit="{grade}", start=OPERATION),
        ])
        for grade in (2.0, 3.0, 4.0)
    ]  # fmt: skip
    asked = [(one, OPERATION + 2 * HOUR) for one in patients]
    expected = load_bundle(None, GLIOMA.risk).assess(asked)
    real = multimodal_network.Network.strange

    def strange(self: Any, columns: Any) -> Any:
        if (columns == 4.0).any():
            raise RuntimeError("a grade of 4")
        return real(self, columns)

    monkeypatch.setattr(multimodal_network.Network, "strange", strange)
    told: Told = []
    found = contained(load_bundle(None, GLIOMA.risk), told).assess(asked)
    assert found[:2] == expected[:2]
    assert found[2].abstained == MODEL_ERROR
    (failure,) = told
    assert failure.error == "RuntimeError"
    assert failure.place.startswith("models/multimodal.py:")


class Raising:
    """A model that raises what it is given."""

    risk, digest, codes, expires_s, of_stay = "r", "d", frozenset[str](), 1.0, True
    rule: Any = None

    def __init__(self, error: Exception) -> None:
        self.error = error

    def concerns(self, record: PatientRecord) -> bool:
        raise self.error

    def forget(self, records: Any) -> None:
        """It remembers nobody."""

    def assess(self, patients: Any) -> Any:
        raise self.error

    def log_odds(self, patients: Any) -> Any:
        raise self.error

    def answer(self, patients: Any, points: Any) -> Any:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError("no space left"),
        ImportError("no such library"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_an_error_of_the_machine_is_none_of_a_patient(error: Exception) -> None:
    model = Contained(Raising(error), [].append)
    one = sick()
    with pytest.raises(type(error)):
        model.concerns(one)
    with pytest.raises(type(error)):
        model.assess([(one, START)])


def test_a_model_that_answers_for_somebody_else_too_is_not_believed() -> None:
    class Chatty(Raising):
        def answer(self, patients: Any, points: Any) -> Any:
            missing = Missing(modalities=[], next_datum=None)
            one = Assessment(START, 0.0, (), 0.0, 0.5, None, None, missing)
            return [one] * (len(patients) + 1), []

    told: Told = []
    found = Contained(Chatty(ValueError()), told.append).assess([(sick(), START)])
    assert [a.abstained for a in found] == [MODEL_ERROR]
    assert [f.error for f in told] == ["ValueError"]


def test_when_an_answer_ends_is_the_models_to_say_or_known_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: Told = []
    model = load_bundle(None, "deterioration")
    guarded, now = Contained(model, told.append), START + 12 * HOUR
    patient = sick()
    monkeypatch.setattr(type(model), "expires_at", lambda *_: now + 5.0)
    assert guarded.expires_at(patient, now) == now + 5.0

    def fails(*_: object) -> float:
        raise ValueError("no time")

    monkeypatch.setattr(type(model), "expires_at", fails)
    newest = patient.newest(model.codes, now)
    assert guarded.expires_at(patient, now) == newest + model.expires_s
    assert [failure.error for failure in told] == ["ValueError"]
