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
from models.training.comparison import compare
from models.training.linear import folds_of, matrix
from models.training.multimodal import train
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
    return TumourPatient(number, random.uniform(20, 80), random.choice("MF"), tuple(results), label)


@pytest.fixture(scope="module")
def cohort() -> list[Case]:
    return list(cases(patient(n) for n in range(160)))


def test_the_same_patients_give_the_same_bundle(cohort: list[Case], tmp_path: Path) -> None:
    steps: list[None] = []
    found = [
        train(GLIOMA, cohort, [], tmp_path / name / GLIOMA.risk, 1, 1, lambda: steps.append(None))
        for name in ("one", "two")
    ]
    assert found[0] == found[1]
    assert len(steps) == 2 * 10
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
        labels = rng.permutation([float(c.label) for c in cohort])
        figures = compare(x, labels, columns, ["ehr", "genomics"], 1, seed)
        found.append([v["auroc_mean"] for v in figures["variants"].values()])
    assert np.abs(np.mean(found, axis=0) - 0.5).max() < 0.12


def test_folds_spread_both_outcomes() -> None:
    labels = np.array([1.0] * 20 + [0.0] * 80)
    folds = folds_of(labels, 3)
    assert [int(labels[folds == f].sum()) for f in range(5)] == [4] * 5
    assert np.bincount(folds).tolist() == [20] * 5
