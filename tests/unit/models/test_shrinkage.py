"""Late fusion is drawn towards the baseline by what unseen patients say of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.fusion import Weights
from models.training.linear import Course, late
from models.training.shrinkage import shrunk

_NEVER = np.full(4_000, np.nan)


def course_of(labels: np.ndarray) -> Course:
    return Course(labels, np.full(len(labels), np.nan), np.zeros(len(labels), dtype=np.bool_))


def drawn(rng: np.random.Generator, log_odds: np.ndarray) -> Course:
    return course_of((rng.random(len(log_odds)) < 1 / (1 + np.exp(-log_odds))).astype(np.float64))


def test_evidence_that_is_twice_too_sure_is_halved_for_its_subset_alone() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(0.5, 1.0, 4_000)
    course = drawn(rng, truth)
    ratios = truth - course.baseline
    weights = Weights(*(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.6, 0.6]]),) * 2)
    found = shrunk(weights, np.stack([_NEVER, 2 * ratios, ratios, _NEVER]), course)
    assert found.gain[1, 0].item() == pytest.approx(0.5, abs=0.04)
    assert found.gain[2, 1].item() == pytest.approx(1.0, abs=0.08)
    assert found.gain[3].tolist() == weights.gain[3].tolist()
    assert found.gain[1, 1] == found.offset[1, 1] == found.offset[2, 0] == 0.0


def test_the_level_of_unseen_patients_is_met_and_shared_by_the_modalities_that_are_there() -> None:
    rng = np.random.default_rng(4)
    truth = rng.normal(-0.5, 1.0, 4_000)
    course = drawn(rng, truth)
    scores = np.stack([truth, np.zeros(4_000)], 1)
    weights = Weights(torch.ones((4, 2)).double(), torch.full((4, 2), 0.5).double())
    ratios = late(scores, weights, course.baseline) - course.baseline
    found = shrunk(weights, np.stack([_NEVER, _NEVER, _NEVER, ratios]), course)
    met = 1 / (1 + np.exp(-late(scores, found, course.baseline)))
    assert met.mean() == pytest.approx(course.labels.mean(), abs=1e-3)
    assert found.offset[3, 0].item() == found.offset[3, 1].item()


def test_evidence_that_unseen_patients_contradict_is_none_and_is_not_turned_round() -> None:
    rng = np.random.default_rng(5)
    truth = rng.normal(0.0, 1.0, 4_000)
    course = drawn(rng, truth)
    weights = Weights(*(torch.tensor([[0.0], [1.0]]).double(),) * 2)
    found = shrunk(weights, np.stack([_NEVER, -truth]), course)
    assert found.gain[1].tolist() == found.offset[1].tolist() == [0.0]


def test_evidence_that_is_too_timid_is_not_drawn_away_from_the_baseline() -> None:
    rng = np.random.default_rng(6)
    truth = rng.normal(0.5, 1.0, 4_000)
    course = drawn(rng, truth)
    weights = Weights(*(torch.tensor([[0.0], [1.0]]).double(),) * 2)
    timid = (truth - course.baseline) / 3
    found = shrunk(weights, np.stack([_NEVER, timid]), course)
    assert found.gain[1].item() == 1.0
    met = 1 / (1 + np.exp(-(course.baseline + timid + found.offset[1].item() - 1.0)))
    assert met.mean() == pytest.approx(course.labels.mean(), abs=1e-3)  # all the same


@pytest.mark.parametrize(("patients", "each"), [(29, 5), (200, 4)])
def test_a_subset_that_few_have_is_drawn_as_all_patients_are(patients: int, each: int) -> None:
    """The few would ask for something else: their ratios are right, those of the rest doubled."""
    rng = np.random.default_rng(7)
    truth = rng.normal(0.0, 1.0, 4_000)
    course = drawn(rng, truth)
    few = np.r_[
        np.flatnonzero(course.labels == 1)[:each],
        np.flatnonzero(course.labels == 0)[: patients - each],
    ]
    ratios = truth - course.baseline
    rare = np.full(4_000, np.nan)
    rare[few] = ratios[few]
    weights = Weights(*(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),) * 2)
    found = shrunk(weights, np.stack([_NEVER, 2 * ratios, rare, rare]), course)
    assert found.gain[2, 1].item() == found.gain[3, 0].item()
    assert found.gain[2, 1].item() == pytest.approx(found.gain[1, 0].item(), abs=0.02)
