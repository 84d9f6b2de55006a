"""A risk that concerns few patients: the others have no score of it, and no state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectors.contract import Alert, AlertReason, AlertState, LogPosition, Score
from connectors.facts import FactRecord, MessageFacts, Observation
from models.bundle import load_bundle
from models.inputs import DAY_S
from models.patient import Patient
from models.questions import GLIOMA
from models.training.tumours import START
from streams.engine import Effects, Engine
from streams.state import PatientState

ENGINE = Engine([load_bundle(None, GLIOMA.risk)])
HEART_RATE = "8867-4"


def said(
    code: str,
    value: float | str,
    day: float,
    *,
    unit: str = "",
    order: str = "",
    removed: bool = False,
    sent: float | None = None,
) -> MessageFacts:
    """One result, reported on a day (`sent`: later)."""
    at = START + day * DAY_S
    heard = at if sent is None else START + sent * DAY_S
    fact = Observation(
        id=order or f"{code}-{day}",
        rank=(1, heard, int(removed), ""),
        removed=removed,
        code=code,
        system="99TCS",
        time=at,
        status="D" if removed else "F",
        value=None if removed else value,
        unit=unit,
    )
    return MessageFacts(patient="p-1", sent=heard, heard=heard, wire="w/0/0", facts=[fact])


def applied(messages: Sequence[MessageFacts]) -> list[Effects]:
    states: Mapping[str, PatientState] = {"p-1": PatientState(Patient("p-1"))}
    return [
        ENGINE.apply(
            states,
            FactRecord(messages=[message]),
            LogPosition(topic="tocsin.facts", partition=0, offset=offset),
        )
        for offset, message in enumerate(messages)
    ]


def scores(effects: Sequence[Effects]) -> list[Score]:
    return [score for one in effects for score in one.scores]


def alerts(effects: Sequence[Effects]) -> list[Alert]:
    return [alert for one in effects for alert in one.alerts]


def test_nobody_is_asked_about_a_tumour_that_nobody_spoke_of() -> None:
    effects = applied([said(HEART_RATE, 90.0, day, unit="/min") for day in range(3)])
    assert scores(effects) == []


def test_evidence_arrives_modality_by_modality() -> None:
    found = scores(
        applied(
            [
                said("radiomics-firstorder_Mean-ADC", 0.001, 0, unit="mm2/s"),
                said("extent-of-resection", "biopsy", 2),
                said("idh-status", "wildtype", 14),
            ]
        )
    )
    assert [[e.modality for e in s.evidence] for s in found] == [
        ["imaging"],
        ["ehr", "imaging"],
        ["ehr", "genomics"],
    ]
    for score in found:
        assert score.log_odds is not None
        total = score.baseline + sum(e.llr for e in score.evidence)
        assert abs(total - score.log_odds) < 1e-9


def test_a_withdrawn_result_withdraws_the_alert_it_carried() -> None:
    told = alerts(
        applied(
            [
                said("extent-of-resection", "biopsy", 2, order="op"),
                said("who-cns-grade", 4.0, 7, unit="{grade}", order="grade"),
                said("who-cns-grade", 4.0, 7, order="grade", removed=True, sent=8),
                said("extent-of-resection", "biopsy", 2, order="op", removed=True, sent=9),
            ]
        )
    )
    assert [a.state for a in told] == [AlertState.FIRING, AlertState.WITHDRAWN]
    assert told[-1].reason is AlertReason.DATA_CHANGED


def test_when_nothing_speaks_of_a_tumour_any_more_the_score_says_so() -> None:
    found = scores(
        applied(
            [
                said("extent-of-resection", "biopsy", 2, order="op"),
                said("extent-of-resection", "biopsy", 2, order="op", removed=True, sent=3),
                said(HEART_RATE, 80.0, 4, unit="/min"),
            ]
        )
    )
    assert [s.abstained for s in found] == [None, "not_eligible", "not_eligible"]
