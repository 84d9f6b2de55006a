"""`tocsin train deterioration`: cohort → bundle with its card."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models import bundle as bundles
from models.bundle import Bundle
from models.deterioration import DeteriorationModel
from models.ensemble import FOLDS, Scorer
from models.evaluation import CohortModel, evaluate, hourly
from models.features import FEATURES, contract
from models.metrics import Array
from models.training.card import card
from models.training.cohort import COHORT, Stay
from models.training.fit import ANCHORS, SOON, SOON_D, Fitted, TrainConfig, fit

RISK = "deterioration"
VERSION = "3"
EXPIRES_S = 24 * 3600.0
_ALARMED = 0.20  # share of patients that the shipped rule may alarm within 48 hours
_CLEAR = 0.75  # of the firing threshold
_CRITICAL = 0.5


def total_steps(stays: Sequence[Stay], config: TrainConfig) -> int:
    """Steps that `train` reports: patients read, trees grown, patients evaluated."""
    return 2 * len(stays) + config.trees()


def train(
    stays: Sequence[Stay],
    sets: str,
    folder: Path,
    config: TrainConfig,
    on_step: Callable[[], None] = lambda: None,
    reference: CohortModel | None = None,
) -> dict[str, Any]:
    """Fit, choose thresholds, evaluate cross-fitted, write the bundle; returns the figures."""
    fitted = fit(stays, config, on_step, on_step)
    return publish(fitted, stays, sets, folder, config, on_step, reference)


def publish(
    fitted: Fitted,
    stays: Sequence[Stay],
    sets: str,
    folder: Path,
    config: TrainConfig,
    on_step: Callable[[], None] = lambda: None,
    reference: CohortModel | None = None,
) -> dict[str, Any]:
    """Everything after the fit."""
    tensors = fitted.tensors
    deaths = sum(s.label for s in stays)
    answers: dict[str, Any] = {
        "contract": contract(),
        "baseline": round(math.log(deaths / (len(stays) - deaths)), 6),
        "expires_s": EXPIRES_S,
        # Any rule does while the scores are made from which the real one is chosen.
        "rule": _rule(0.5),
    }
    about: dict[str, Any] = {
        "version": VERSION,
        "sets": sets,
        "patients": len(stays),
        "deaths": deaths,
        "features": len(FEATURES),
        "baseline": answers["baseline"],
        "expires_h": EXPIRES_S / 3600,
        "seed": config.seed,
        "anchors": {f"{anchor:g}": list(hours) for anchor, hours in ANCHORS.items()},
        "forests": {
            "last": dataclasses.asdict(config.last),
            "early": dataclasses.asdict(config.early),
        },
        "soon_d": SOON_D,
        "soon": SOON,
        "folds": FOLDS,
        "coverage": fitted.coverage,
    }
    draft = Bundle(RISK, VERSION, answers, about, tensors, "draft")
    grid = hourly(stays, Scorer(DeteriorationModel(draft), COHORT), on_step)
    answers["rule"] = _rule(firing_threshold(grid))
    digest = bundles.write(folder, dataclasses.replace(draft, answers=answers))
    shipped = DeteriorationModel(bundles.read(folder, RISK))
    figures, _, _ = evaluate(stays, shipped, reference=reference, grid=grid)
    about["figures"] = figures
    bundles.write(folder, Bundle(RISK, VERSION, answers, about, tensors, digest))
    (folder / "CARD.md").write_text(card(figures, about, answers["rule"]), encoding="utf-8")
    return figures


def _rule(fire: float) -> dict[str, Any]:
    return {
        "fire": fire,
        "clear": round(_CLEAR * fire, 3),
        "critical": max(_CRITICAL, fire),
        "version": f"shipped-{VERSION}",
    }


def firing_threshold(grid: Array) -> float:
    """The lowest threshold, in steps of .01, that alarms no more patients than allowed."""
    probabilities = 1 / (1 + np.exp(-grid))
    highest = np.nanmax(np.c_[probabilities, np.zeros(len(grid))], axis=1)
    for percent in range(1, 100):
        if (highest >= percent / 100).mean() <= _ALARMED:
            return percent / 100
    return 0.99


def default_config(seed: int) -> TrainConfig:
    """The configuration that the shipped bundle was trained with."""
    return TrainConfig(seed=seed)
