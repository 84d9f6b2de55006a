"""Growing a forest: what it must find, and that it finds it again."""

from __future__ import annotations

import math

import pytest
import torch

from models.metrics import auroc
from models.training.fit import platt
from models.training.forest import UNMEASURED, ForestConfig, bagged, borders_of, coded, grow, joined
from models.trees import Forest

_NAN = math.nan
_CONFIG = ForestConfig(trees=150, depth=3, rate=0.1, feature_share=0.7)


def _example() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A bent shape, a value whose absence says much, two that work only together, noise."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn((4_000, 6), generator=g, dtype=torch.float64)
    x[torch.rand(4_000, generator=g) < 0.3, 1] = _NAN
    truth = 2 * (x[:, 0].abs() - 1) + 2.0 * x[:, 1].isnan() + 3.0 * ((x[:, 2] > 0) & (x[:, 3] > 0))
    y = (torch.rand(4_000, generator=g, dtype=torch.float64) < torch.sigmoid(truth)).double()
    return x, y, truth


def _grown(seed: int = 5) -> Forest:
    x, y, _ = _example()
    ones = torch.ones(2_000, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    return Forest(grow(x[:2_000], y[:2_000], ones, _CONFIG, generator), 6)


def test_borders_lie_between_neighbours_or_at_quantiles() -> None:
    assert borders_of(torch.tensor([1.0, 2.0, 2.0, 5.0, _NAN]).double(), 64).tolist() == [1.5, 3.5]
    assert len(borders_of(torch.linspace(0, 1, 1_000).double(), 64)) == 63
    assert not len(borders_of(torch.tensor([_NAN, 3.0]).double(), 64))


def test_codes_count_the_borders_below() -> None:
    x = torch.tensor([[0.0], [1.5], [2.0], [9.0], [_NAN]]).double()
    codes = coded(x, [torch.tensor([1.5, 3.5])])
    assert codes[0].tolist() == [0, 0, 1, 2, UNMEASURED]


def test_shapes_absence_and_joint_effects_are_found() -> None:
    x, y, truth = _example()
    scores, parts = _grown()(x[2_000:], explained=2_000)
    unseen = y[2_000:].numpy()
    best = auroc(unseen, truth[2_000:].numpy())
    assert auroc(unseen, scores[:, 0].numpy()) > best - 0.06
    parts = parts[:, 0]
    absent = x[2_000:, 1].isnan()
    assert parts[absent, 1].mean() - parts[~absent, 1].mean() > 0.8
    strength = parts.abs().mean(0)
    assert strength[4:].max() < strength[:4].min() / 2


def test_growing_is_repeatable_and_depends_on_the_seed() -> None:
    x, _, _ = _example()
    first, again, other = (_grown(seed)(x[:50])[0] for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_members_are_joined_in_order() -> None:
    x, y, _ = _example()
    ones = torch.ones(500, dtype=torch.float64)
    config = ForestConfig(trees=5, depth=2)
    members = [
        grow(x[:500], y[:500], ones, config, torch.Generator().manual_seed(s)) for s in (1, 2)
    ]
    both, _ = Forest(joined(members), 6)(x[:9])
    for m, member in enumerate(members):
        assert torch.equal(Forest(member, 6)(x[:9])[0][:, 0], both[:, m])


def test_bags_are_averaged() -> None:
    x, y, _ = _example()
    ones = torch.ones(500, dtype=torch.float64)
    config = ForestConfig(trees=5, depth=2)
    bags = [grow(x[:500], y[:500], ones, config, torch.Generator().manual_seed(s)) for s in (1, 2)]
    mean = sum(Forest(bag, 6)(x[:9])[0] for bag in bags) / 2
    assert torch.allclose(Forest(bagged(bags), 6)(x[:9])[0], mean, atol=1e-4)


def test_platt_recovers_slope_and_offset() -> None:
    g = torch.Generator().manual_seed(1)
    z = torch.randn(20_000, generator=g, dtype=torch.float64)
    y = (torch.rand(20_000, generator=g, dtype=torch.float64) < torch.sigmoid(0.5 * z - 1)).double()
    slope, offset = platt(z, y)
    assert slope == pytest.approx(0.5, abs=0.05)
    assert offset == pytest.approx(-1.0, abs=0.05)


def test_platt_calibrates_a_share_beside_a_given_rest() -> None:
    generator = torch.Generator().manual_seed(5)
    z, rest = torch.randn((2, 40_000), dtype=torch.float64, generator=generator)
    share = torch.full_like(z, 0.75)
    truth = share * (1.4 * z + 0.5) + rest
    y = (torch.rand(len(z), generator=generator, dtype=torch.float64) < truth.sigmoid()).double()
    slope, offset = platt(z, y, beside=rest, share=share)
    assert slope == pytest.approx(1.4, abs=0.08)
    assert offset == pytest.approx(0.5, abs=0.06)
