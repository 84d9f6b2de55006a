"""NEWS2 answers where the learned model does not, says so, and alerts by its own triggers."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.facts import PersonDetail
from models.bundle import load_bundle, load_risks
from models.record import PatientRecord
from models.risk import RiskModel
from models.rule import SHIPPED, shipped_rules
from tests.unit.models.patients import HOUR, START, admission, observation, person, record

NOW = START + 30 * HOUR
PULSE, BREATHS, CONSCIOUSNESS = "8867-4", "9279-1", "80288-4"


def sparse(pulse: float, breaths: float = 16.0, born: int = 1950) -> PatientRecord:
    """Two parameters after a day: too few for the learned model to call anybody safe."""
    return record(
        [
            admission(),
            person(PersonDetail.BIRTH_YEAR, born),
            *(observation(PULSE, h, pulse) for h in (2, 29)),
            *(observation(BREATHS, h, breaths, unit="/min") for h in (2, 29)),
        ]
    )


@pytest.fixture(scope="module")
def learned() -> RiskModel:
    return load_bundle(None, "deterioration")


@pytest.fixture(scope="module")
def rule() -> RiskModel:
    return load_bundle(None, "news2")


@pytest.fixture(scope="module")
def model() -> RiskModel:
    return load_risks(None, ["deterioration"])[0]


def test_the_rule_answers_in_the_model_s_place_and_says_so(
    model: RiskModel, learned: RiskModel, rule: RiskModel
) -> None:
    question = [(sparse(70.0), NOW)]
    (silent,), (stands_in,), (alone,) = (m.assess(question) for m in (learned, model, rule))
    assert silent.abstained == "too_little_data"
    assert (stands_in.probability, stands_in.interval) == (alone.probability, alone.interval)
    assert stands_in.evidence == alone.evidence
    assert stands_in.abstained is None
    told = stands_in.fall_back
    assert told is not None
    assert (told.risk, told.model, told.reason) == ("news2", rule.digest, "too_little_data")
    assert told.version == rule.rule.version


def test_where_the_model_answers_nothing_changes(model: RiskModel, learned: RiskModel) -> None:
    facts = sparse(70.0)
    early = [(facts, START + 3 * HOUR)]
    assert model.assess(early) == learned.assess(early)
    assert model.log_odds(early) == learned.log_odds(early)
    assert model.digest == learned.digest


@pytest.mark.parametrize(
    ("pulse", "breaths", "level"),
    [(70.0, 16.0, "quiet"), (70.0, 26.0, "warning"), (135.0, 26.0, "warning"), (135.0, 7.0, "any")],
)
def test_its_triggers_are_those_of_the_chart(
    model: RiskModel, rule: RiskModel, pulse: float, breaths: float, level: str
) -> None:
    """3 points in one parameter warn; the thresholds that decide are the risk's."""
    question = [(sparse(pulse, breaths), NOW)]
    (answer,), (alone,) = model.assess(question), rule.assess(question)
    if answer.fall_back is None:  # the model itself warns
        assert level != "quiet"
        return
    assert alone.probability is not None
    fired = [
        (alone.probability >= own, answer.fall_back.as_if >= shared)
        for own, shared in (
            (rule.rule.fire, model.rule.fire),
            (rule.rule.critical, model.rule.critical),
        )
    ]
    assert all(own == shared for own, shared in fired)
    assert (level == "quiet") == (not fired[0][0])
    (point,) = model.log_odds(question)
    assert point is not None


def test_nobody_answers_for_who_is_away_or_a_child(model: RiskModel) -> None:
    gone = record([admission(5), observation(PULSE, 0, 80.0)])
    child = sparse(70.0, born=2018)
    away, young = model.assess([(gone, START + HOUR), (child, NOW)])
    assert (away.abstained, away.fall_back) == ("not_present", None)
    assert young.abstained is not None
    assert young.fall_back is None
    assert model.log_odds([(gone, START + HOUR), (child, NOW)]) == [None, None]


def test_a_batch_keeps_its_order(model: RiskModel) -> None:
    ward = [(sparse(70.0), NOW), (sparse(70.0), START + 3 * HOUR), (PatientRecord(), NOW)] * 3
    alone = [model.assess([pair])[0] for pair in ward]
    assert model.assess(ward) == alone
    assert model.log_odds(ward) == [model.log_odds([pair])[0] for pair in ward]
    assert [a.fall_back is None for a in alone] == [False, True, True] * 3


def test_a_folder_of_bundles_without_the_rule_gets_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "deterioration").symlink_to(SHIPPED / "deterioration")
    (model,) = load_risks(tmp_path, ["deterioration"])
    assert model.assess([(sparse(70.0), NOW)])[0].fall_back is not None
    assert model.rule.fire == shipped_rules(None, ["deterioration"])["deterioration"].value


def test_the_rule_raises_an_alert_beside_a_critical_value_and_ends_none(model: RiskModel) -> None:
    """The chart reads neither the laboratory nor how high a fever is."""
    vitals = [(PULSE, 75.0, "/min"), (BREATHS, 16.0, "/min"), ("76534-7", 125.0, "mm[Hg]")]
    well = [
        admission(),
        person(PersonDetail.BIRTH_YEAR, 1950),
        *(observation(c, h, v, unit=u) for c, v, u in vitals for h in (1, 6, 11)),
    ]
    now = START + 12 * HOUR
    potassium = observation("2823-3", 11, 8.0, unit="mmol/L")
    question = [(record([*well, potassium]), now)]
    (answer,) = model.assess(question)
    assert answer.fall_back is not None
    assert answer.fall_back.reason == "critical_value"
    assert answer.fall_back.as_if < model.rule.clear
    assert model.log_odds(question) == [None]
    ill = [*well, potassium, observation(BREATHS, 11.5, 38.0, unit="/min")]
    (warned,) = model.log_odds([(record(ill), now)])
    assert warned is not None
    assert 1 / (1 + 2.718281828**-warned) >= model.rule.fire
