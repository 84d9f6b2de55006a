"""Bundles on trial: their scores are recorded beside the active ones, and nothing follows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
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
from streams import compared, comparing, comparing_page
from streams.comparing import Comparison, Trial
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


def trained_otherwise(folder: Path, more: float = 0.5) -> Path:
    """The shipped bundle with a higher baseline, as another training run might give it."""
    bundle = read(SHIPPED / GLIOMA.risk, GLIOMA.risk)
    answers = bundle.answers | {"baseline": bundle.answers["baseline"] + more}
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
    raws = [
        o.value
        for one in effects
        for o in to_outputs(Encoded.of(one))
        if o.topic == "tocsin.scores"
    ]
    assert [contract.is_shadow(raw) for raw in raws] == [False, True] * len(RESULTS)
    assert [contract.decode_score(raw).shadow for raw in raws] == [False, True] * len(RESULTS)
    assert b"shadow" not in raws[0], "active scores have the bytes that they always had"


def test_a_folder_that_is_no_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=str(tmp_path)):
        load_folder(tmp_path)
    (tmp_path / DESCRIPTION).write_text("[]")
    with pytest.raises(BundleError, match=str(tmp_path)):
        load_folder(tmp_path)


def heard(scores: Sequence[Score], known: comparing.Outcomes | None = None) -> list[Trial]:
    comparison = Comparison({GLIOMA.risk: 0.5}, known or {})
    for score in scores:
        comparison.hear(comparing.brief(contract.encode(score)))
    return comparison.trials()


def told(effects: Sequence[Effects]) -> list[Score]:
    """As a partition of the topic holds them."""
    return [score for one in effects for score in (*one.scores, *one.shadows)]


def test_pairs_are_found_however_often_they_are_told(effects: list[Effects]) -> None:
    active, shadow = of(effects)
    once = told(effects)
    other_way = [s for pair in zip(shadow, active, strict=True) for s in pair]
    for scores in (once, other_way, [*once[:3], *once], [*once, *once[2:], *once]):
        (trial,) = heard(scores)
        assert (trial.scores, trial.both) == (len(RESULTS), len(RESULTS))
        assert trial.z[0] == pytest.approx(sum(s.log_odds or 0.0 for s in active))
        assert trial.z[1] == pytest.approx(sum(s.log_odds or 0.0 for s in shadow))
    assert heard(active) == []


def test_several_bundles_of_one_risk_are_on_trial_at_once(tmp_path: Path) -> None:
    folders = [trained_otherwise(tmp_path / f"{n}", 0.25 * (n + 1)) for n in range(3)]
    found = applied(Engine([load_bundle(None, GLIOMA.risk)], [load_folder(f) for f in folders]))
    trials = heard(told(found))
    digests = {load_folder(folder).digest for folder in folders}
    assert len(digests) == 3
    assert {t.shadow for t in trials} == digests
    apart = sorted(compared.report(t, 0.5, {})["log_odds_difference"]["mean"] for t in trials)
    assert apart == pytest.approx([0.25, 0.5, 0.75])


def test_the_report_says_how_far_they_are_apart(effects: list[Effects]) -> None:
    (trial,) = heard(told(effects))
    found = compared.report(trial, 0.5, {})
    assert (found["scores"], found["patients"], found["both_scored"]) == (4, 1, 4)
    assert found["log_odds_difference"]["mean"] == pytest.approx(0.5)
    assert found["log_odds_difference"]["standard_deviation"] == pytest.approx(0.0)
    assert found["correlation"] == pytest.approx(1.0)
    total = sum(found[f"above_{k}"] for k in ("both", "active_only", "shadow_only", "neither"))
    assert total == 4
    assert found["outcomes"]["patients"] == 0


def test_what_a_rule_says_in_the_place_of_a_model_is_not_compared(effects: list[Effects]) -> None:
    """Its log-odds are another question's."""
    rule = FallBack(risk="news2", version="1", model="d", reason="out_of_distribution", as_if=0.1)
    first, *others = told(effects)
    (trial,) = heard([replace(first, fall_back=rule), *others])
    found = compared.report(trial, 0.5, {})
    assert (found["scores"], found["both_scored"]) == (4, 3)
    assert found["abstained"] == {"active": 1, "shadow": 0}


def test_a_comparison_is_in_words_and_in_a_picture(effects: list[Effects]) -> None:
    (trial,) = heard(told(effects))
    found = compared.report(trial, 0.5, {})
    said = dict(comparing_page.rows(found))
    assert said["Records scored by both"] == "4, of 1 patients"
    assert said["Log-odds, on trial − active"].startswith("+0.5 on average")
    page = comparing_page.page([(trial, found)])
    assert page.startswith("<!doctype html>")
    assert page.count("<circle") == len(RESULTS)
    assert "http" not in page
    empty = Trial("r", "a", "b")
    nothing = compared.report(empty, 0.5, {})
    assert len(comparing_page.rows(nothing)) == 3
    assert "<svg" not in comparing_page.page([(empty, nothing)])


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


def of_patient(score: Score, patient: str) -> Score:
    return contract.decode_score(contract.encode(score).replace(b'"p-1"', f'"{patient}"'.encode()))


def test_outcomes_judge_both_and_their_difference_is_paired(effects: list[Effects]) -> None:
    """Twelve patients, each with four hours; the bundle on trial says half a unit more of all."""
    actions = [
        action(f"p-{n}", Outcome.EVENT if n % 4 > 1 else Outcome.NO_EVENT, 5.0) for n in range(12)
    ]
    known = comparing.outcomes([action("p-0", Outcome.EVENT, 1.0), *actions])
    assert known["p-0", GLIOMA.risk] == 0, "the newest word counts"
    scores = [
        # Of each patient other log-odds, so that there is an order among them.
        replace(of_patient(s, f"p-{n}"), log_odds=(s.log_odds or 0.0) + 0.3 * (n % 5))
        for n in range(12)
        for s in told(effects)
    ]
    (trial,) = heard(scores, known)
    judged = compared.report(trial, 0.5, known)["outcomes"]
    assert (judged["patients"], judged["events"], judged["hours"]) == (12, 6, 48)
    assert judged["shadow"]["predicted"]["value"] > judged["active"]["predicted"]["value"]
    assert judged["active"]["auroc"] == judged["shadow"]["auroc"]
    assert judged["active"]["auroc"]["low"] < judged["active"]["auroc"]["high"]
    # The same order of the same patients: whoever is drawn, the difference is nothing.
    assert judged["difference"]["auroc"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    predicted = judged["difference"]["predicted"]
    assert 0 < predicted["low"] <= predicted["value"] <= predicted["high"]
    for name in ("brier", "calibration_slope"):
        apart = judged["shadow"][name]["value"] - judged["active"][name]["value"]
        assert judged["difference"][name]["value"] == pytest.approx(apart, abs=2e-4)
    said = dict(comparing_page.rows(compared.report(trial, 0.5, known)))
    assert said["AUROC (higher is better)"].endswith("difference +0 (+0 to +0)")
    assert "Predicted on average, where 0.5 was observed" in said
    assert said["Mind"].startswith("With fewer than 10")
    assert comparing.outcomes([action("p", Outcome.UNKNOWN, 1.0)]) == {}


def test_hours_of_one_patient_belong_together(effects: list[Effects]) -> None:
    """Forty hours that say the same of a patient do not make an interval narrower."""
    actions = [action(f"p-{n}", list(Outcome)[n % 2 * 2], 5.0) for n in range(12)]
    known = comparing.outcomes(actions)
    assert 0 < sum(known.values()) < len(known)
    first = told(effects)[:2]

    def scores(hours: int) -> Iterator[Score]:
        for n in range(12):
            for hour in range(hours):
                for at, score in enumerate(first):
                    yield replace(
                        of_patient(score, f"p-{n}"),
                        as_of=f"2026-01-{hour // 24 + 1:02}T{hour % 24:02}:00:00.000Z",
                        log=replace(score.log, offset=hour),
                        log_odds=float((n * 7) % 12) - 5.0 + at * ((n * 5) % 3),
                    )

    def interval(hours: int) -> dict[str, float]:
        (trial,) = heard(list(scores(hours)), known)
        found = compared.report(trial, 0.5, known)["outcomes"]
        assert found["hours"] == 12 * hours
        of: dict[str, float] = found["difference"]["auroc"]
        return of

    once, often = interval(1), interval(40)
    assert once["low"] < once["high"]
    assert often == pytest.approx(once)


def test_what_is_kept_grows_with_patients_and_hours_and_not_with_scores(
    effects: list[Effects],
) -> None:
    first = [comparing.brief(contract.encode(score)) for score in told(effects)[:2]]
    known = {("p-1", GLIOMA.risk): 1}
    comparison = Comparison({GLIOMA.risk: 0.5}, known)
    for offset in range(5_000):
        for score in first:
            log = replace(score.log, offset=offset)
            comparison.hear(replace(score, log=log))
    (trial,) = comparison.trials()
    assert (trial.scores, trial.both) == (5_000, 5_000)
    assert [len(hours) for hours in trial.hours.values()] == [1]
    assert len(trial.points()) == comparing.MOST_POINTS
    assert len(trial.patients) == 1
