"""Evaluation: who is scored by whom, and the figures on the card."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from connectors.cohorts.physionet2012 import PARAMETERS, CohortPatient, Event, load
from models import evaluation
from models.bundle import read, single_member, write
from models.clinical_use import decision_curve
from models.deterioration import DeteriorationModel
from models.ensemble import FOLDS, Scorer, enrolled, fold_of
from models.news2_model import News2Model
from models.resampling import Resamples
from models.rule import SHIPPED
from models.training.cohort import ADMITTED_AT, COHORT, Stay, stays
from models.training.deterioration import firing_threshold, train
from models.training.fit import TrainConfig
from models.training.leafwise_boosting import LeafwiseConfig
from models.training.page import interval
from streams.backtest.stays import from_predictions
from streams.cli.training import app
from tests.unit.models.report_page import check_bands

RISK = "deterioration"


@pytest.fixture(scope="module")
def model() -> DeteriorationModel:
    """The shipped bundle."""
    return DeteriorationModel(read(SHIPPED / RISK, RISK))


# What is known of nearly everybody after a day: without it the shipped bundle abstains.
_USUAL = tuple(
    Event(60 * 40, PARAMETERS[name].code, PARAMETERS[name].name, value, PARAMETERS[name].unit)
    for name, value in {
        "Temp": 37.0, "NISysABP": 120.0, "NIDiasABP": 60.0, "NIMAP": 80.0, "GCS": 15.0,
        "Urine": 100.0, "Na": 139.0, "K": 4.1, "HCT": 32.0, "Creatinine": 1.0, "BUN": 18.0,
    }.items()
)  # fmt: skip


_NAMED = {parameter.code: name for name, parameter in PARAMETERS.items()}


def _patients(first_id: int, n: int = 60) -> list[CohortPatient]:
    """Patients whose heart rate decides."""
    rng = np.random.default_rng(first_id)
    made = []
    for i in range(n):
        died = int(rng.random() < 0.4)
        mean = float(80 + 25 * died + rng.normal(0, 12))
        events = (
            tuple(
                Event(60 * h, "8867-4", "Heart rate", mean + rng.normal(0, 10), "/min")
                for h in range(0, 48, 4)
            )
            + _USUAL
        )
        sex = "FM"[i % 2]
        made.append(CohortPatient(first_id + i, "a", 60.0, sex, "MICU", died, events))
    return made


@pytest.fixture(scope="module")
def strangers() -> list[Stay]:
    """Patients whom no bundle was trained on."""
    return list(stays(_patients(1)))


def test_a_patient_becomes_a_record_with_age_sex_and_stay(strangers: list[Stay]) -> None:
    stay = strangers[0]
    end = ADMITTED_AT + 48 * 3600
    assert stay.record.age(end) == 60.0
    assert stay.record.person("sex") == "F"
    known = stay.record.stay(end)
    assert known is not None
    assert (known.start, known.ward) == (ADMITTED_AT, "MICU")
    assert stay.standing(47.9) == ADMITTED_AT + 44 * 3600
    assert stay.standing(-1) is None


def test_strangers_are_scored_by_the_ensemble_and_training_patients_by_one_member(
    model: DeteriorationModel, strangers: list[Stay]
) -> None:
    scorer = Scorer(model, COHORT)
    assert scorer.model(strangers[0]) is model
    trained = next(stays(_patients(132539, 1)))  # the first record id of set a
    listed = torch.tensor([enrolled(COHORT, trained)])
    bundle = dataclasses.replace(model.bundle, tensors=model.bundle.tensors | {"cohort": listed})
    scorer = Scorer(DeteriorationModel(bundle), COHORT)
    assert scorer.trained_on(trained)
    chosen = scorer.model(trained)
    as_of = ADMITTED_AT + 44 * 3600
    alone = [model.only(m).log_odds([(trained.record, as_of)]) for m in range(FOLDS)]
    assert chosen.log_odds([(trained.record, as_of)]) == alone[fold_of(COHORT, 132539)]


def test_a_member_written_as_a_bundle_of_its_own_answers_as_the_member(
    model: DeteriorationModel, tmp_path: Path
) -> None:
    digest = write(tmp_path / RISK, single_member(model.bundle, 3))
    alone = DeteriorationModel(read(tmp_path / RISK, RISK))
    patients = [(s.record, ADMITTED_AT + 9 * 3600) for s in stays(_patients(1, 5))]
    assert alone.assess(patients) == model.only(3).assess(patients)
    assert alone.digest == digest == model.only(3).digest


def test_scores_from_elsewhere_are_judged_instead(
    model: DeteriorationModel, strangers: list[Stay]
) -> None:
    own, rows, _ = evaluation.evaluate(strangers, model)
    scores = {
        s.record_id: model.assess([(s.record, moment)])[0]
        for s in strangers
        if (moment := s.standing(48)) is not None
    }
    judged, same, _ = evaluation.evaluate(strangers, model, scores)
    assert same == rows
    assert judged["auroc"] == own["auroc"]
    assert not judged["cross_fitted"]


def test_hourly_scores_are_those_that_stand(
    model: DeteriorationModel, strangers: list[Stay]
) -> None:
    grid = evaluation.hourly(strangers[:3], Scorer(model, COHORT))
    four = [(s.record, ADMITTED_AT + 4 * 3600) for s in strangers[:3]]
    assert grid[:, 3].tolist() == model.log_odds(four)
    assert np.array_equal(grid[:, 4], grid[:, 3])  # nothing new at five hours


def test_the_threshold_alarms_at_most_a_fifth() -> None:
    grid = np.linspace(-4, 2, 1_000)[:, None].repeat(48, 1)
    fire = firing_threshold(grid)
    highest = 1 / (1 + np.exp(-grid.max(1)))
    assert (highest >= fire).mean() <= 0.2 < (highest >= fire - 0.01).mean()


def test_training_writes_a_bundle_that_knows_the_difference(tmp_path: Path) -> None:
    cohort = list(stays(_patients(500, 120)))
    small = LeafwiseConfig(trees=20, bags=1, rate=0.3, feature_share=0.5, least_rows=5, l2=1.0)
    config = TrainConfig(seed=3, last=small, early=small)
    figures = train(cohort, "a", tmp_path / RISK, config)
    assert figures["cross_fitted"]
    assert figures["patients_in_training_set"] == 120
    assert figures["auroc"]["value"] > 0.75
    assert interval(figures["auroc"]) in (tmp_path / RISK / "CARD.md").read_text()
    again = train(cohort, "a", tmp_path / "again" / RISK, config)
    assert again == figures
    one, two = (tmp_path / p / RISK / "weights.safetensors" for p in (".", "again"))
    assert one.read_bytes() == two.read_bytes()


@pytest.fixture(scope="module")
def judged(model: DeteriorationModel, strangers: list[Stay]) -> dict[str, Any]:
    """All figures of some strangers, NEWS2 beside the model."""
    return evaluation.evaluate(strangers[:24], model, reference=_news2())[0]


def _news2() -> News2Model:
    return News2Model(read(SHIPPED / "news2", "news2"))


def test_figures_that_are_plain_numbers_have_intervals_that_hold_them(
    judged: dict[str, Any],
) -> None:
    sides = dict(judged["intervals"])
    rule = sides.pop("alarms")
    pairs = [(judged[name], between) for name, between in sides.items()]
    pairs += [(judged["alarms"][name], between) for name, between in rule.items()]
    for rows in (judged["hours"], judged["thresholds"], judged["decision_curve"]):
        assert all(row["intervals"] for row in rows)
        pairs += [(row[n], side) for row in rows for n, side in row["intervals"].items()]
    assert all(v is None or low <= v <= high for v, (low, high) in pairs)


def test_decision_curves_beside_each_other_are_of_the_same_patients(strangers: list[Stay]) -> None:
    reference = _news2()
    some, resamples = strangers[:8], Resamples(8, 50)
    theirs = evaluation.final(some, Scorer(reference, COHORT))
    own = [dataclasses.replace(r, log_odds=2.0, probability=0.88, abstained=None) for r in theirs]
    own[0] = dataclasses.replace(own[0], log_odds=None, probability=None, abstained="no_data")
    found = evaluation.compared(some, own, Scorer(reference, COHORT), resamples)
    assert found["scored"] == 7
    expected = (
        decision_curve(evaluation.at_the_end(some, rows), resamples) for rows in (own, theirs[1:])
    )
    for row, first, second in zip(found["decision_curve"], *expected, strict=True):
        assert (row["own"], row["net_benefit"]) == (first["net_benefit"], second["net_benefit"])
        low, high = row["intervals"]["difference"]
        assert low <= row["difference"] <= high


def test_subgroups_that_are_too_small_are_listed(judged: dict[str, Any]) -> None:
    sizes = {(g["kind"], g["name"]): g["scored"] for g in judged["subgroups_too_few"]}
    shown = [(k, n) for k, groups in judged["subgroups"].items() for n in groups]
    assert set(shown).isdisjoint(sizes)
    assert {kind for kind, _ in [*shown, *sizes]} == {"age", "sex", "icu_type"}
    assert ("sex", "M") in [*shown, *sizes]


def test_evaluate_writes_figures_predictions_and_a_page(tmp_path: Path) -> None:
    data = tmp_path / "data" / "set-b"
    data.mkdir(parents=True)
    outcomes = ["RecordID,In-hospital_death"]
    for p in _patients(1, 24):
        lines = ["Time,Parameter,Value", "00:00,Age,60", "00:00,Gender,1"]
        lines += [f"{e.minute // 60:02d}:00,{_NAMED[e.code]},{e.value}" for e in p.events]
        if p.record_id == 1:
            lines = lines[:3]  # nothing was ever measured
        (data / f"{p.record_id}.txt").write_text("\n".join(lines) + "\n")
        outcomes.append(f"{p.record_id},{p.died}")
    (data.parent / "Outcomes-b.txt").write_text("\n".join(outcomes) + "\n")
    out = tmp_path / "out"
    arguments = ["evaluate", RISK, "--data", str(data.parent), "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    figures = json.loads((out / "metrics.json").read_text())
    assert (figures["scored"], figures["abstained"]) == (23, {"no_data": 1})
    assert not figures["cross_fitted"]
    with (out / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(evaluation.COLUMNS)
    assert (rows[0]["abstained"], rows[0]["probability"]) == ("no_data", "")
    baseline = float(rows[1]["log_odds"]) - float(rows[1]["ehr"])
    assert baseline == pytest.approx(read(SHIPPED / RISK, RISK).answers["baseline"], abs=1e-6)
    check_bands(out / "report.html", 8)
    recorded = from_predictions(out / "hourly.csv")
    assert len(recorded) == 23
    assert set(recorded.subgroups) == {"age", "sex", "icu_type"}
    died = {str(p.record_id): int(p.died) for p in _patients(1, 24)}
    assert recorded.labels.tolist() == [died[p] for p in recorded.patients]


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_card_s_figure_is_that_of_the_shipped_weights(
    shared: Path, model: DeteriorationModel
) -> None:
    """Cross-fitted AUROC at 48 hours on set a, recomputed."""
    cohort = list(stays(load(shared / "data" / "physionet2012", ["a"])))
    figures = evaluation.summary(evaluation.final(cohort, Scorer(model, COHORT)))
    shipped = model.bundle.about["figures"]
    for name in ("scored", "auroc", "auprc", "calibration_slope", "ece"):
        assert figures[name] == shipped[name]
    assert figures["auroc"]["value"] >= 0.84
