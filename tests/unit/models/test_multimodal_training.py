"""Training of a multimodal risk on made-up patients: deterministic, honest, loadable."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from random import Random

import numpy as np
import pytest

from connectors.cohorts.tumour import LOCAL, Result, TumourPatient
from connectors.cohorts.ucsf_pdgm import RADIOMICS, radiomic_code
from models.bundle import load_bundle
from models.encoding import columns_of
from models.multimodal import MultimodalModel
from models.questions import GLIOMA
from models.training.comparison import Task, compare, fuses
from models.training.linear import course_of, folds_of, matrix
from models.training.multimodal import train
from models.training.others import SPLITS
from models.training.ridge import cox, logistic
from models.training.sensitivity import sensitivity
from models.training.tumours import Case, cases


def patient(number: int) -> TumourPatient:
    """Grade and IDH say something of the outcome; images say something of IDH."""
    random = Random(number)
    mutated = random.random() < 0.4
    grade = random.choice((2.0, 4.0) if mutated else (3.0, 4.0, 4.0))
    label = int(random.random() < (0.8 if grade == 4.0 else 0.3) - 0.2 * mutated)
    results = [
        Result(
            0,
            "imaging",
            radiomic_code(feature, image),
            LOCAL,
            name,
            0.001 if unit == "mm2/s" else 1.0 + mutated + abs(random.gauss(0, 1)),
            unit,
        )
        for feature, image, name, unit in RADIOMICS
    ]
    results.append(Result(7, "ehr", "who-cns-grade", LOCAL, "Grade", grade, "{grade}"))
    if random.random() < 0.8:
        status = "mutated" if mutated else "wildtype"
        results.append(Result(14, "genomics", "idh-status", LOCAL, "IDH", status))
    age, sex = random.uniform(20, 80), random.choice("MF")
    days = random.uniform(50, 730) if label else random.uniform(731, 1_500)
    return TumourPatient(
        number,
        age,
        sex,
        tuple(results),
        label,
        followed_d=days,
        had_event=bool(label),
    )


@pytest.fixture(scope="module")
def cohort() -> list[Case]:
    return list(cases(patient(n) for n in range(160)))


def test_the_same_patients_give_the_same_bundle(cohort: list[Case], tmp_path: Path) -> None:
    steps: list[None] = []
    found = [
        train(GLIOMA, cohort, tmp_path / name / GLIOMA.risk, 1, 1, lambda: steps.append(None))
        for name in ("one", "two")
    ]
    assert found[0] == found[1]
    assert len(steps) == 2 * (10 + SPLITS)
    model = load_bundle(tmp_path / "one", GLIOMA.risk)
    assert isinstance(model, MultimodalModel)
    assert model.digest == found[0]["model"]
    assert found[0]["auroc"]["value"] > 0.6
    card = (tmp_path / "one" / GLIOMA.risk / "CARD.md").read_text()
    assert "Is fusion worth it?" in card and "Not for" in card


def test_nothing_is_found_where_there_is_nothing(cohort: list[Case]) -> None:
    """Outcomes dealt anew: a leak of the outer folds would still rank them."""
    question = dataclasses.replace(GLIOMA, stand_in=None)
    columns = columns_of(question.sources)
    x = matrix(question, cohort)
    rng = np.random.default_rng(5)
    found = []
    for seed in range(3):
        course = course_of(cohort).of(rng.permutation(len(cohort)))
        figures = compare(Task(x, course, columns, ["ehr", "genomics"], 730.0), 1, seed)
        found.append([v["auroc_mean"] for v in figures["variants"].values()])
    assert np.abs(np.mean(found, axis=0) - 0.5).max() < 0.12


def test_what_rests_on_a_doubted_input_and_on_whom_is_judged_is_told(cohort: list[Case]) -> None:
    question = dataclasses.replace(GLIOMA, stand_in=None, predicts="", doubted="who-cns-grade")
    early = dataclasses.replace(cohort[0], record_id=999, followed_d=13.0)
    assert [early.at_risk, cohort[0].at_risk] == [False, True]
    own = columns_of(question.sources)
    task = Task(matrix(question, cohort), course_of(cohort), own, ["ehr", "genomics"], 730.0)
    rows = sensitivity(question, [*cohort, early], task, 1, 1)
    plain, without, _, everybody = rows
    assert plain["auroc_mean"] > without["auroc_mean"] + 0.05
    assert (plain["patients"], everybody["patients"]) == (160, 161)
    assert "without the input: who grade" in [row["what"] for row in rows]


def test_hazards_are_found_also_where_follow_up_ends_early() -> None:
    rng = np.random.default_rng(7)
    z = rng.normal(size=(4_000, 2))
    event = rng.exponential(1 / np.exp(z @ [0.8, -0.4]))
    end = rng.exponential(1.0, len(z))
    found = cox(z, np.minimum(event, end), event <= end, 1e6)
    assert found == pytest.approx([0.8, -0.4], abs=0.08)


def test_equal_days_in_any_order_give_the_same_weights() -> None:
    rng = np.random.default_rng(8)
    z, days, events = (
        rng.normal(size=(200, 2)),
        rng.integers(1, 9, 200) * 1.0,
        rng.random(200) < 0.5,
    )
    order = rng.permutation(200)
    one, other = cox(z, days, events, 1.0), cox(z[order], days[order], events[order], 1.0)
    assert one == pytest.approx(other, abs=1e-7)


@pytest.mark.parametrize(("low", "best"), [(0.001, None), (0.0, 1), (-0.01, 1), (None, 1)])
def test_a_bundle_fuses_only_where_that_is_shown_to_be_better(
    low: float | None, best: int | None
) -> None:
    compared = {
        "late_minus_best_single": {"value": 0.01, "low": low, "high": 0.1},
        "singles": ["ehr", "genomics"],
        "best_single": "genomics",
    }
    assert fuses(compared) == best


def test_who_has_no_known_outcome_is_in_some_fold() -> None:
    labels = np.array([1.0] * 20 + [0.0] * 80)
    more = np.r_[labels, np.full(50, np.nan)]
    folds = folds_of(more, 3)
    assert folds[:100].tolist() == folds_of(labels, 3).tolist()
    assert set(folds[100:]) == set(range(5))


def test_folds_spread_both_outcomes() -> None:
    labels = np.array([1.0] * 20 + [0.0] * 80)
    folds = folds_of(labels, 3)
    assert [int(labels[folds == f].sum()) for f in range(5)] == [4] * 5
    assert np.bincount(folds).tolist() == [20] * 5


def test_a_ridge_draws_weights_to_nothing_and_leaves_the_intercept() -> None:
    rng = np.random.default_rng(9)
    z = rng.normal(size=(2_000, 2))
    labels = (rng.random(2_000) < 1 / (1 + np.exp(-(z @ [1.0, -0.5] - 1.0)))).astype(np.float64)
    weights, intercept = logistic(z, labels, 1e6)
    assert weights == pytest.approx([1.0, -0.5], abs=0.15)
    assert intercept == pytest.approx(-1.0, abs=0.15)
    weights, intercept = logistic(z, labels, 1e-9)
    assert np.abs(weights).max() < 1e-5
    assert 1 / (1 + np.exp(-intercept)) == pytest.approx(labels.mean(), abs=1e-6)
