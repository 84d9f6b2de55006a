"""What the trees of deterioration learn, and how they are calibrated."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from connectors.cohorts.physionet2012 import CohortPatient
from models.training.cohort import Stay, stays
from models.training.fit import SOON_D, platt, target


@pytest.fixture
def stay() -> Stay:
    """A patient who lived."""
    return next(stays([CohortPatient(1, "a", 60.0, "F", "MICU", 0, ())]))


@pytest.mark.parametrize(
    ("died", "day", "learned"),
    [(0, None, 0.0), (1, None, 1.0), (1, 200, 1.0), (0, SOON_D, 0.3), (0, SOON_D + 1, 0.0)],
)
def test_who_dies_soon_after_leaving_counts_as_a_share_of_a_death(
    stay: Stay, died: int, day: int | None, learned: float
) -> None:
    assert target(dataclasses.replace(stay, label=died, died_on_day=day)) == learned


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
