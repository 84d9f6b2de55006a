"""What every risk model must hold, learned or not."""

from __future__ import annotations

import itertools
import math
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.facts import PersonDetail
from models.bundle import load_bundle
from models.record import PatientRecord
from models.risk import Assessment, RiskModel
from tests.unit.models.patients import (
    HEART_RATE,
    HOUR,
    LACTATE,
    PRESSURE,
    START,
    WEIGHT,
    admission,
    discharge,
    observation,
    person,
    record,
    sick,
)


@pytest.fixture(scope="module", params=["deterioration", "news2", "sepsis"])
def model(request: pytest.FixtureRequest) -> RiskModel:
    """Every shipped bundle that concerns everybody."""
    return load_bundle(None, request.param)


@pytest.fixture(scope="module", params=["deterioration", "sepsis"])
def learned(request: pytest.FixtureRequest) -> RiskModel:
    """The learned models of the health record."""
    return load_bundle(None, request.param)


def _ward() -> list[tuple[PatientRecord, float]]:
    few = record([observation(HEART_RATE, 0, 80.0)])
    stays = [(sick(), START + h * HOUR) for h in (0.0, 0.5, 5.0, 9.0, 20.0)]
    return [*stays, (PatientRecord(), START), (few, START), (few, START + 100 * HOUR)]


def _bytes(answers: list[Assessment]) -> bytes:
    return msgspec.json.encode(answers)


def test_a_batch_of_one_equals_a_batch_of_many(model: RiskModel) -> None:
    ward = _ward()
    alone = [model.assess([pair])[0] for pair in ward]
    assert _bytes(model.assess(ward)) == _bytes(alone)
    assert model.log_odds(ward) == [a.log_odds for a in alone]


def test_answers_follow_the_order_of_the_batch(model: RiskModel) -> None:
    ward = _ward() * 4
    order = list(range(len(ward)))
    random.Random(3).shuffle(order)
    straight = model.assess(ward)
    assert _bytes(model.assess([ward[i] for i in order])) == _bytes([straight[i] for i in order])


def test_the_same_question_gets_the_same_answer_from_a_new_model(model: RiskModel) -> None:
    again = load_bundle(None, model.risk)
    assert again.digest == model.digest
    assert _bytes(again.assess(_ward())) == _bytes(model.assess(_ward()))


def test_printed_figures_add_up(model: RiskModel) -> None:
    for answer in model.assess(_ward()):
        if answer.log_odds is None or answer.probability is None or answer.interval is None:
            continue
        llrs = sum(e.llr for e in answer.evidence)
        assert round(answer.baseline + llrs, 6) == answer.log_odds
        assert answer.probability == pytest.approx(1 / (1 + math.exp(-answer.log_odds)), abs=1e-6)
        low, high = answer.interval
        assert 0 <= low <= answer.probability <= high <= 1
        for evidence in answer.evidence:
            parts = sum(c.contribution for c in evidence.top)
            assert round(parts, 6) == evidence.llr


def test_an_answer_is_a_number_or_a_reason(model: RiskModel) -> None:
    for answer in model.assess(_ward()):
        assert (answer.log_odds is None) == (answer.abstained is not None)
        if answer.log_odds is not None:
            assert math.isfinite(answer.log_odds)


def test_an_empty_batch_is_answered(model: RiskModel) -> None:
    assert model.assess([]) == []
    assert model.log_odds([]) == []


def test_the_first_observation_gives_a_score(model: RiskModel) -> None:
    answer = model.assess([(record([observation(HEART_RATE, 0, 80.0)]), START)])[0]
    assert answer.log_odds is not None


@pytest.mark.parametrize(
    ("facts", "hour", "reason"),
    [
        ([], 0, "no_data"),
        ([admission()], 1, "no_data"),
        ([admission(), observation(HEART_RATE, 1, 0.0)], 2, "no_data"),
        ([admission(), observation(HEART_RATE, 0, 80.0)], 40, "stale_data"),
        ([admission(), observation(HEART_RATE, 0, 80.0)], 90, "stale_data"),
        ([admission(5), observation(HEART_RATE, 0, 80.0)], 1, "not_present"),
        ([admission(), observation(HEART_RATE, 0, 80.0), discharge(2)], 3, "not_present"),
        (
            [observation(HEART_RATE, 0, 80.0), person(PersonDetail.DIED_AT, START + HOUR)],
            2,
            "not_present",
        ),
    ],
)
def test_abstentions_name_their_reason(
    learned: RiskModel, facts: list[object], hour: float, reason: str
) -> None:
    patient = record(facts)  # type: ignore[arg-type]
    answer = learned.assess([(patient, START + hour * HOUR)])[0]
    assert answer.abstained == reason
    assert answer.evidence == ()
    assert learned.log_odds([(patient, START + hour * HOUR)]) == [None]


def test_body_measures_alone_give_no_score(learned: RiskModel) -> None:
    patient = record([admission(), observation(WEIGHT, 0, 80.0)])
    reads = WEIGHT in learned.codes
    (answer,) = learned.assess([(patient, START + HOUR)])
    assert answer.abstained == ("too_little_data" if reads else "no_data")


_later = st.tuples(
    st.sampled_from([HEART_RATE, LACTATE, PRESSURE]), st.floats(9.01, 60), st.floats(0, 200)
)


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(_later, max_size=15))
def test_the_future_does_not_change_a_score(
    model: RiskModel, rows: list[tuple[str, float, float]]
) -> None:
    as_of = START + 9 * HOUR
    before = model.assess([(sick(), as_of)])
    patient = sick()
    patient.fold_facts(observation(c, round(h, 3), v) for c, h, v in rows)
    assert _bytes(model.assess([(patient, as_of)])) == _bytes(before)


def test_reasons_are_stable_and_ordered_by_weight(learned: RiskModel) -> None:
    answer = learned.assess([(sick(), START + 9 * HOUR)])[0]
    weights = [abs(c.contribution) for c in answer.evidence[0].top[:-1]]
    assert all(a >= b for a, b in itertools.pairwise(weights))
    assert answer.missing.next_datum is not None
    assert "Potassium" in answer.missing.features


def test_worse_is_higher(model: RiskModel) -> None:
    calm = record([admission(), *(observation(HEART_RATE, h, 80.0) for h in range(10))])
    well, ill = model.log_odds([(calm, START + 9 * HOUR), (sick(), START + 9 * HOUR)])
    assert well is not None
    assert ill is not None
    assert ill > well
