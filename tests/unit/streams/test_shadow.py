"""Bundles on trial: their scores are recorded beside the active ones, and nothing follows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from connectors import contract
from connectors.contract import FallBack, LogPosition, Score
from connectors.facts import FactRecord
from connectors.feedback import Action, Feedback, Outcome
from models.bundle import BundleError, load_bundle, load_folder, read, write
from models.multimodal import MultimodalModel
from models.patient import Patient
from models.questions import GLIOMA
from models.rule import DESCRIPTION, SHIPPED
from streams import comparing, comparing_page
from streams.engine import Effects, Engine
from streams.partition import to_outputs
from streams.passes import Encoded
from streams.state import PatientState
from tests.unit.streams.test_concerned_patients import said

RESULTS = [
    said("extent-of-resection", "STR", 2),
    said("who-cns-grade", 4.0, 7, unit="{grade}"),
    said("idh-status", "wildtype", 14),
    said("mgmt-methylation", "methylated", 15),
]


def trained_otherwise(folder: Path) -> Path:
    """The shipped bundle with a higher baseline, as another training run might give it."""
    bundle = read(SHIPPED / GLIOMA.risk, GLIOMA.risk)
    answers = bundle.answers | {"baseline": bundle.answers["baseline"] + 0.5}
    write(folder, dataclasses.replace(bundle, answers=answers))
    return folder


def applied(engine: Engine) -> list[Effects]:
    states = {"p-1": PatientState(Patient("p-1"))}
    return [
        engine.apply(
            states,
            FactRecord(messages=[message]),
            LogPosition(topic="tocsin.facts", partition=0, offset=offset),
        )
        for offset, message in enumerate(RESULTS)
    ]


@pytest.fixture(scope="module")
def effects(tmp_path_factory: pytest.TempPathFactory) -> list[Effects]:
    shadow = load_folder(trained_otherwise(tmp_path_factory.mktemp("shadow") / "b"))
    assert isinstance(shadow, MultimodalModel)
    return applied(Engine([load_bundle(None, GLIOMA.risk)], [shadow]))


def of(effects: Sequence[Effects]) -> tuple[list[Score], list[Score]]:
    active = [s for one in effects for s in one.scores]
    return active, [s for one in effects for s in one.shadows]


def test_each_score_has_one_in_shadow(effects: list[Effects]) -> None:
    active, shadow = of(effects)
    assert len(active) == len(shadow) == len(RESULTS)
    for one, other in zip(active, shadow, strict=True):
        assert (one.log, one.as_of, one.shadow, other.shadow) == (
            other.log,
            other.as_of,
            False,
            True,
        )
        assert one.log_odds is not None and other.log_odds is not None
        assert other.log_odds == pytest.approx(one.log_odds + 0.5)
        assert other.model != one.model


def test_nothing_else_follows_from_a_shadow(effects: list[Effects]) -> None:
    alone = applied(Engine([load_bundle(None, GLIOMA.risk)]))
    for one, other in zip(effects, alone, strict=True):
        assert one.alerts == other.alerts
        assert one.due == other.due
        assert [contract.encode(s) for s in one.scores] == [
            contract.encode(s) for s in other.scores
        ]


def test_both_are_told_and_the_marker_is_read_from_the_bytes(effects: list[Effects]) -> None:
    told = [
        o.value
        for one in effects
        for o in to_outputs(Encoded.of(one))
        if o.topic == "tocsin.scores"
    ]
    assert [contract.is_shadow(raw) for raw in told] == [False, True] * len(RESULTS)
    assert [contract.decode_score(raw).shadow for raw in told] == [False, True] * len(RESULTS)
    assert b"shadow" not in told[0], "active scores have the bytes that they always had"


def test_a_folder_that_is_no_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=str(tmp_path)):
        load_folder(tmp_path)
    (tmp_path / DESCRIPTION).write_text("[]")
    with pytest.raises(BundleError, match=str(tmp_path)):
        load_folder(tmp_path)


def test_pairs_are_found_whatever_the_order_and_however_often_told(effects: list[Effects]) -> None:
    active, shadow = of(effects)
    for scores in ([*active, *shadow], [*shadow, *active, *active], [*active, *shadow, *shadow]):
        (trial,) = comparing.trials(scores)
        assert len(trial.pairs) == len(RESULTS)
        assert [a.log_odds for a, _ in trial.pairs] == [s.log_odds for s in active]
        assert [s.log_odds for _, s in trial.pairs] == [s.log_odds for s in shadow]
    assert comparing.trials(active) == []


def test_the_report_says_how_far_they_are_apart(effects: list[Effects]) -> None:
    active, shadow = of(effects)
    (trial,) = comparing.trials([*active, *shadow])
    found = comparing.report(trial, 0.5, {})
    assert (found["scores"], found["patients"], found["both_scored"]) == (4, 1, 4)
    assert found["log_odds_difference"]["mean"] == pytest.approx(0.5)
    assert found["correlation"] == pytest.approx(1.0)
    total = sum(found[f"above_{k}"] for k in ("both", "active_only", "shadow_only", "neither"))
    assert total == 4
    assert found["outcomes"]["patients"] == 0


def test_what_a_rule_says_in_the_place_of_a_model_is_not_compared(effects: list[Effects]) -> None:
    """Its log-odds are another question's."""
    active, shadow = of(effects)
    rule = FallBack(risk="news2", version="1", model="d", reason="out_of_distribution", as_if=0.1)
    spoken = [replace(active[0], fall_back=rule), *active[1:]]
    (trial,) = comparing.trials([*spoken, *shadow])
    found = comparing.report(trial, 0.5, {})
    assert (found["scores"], found["both_scored"]) == (4, 3)
    assert found["abstained"] == {"active": 1, "shadow": 0}


def test_a_comparison_is_in_words_and_in_a_picture(effects: list[Effects]) -> None:
    active, shadow = of(effects)
    (trial,) = comparing.trials([*active, *shadow])
    found = comparing.report(trial, 0.5, {})
    said = dict(comparing_page.rows(found))
    assert said["Records scored by both"] == "4 of 1 patients"
    assert said["Log-odds, on trial − active"].startswith("+0.5 on average")
    page = comparing_page.page([(trial, found)])
    assert page.startswith("<!doctype html>")
    assert page.count("<circle") == len(RESULTS)
    assert "http" not in page
    nothing = comparing.report(comparing.Trial("r", "a", "b"), 0.5, {})
    assert len(comparing_page.rows(nothing)) == 3
    assert "<svg" not in comparing_page.page([(comparing.Trial("r", "a", "b"), nothing)])


def action(patient: str, outcome: Outcome, at: float) -> Feedback:
    return Feedback(
        id=f"{patient}-{at}",
        patient=patient,
        alert_id="a",
        risk=GLIOMA.risk,
        revision=1,
        action=Action.OUTCOME,
        at=at,
        who="somebody",
        outcome=outcome,
    )


def test_outcomes_judge_both(effects: list[Effects]) -> None:
    active, shadow = of(effects)
    scores = []
    for n in range(12):
        for one in (active[n % 4], shadow[n % 4]):
            scores.append(of_patient(one, f"p-{n}"))
    (trial,) = comparing.trials(scores)
    actions = [
        action(f"p-{n}", Outcome.EVENT if n % 4 > 1 else Outcome.NO_EVENT, 5.0) for n in range(12)
    ]
    known = comparing.outcomes([action("p-0", Outcome.EVENT, 1.0), *actions])
    assert known["p-0", GLIOMA.risk] == 0, "the newest word counts"
    judged = comparing.report(trial, 0.5, known)["outcomes"]
    assert (judged["patients"], judged["events"]) == (12, 6)
    assert judged["shadow"]["predicted"] > judged["active"]["predicted"]
    assert judged["active"]["auroc"] == judged["shadow"]["auroc"]
    assert comparing.outcomes([action("p", Outcome.UNKNOWN, 1.0)]) == {}


def of_patient(score: Score, patient: str) -> Score:
    return contract.decode_score(contract.encode(score).replace(b'"p-1"', f'"{patient}"'.encode()))
