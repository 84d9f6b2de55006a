"""A patient unlike the training patients is warned of, and never called safe."""

from __future__ import annotations

import pytest

from connectors.hl7.interpret import interpret
from connectors.identity import IdentityKey
from connectors.interpretation import Profile
from models.bundle import load_bundle
from models.record import PatientRecord
from models.risk import RiskModel
from tests.acceptance.system import DYING, WELL, admission, results

NOW = 1_767_268_800.0


@pytest.fixture(scope="module")
def model() -> RiskModel:
    return load_bundle(None, "deterioration")


def record(values: dict[str, float], birth_year: str = "1948") -> PatientRecord:
    found = PatientRecord()
    for raw in (admission("1", NOW - 7_200), *(results("1", NOW - t, values) for t in (3_600, 60))):
        said = raw.replace(b"19480101", f"{birth_year}0101".encode())
        found.fold_facts(interpret(said, NOW, IdentityKey(bytes(32)), Profile()).facts)
    return found


def test_values_that_only_the_dying_have_are_no_reason_to_be_silent(model: RiskModel) -> None:
    (answer,) = model.assess([(record(DYING), NOW)])
    assert answer.abstained is None
    assert answer.probability is not None
    assert answer.probability >= model.rule.fire
    assert model.log_odds([(record(DYING), NOW)]) == [answer.log_odds]


def test_a_stranger_is_not_called_safe(model: RiskModel) -> None:
    """A child: younger than all whom the model was trained on."""
    adult, child = record(WELL), record(WELL, birth_year="2018")
    known, strange = model.assess([(adult, NOW), (child, NOW)])
    assert known.abstained is None
    assert (strange.abstained, strange.log_odds) == ("out_of_distribution", None)
    assert model.log_odds([(child, NOW), (adult, NOW)]) == [None, known.log_odds]
