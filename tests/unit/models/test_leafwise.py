"""Trees grown leaf by leaf say in torch what LightGBM says, and explain themselves exactly."""

from __future__ import annotations

import dataclasses
import math

import lightgbm
import numpy as np
import pytest
import torch

from models.grid import STEP
from models.leafwise import LEAVES, TESTS, LeafwiseForest, LeafwiseTrees, contributions
from models.metrics import auroc
from models.training.leafwise_boosting import LeafwiseConfig, grow, joined, to_trees
from tests.unit.models.made_trees import made_trees

_CONFIG = LeafwiseConfig(trees=40, rate=0.2, least_rows=10, l2=1.0, feature_share=1.0)
F32 = np.float32


def _rows(n: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Five features, gaps in all but the last; the label needs two of them together."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=(n, 5)), 1).astype(F32)
    z = 3 * ((x[:, 0] > 0) ^ (x[:, 1] > 0.3)) + x[:, 2] - 2
    x[rng.random(x.shape) < 0.2] = np.nan
    x[:, 4] = np.abs(np.nan_to_num(x[:, 4]))
    return x, (rng.random(n) < 1 / (1 + np.exp(-z))).astype(float)


def _member(seed: int = 0) -> LeafwiseTrees:
    x, labels = _rows()
    return grow(x, labels, np.ones(len(x)), _CONFIG, seed)


@pytest.fixture(scope="module")
def forest() -> LeafwiseForest:
    """Two members."""
    return LeafwiseForest(joined([_member(1), _member(2)]), 5)


def test_it_says_what_lightgbm_says() -> None:
    x, labels = _rows()
    settings = {"objective": "binary", "num_leaves": LEAVES, "verbose": -1, "num_threads": 1}
    settings |= {"min_data_in_leaf": 5}
    booster = lightgbm.train(settings, lightgbm.Dataset(x, labels, params=settings), 30)
    trees = to_trees(booster.dump_model()["tree_info"], np.ones((30, LEAVES)))
    asked = np.concatenate([_rows(300, 5)[0], np.full((1, 5), np.nan, F32), x])
    asked[:5, 4] = np.nan  # never missing in training
    found, _ = LeafwiseForest(trees, 5)(torch.from_numpy(asked))
    expected = booster.predict(asked, raw_score=True)
    assert np.abs(found[:, 0].numpy() - expected).max() < 30 * STEP


def test_a_member_learns_what_two_features_say_together(forest: LeafwiseForest) -> None:
    x, labels = _rows(1_000, 9)
    scores, _ = forest(torch.from_numpy(x))
    assert auroc(labels, scores.mean(1).numpy()) > 0.7


def test_contributions_add_up_exactly_and_leave_out_what_is_not_asked(
    forest: LeafwiseForest,
) -> None:
    x = torch.from_numpy(_rows(200, 3)[0])
    scores, parts = forest(x, 150)
    assert parts.shape == (150, 1, 5)
    total = forest.expected + parts[:, 0].sum(1)
    assert torch.equal((total * 2 / STEP).round(), (scores[:150].sum(1) / STEP).round())


def test_a_batch_of_one_is_a_batch_of_many(forest: LeafwiseForest) -> None:
    x = torch.from_numpy(_rows(130, 4)[0])
    scores, parts = forest(x, 130)
    for i in (0, 63, 64, 129):
        alone = forest(x[i : i + 1], 1)
        assert torch.equal(alone[0][0], scores[i])
        assert torch.equal(alone[1][0], parts[i])
    assert forest(x[:0], 0)[0].shape == (0, 2)


def test_a_contribution_is_the_change_of_the_expected_value() -> None:
    """Test 0 sends a quarter of the patients to leaf 0; test 1 halves the rest."""
    children = torch.full((1, TESTS, 2), -1)
    children[0, 0] = torch.tensor([~0, 1])
    children[0, 1] = torch.tensor([~1, ~2])
    leaves, covers = torch.zeros(1, LEAVES), torch.zeros(1, LEAVES)
    leaves[0, :3] = torch.tensor([-1.0, 1.0, 3.0])
    covers[0, :3] = torch.tensor([1e6, 1.5e6, 1.5e6])
    mean, shares = contributions(children, leaves, covers)
    assert mean.item() == pytest.approx(1.25, abs=1e-4)
    assert shares[0, 0, :3].tolist() == pytest.approx([-2.25, 0.75, 0.75], abs=1e-4)
    assert shares[1, 0, :3].tolist() == pytest.approx([0.0, -1.0, 1.0], abs=1e-4)
    assert shares[2:].abs().sum() == 0


def test_a_tree_that_found_no_split_is_its_one_leaf() -> None:
    x = np.zeros((50, 5), F32)
    labels = (np.arange(50) < 10).astype(float)
    trees = grow(x, labels, np.ones(50), LeafwiseConfig(trees=1), 0)
    scores, parts = LeafwiseForest(trees, 5)(torch.full((1, 5), math.nan), 1)
    assert scores.item() == pytest.approx(math.log(0.25), abs=1e-4)
    assert parts.abs().sum() == 0


def test_the_same_seed_gives_the_same_trees() -> None:
    for one, two in zip(_member(3), _member(3), strict=True):
        assert torch.equal(one, two)


def test_bags_are_averaged() -> None:
    x, labels = _rows()
    one = dataclasses.replace(_CONFIG, bags=1)
    both = dataclasses.replace(_CONFIG, bags=2)
    values = torch.from_numpy(x).double()

    def scores(config: LeafwiseConfig, seed: int) -> torch.Tensor:
        trees = grow(x, labels, np.ones(len(x)), config, seed)
        return LeafwiseForest(trees, 5)(values)[0]

    mean = (scores(one, 3) + scores(one, 103)) / 2
    assert torch.allclose(scores(both, 3), mean, atol=1e-3)


def test_groups_of_members_are_explained_apart() -> None:
    one, other = made_trees(1, 3, 20, 5), made_trees(2, 3, 7, 5)
    x = torch.from_numpy(_rows(30, 3)[0])
    scores, parts = LeafwiseForest(one, 5, other)(x, 30)
    for g, trees in enumerate((one, other)):
        alone, shares = LeafwiseForest(trees, 5)(x, 30)
        assert torch.equal(scores[:, g * 3 : (g + 1) * 3], alone)
        assert torch.allclose(parts[:, g], shares[:, 0], atol=1e-12)


def test_borders_drawn_at_random_are_others_and_learn_as_well() -> None:
    x, labels = _rows()
    config = dataclasses.replace(_CONFIG, random_borders=True, trees=150)
    ones = np.ones(len(x))
    trees = grow(x, labels, ones, config, 0)
    assert not torch.equal(trees.borders, grow(x, labels, ones, config, 1).borders)
    assert torch.equal(trees.borders, grow(x, labels, ones, config, 0).borders)
    asked, truth = _rows(1_000, 9)
    scores, _ = LeafwiseForest(trees, 5)(torch.from_numpy(asked))
    assert auroc(truth, scores[:, 0].numpy()) > 0.65


def test_labels_between_no_and_yes_are_learned_as_shares() -> None:
    """A fifth of everybody, and seven tenths of those with a positive value."""
    x = np.repeat(np.array([[-1.0], [1.0]], F32), 200, axis=0)
    labels = np.repeat([0.2, 0.7], 200)
    config = LeafwiseConfig(
        trees=200, bags=1, rate=0.2, l2=0.0, feature_share=1.0, objective="cross_entropy"
    )
    trees = grow(x, labels, np.ones(len(x)), config, 0)
    scores, _ = LeafwiseForest(trees, 1)(torch.tensor([[-1.0], [1.0]]))
    assert scores[:, 0].sigmoid().tolist() == pytest.approx([0.2, 0.7], abs=0.01)


def test_every_tree_is_told() -> None:
    x, labels = _rows()
    told: list[None] = []
    config = dataclasses.replace(_CONFIG, trees=7, bags=2)
    grow(x, labels, np.ones(len(x)), config, 0, lambda: told.append(None))
    assert len(told) == 14
