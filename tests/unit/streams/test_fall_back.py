"""Where the model of deterioration is silent, NEWS2 scores and alerts in its place."""

from __future__ import annotations

import pytest

from connectors.clock import iso
from connectors.contract import AlertState, LogPosition, Severity, decode_score, encode
from connectors.facts import AnyFact, FactRecord, MessageFacts
from models.bundle import load_risks
from models.patient import Patient
from streams.engine import Effects, Engine
from streams.state import PatientState
from tests.unit.models.patients import HOUR, START, admission, observation

PULSE, BREATHS = "8867-4", "9279-1"
DAY = 30.0  # hours: the model wants to know more by then


def message(hour: float, *facts: AnyFact) -> MessageFacts:
    at = START + hour * HOUR
    return MessageFacts(patient="p-1", sent=at, heard=at, wire="w/0/0", facts=list(facts))


@pytest.fixture(scope="module")
def effects() -> list[Effects]:
    engine = Engine(load_risks(None, ["deterioration"]))
    states = {"p-1": PatientState(Patient("p-1"))}
    story = [
        message(1, admission(), observation(PULSE, 1, 70.0)),
        message(DAY, observation(PULSE, DAY, 70.0)),
        message(DAY + 1, observation(BREATHS, DAY + 1, 26.0, unit="/min")),
        message(DAY + 2, observation(BREATHS, DAY + 2, 14.0, unit="/min")),
    ]
    return [
        engine.apply(
            states,
            FactRecord(messages=[one]),
            LogPosition(topic="tocsin.facts", partition=0, offset=offset),
        )
        for offset, one in enumerate(story)
    ]


def test_a_score_says_who_speaks_and_why(effects: list[Effects]) -> None:
    scores = [one.scores[0] for one in effects]
    assert [s.silence for s in scores] == ["", *["too_little_data"] * 3]
    for score in scores[1:]:
        assert score.abstained is None
        assert score.probability is not None
        assert [e.modality for e in score.evidence] == ["news2"]
        assert decode_score(encode(score)) == score
        assert score.fall_back is not None
        assert score.fall_back.model != score.model


def test_the_chart_s_trigger_raises_and_ends_the_risk_s_alert(effects: list[Effects]) -> None:
    told = [one.alerts for one in effects]
    assert [len(alerts) for alerts in told] == [0, 0, 1, 1]
    (raised,), (ended,) = told[2:]
    assert (raised.risk, raised.state, raised.severity) == (
        "deterioration", AlertState.FIRING, Severity.WARNING,
    )  # fmt: skip
    assert raised.at == iso(START + (DAY + 1) * HOUR)
    assert raised.score.fall_back is not None
    assert raised.score.fall_back.as_if >= raised.threshold.value
    assert ended.alert_id == raised.alert_id
    assert ended.state is AlertState.RESOLVED
