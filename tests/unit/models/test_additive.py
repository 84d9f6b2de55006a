"""The network and how it is fitted."""

from __future__ import annotations

import math

import pytest
import torch

from models.additive import AdditiveEnsemble
from models.metrics import auroc
from models.training.boosting import BoostingConfig, bin_edges, fit_shapes, to_bins
from models.training.fit import platt

_INF, _NAN = math.inf, math.nan


def _two_members() -> AdditiveEnsemble:
    """One feature, two anchors; the members have different borders."""
    borders = torch.tensor([[[1.0, 3.0]], [[2.0, _INF]]])
    tables = torch.tensor(
        [[[[9.0, 1.0, 2.0, 3.0]], [[8.0, 10.0, 20.0, 30.0]]],
         [[[7.0, 4.0, 5.0, 5.0]], [[6.0, 40.0, 50.0, 50.0]]]]
    )  # fmt: skip
    intercepts = torch.tensor([[0.0, 100.0], [0.5, 200.0]])
    return AdditiveEnsemble(torch.tensor([1.0, 4.0]), borders, tables, intercepts)


@pytest.mark.parametrize(
    ("x", "hours", "expected"),
    [
        (0.0, 1.0, [1.0, 4.5]),
        (1.0, 1.0, [1.0, 4.5]),  # a border belongs to the bin below it
        (1.5, 1.0, [2.0, 4.5]),
        (2.5, 1.0, [2.0, 5.5]),
        (99.0, 1.0, [3.0, 5.5]),
        (_NAN, 1.0, [9.0, 7.5]),
        (0.0, 0.1, [1.0, 4.5]),  # before the first anchor: as at it
        (0.0, 4.0, [110.0, 240.0]),
        (0.0, 2.0, [55.5, 122.25]),  # half way between 1 and 4 on a logarithmic scale
    ],
)
def test_members_keep_their_values_on_common_borders(
    x: float, hours: float, expected: list[float]
) -> None:
    net = _two_members()
    places = net.places(torch.tensor([[x]], dtype=torch.float64))
    weights = net.anchor_weights(torch.tensor([hours], dtype=torch.float64))
    assert net(places, weights)[0].tolist() == pytest.approx(expected)


def test_contributions_and_intercept_add_up_to_the_mean_of_the_members() -> None:
    net = _two_members()
    x = torch.tensor([[0.3], [2.7], [_NAN]], dtype=torch.float64)
    places, weights = net.places(x), net.anchor_weights(torch.tensor([1.0, 3.0, 9.0]).double())
    level = (net.intercepts.mean(0) * weights).sum(1)
    total = net.contributions(places, weights).sum(1) + level
    assert torch.allclose(total, net(places, weights).mean(1))


def test_borders_separate_values_and_leave_out_the_unmeasured() -> None:
    edges = bin_edges(torch.tensor([1.0, 2.0, 2.0, 5.0, _NAN]).double(), 32)
    assert edges.tolist() == [1.5, 3.5]
    codes = to_bins(torch.tensor([[0.0], [1.5], [2.0], [9.0], [_NAN]]).double(), [edges])
    assert codes[0].tolist() == [1, 1, 2, 3, 0]
    many = torch.linspace(0, 1, 1_000, dtype=torch.float64)
    assert 25 <= len(bin_edges(many, 32)) <= 32
    assert bin_edges(torch.tensor([_NAN]).double(), 32).numel() == 0


def _example() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    x = torch.randn((3_000, 4), generator=g, dtype=torch.float64)
    x[torch.rand(3_000, generator=g) < 0.3, 1] = _NAN
    truth = 2 * (x[:, 0].abs() - 1) + 2.0 * x[:, 1].isnan()
    y = (torch.rand(3_000, generator=g, dtype=torch.float64) < torch.sigmoid(truth)).double()
    return x, y, truth


def _fit(x: torch.Tensor, y: torch.Tensor) -> tuple[list[torch.Tensor], float, torch.Tensor]:
    config = BoostingConfig(rounds=300, rate=0.1, feature_share=0.5)
    edges = [bin_edges(x[:, f], config.bins) for f in range(x.shape[1])]
    generator = torch.Generator().manual_seed(5)
    level, shapes = fit_shapes(to_bins(x, edges), y, torch.ones_like(y), config, generator)
    return edges, level, shapes


def test_boosting_finds_a_bent_shape_and_the_weight_of_missing_values() -> None:
    x, y, truth = _example()
    edges, level, shapes = _fit(x[:2_000], y[:2_000])
    codes = to_bins(x[2_000:], edges).long()
    scores = level + shapes.gather(1, codes).sum(0)
    unseen = y[2_000:].numpy()
    best = auroc(unseen, truth[2_000:].numpy())
    assert auroc(unseen, scores.numpy()) > best - 0.02
    assert shapes[1, 0] - shapes[1, 1:].mean() > 1.0
    assert shapes[2:].abs().max() < shapes[0].abs().max() / 3


def test_fitting_is_repeatable() -> None:
    x, y, _ = _example()
    assert torch.equal(_fit(x, y)[2], _fit(x, y)[2])


def test_platt_recovers_slope_and_offset() -> None:
    g = torch.Generator().manual_seed(1)
    z = torch.randn(20_000, generator=g, dtype=torch.float64)
    y = (torch.rand(20_000, generator=g, dtype=torch.float64) < torch.sigmoid(0.5 * z - 1)).double()
    slope, offset = platt(z, y)
    assert slope == pytest.approx(0.5, abs=0.05)
    assert offset == pytest.approx(-1.0, abs=0.05)
