"""Figures of merit, against an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from models import metrics


@pytest.fixture(scope="module")
def example() -> tuple[metrics.Array, metrics.Array]:
    """Labels and log-odds, with ties."""
    rng = np.random.default_rng(0)
    z = np.round(rng.normal(-1.5, 1.2, 2_000), 1)
    return (rng.random(2_000) < 1 / (1 + np.exp(-z))).astype(np.float64), z


def test_discrimination_agrees(example: tuple[metrics.Array, metrics.Array]) -> None:
    y, z = example
    assert metrics.auroc(y, z) == pytest.approx(roc_auc_score(y, z))
    assert metrics.auprc(y, z) == pytest.approx(average_precision_score(y, z))
    false, true = metrics.roc(y, z)
    assert np.trapezoid(true, false) == pytest.approx(roc_auc_score(y, z))


def test_calibration_agrees(example: tuple[metrics.Array, metrics.Array]) -> None:
    y, z = example
    p = 1 / (1 + np.exp(-z))
    assert metrics.brier(y, p) == pytest.approx(brier_score_loss(y, p))
    reference = LogisticRegression(C=1e9, tol=1e-9).fit(z[:, None], y)
    slope, intercept = metrics.calibration_line(y, z)
    assert slope == pytest.approx(reference.coef_[0, 0], rel=1e-3)
    assert intercept == pytest.approx(reference.intercept_[0], abs=1e-3)
    assert metrics.ece(y, p) < 0.03
    assert metrics.ece(y, np.minimum(1, p + 0.2)) > 0.1


def test_intervals_hold_the_value_and_are_repeatable(
    example: tuple[metrics.Array, metrics.Array],
) -> None:
    y, z = example
    found = metrics.bootstrap(metrics.auroc, y, z, repeats=200)
    assert found.low < found.value < found.high
    assert found == metrics.bootstrap(metrics.auroc, y, z, repeats=200)
