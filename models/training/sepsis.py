"""`tocsin train sepsis`: cohort → bundle with its card."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from models import bundle as bundles
from models.bundle import Bundle
from models.ensemble import FOLDS
from models.risk import RiskModel
from models.sepsis import SepsisModel
from models.sepsis_evaluation import Scored, alarms, best_threshold, figures, score_all
from models.sepsis_features import FEATURES, sepsis_contract
from models.sepsis_variables import CRITICAL
from models.training.fit import Fitted
from models.training.sepsis_card import sepsis_card
from models.training.sepsis_cohort import SepsisStay
from models.training.sepsis_fit import Rows, SepsisConfig, fit, training_rows

RISK = "sepsis"
VERSION = "3"
EXPIRES_S = 12 * 3600.0
# Episodes of the shipped rule for each patient and day, sepsis or not.
_EPISODES = 0.04
_CLEAR = 0.6  # of the firing threshold
_CRITICAL = 2.0  # times the firing threshold

Stays = Callable[[], Iterable[SepsisStay]]  # the cohort anew: it is larger than memory


def total_steps(patients: int) -> int:
    """Steps that `train` reports: patients read and scored, members grown."""
    return 2 * patients + FOLDS


def train(
    stays: Stays,
    folder: Path,
    config: SepsisConfig,
    on_step: Callable[[], None] = lambda: None,
    reference: RiskModel | None = None,
) -> dict[str, Any]:
    """Fit, choose thresholds, evaluate cross-fitted, write the bundle; returns the figures."""
    rows = training_rows(stays(), config, on_step)
    return publish(fit(rows, config, on_step), rows, stays, folder, config, on_step, reference)


def publish(
    fitted: Fitted,
    rows: Rows,
    stays: Stays,
    folder: Path,
    config: SepsisConfig,
    on_step: Callable[[], None] = lambda: None,
    reference: RiskModel | None = None,
) -> dict[str, Any]:
    """Everything after the fit."""
    answers: dict[str, Any] = {
        "contract": sepsis_contract(),
        "baseline": round(math.log(rows.positive / (rows.hours - rows.positive)), 6),
        "expires_s": EXPIRES_S,
        "critical": CRITICAL,
        # Any will do while the scores are made from which the real ones are chosen.
        "rule": _rule(0.5),
        "utility_log_odds": 0.0,
    }
    about = _about(rows, config, answers["baseline"]) | {"coverage": fitted.coverage}
    tensors = fitted.tensors
    draft = Bundle(RISK, VERSION, answers, about, tensors, "draft")
    scored = score_all(stays(), SepsisModel(draft), on_step, reference)
    answers["rule"] = _rule(firing_threshold(scored))
    answers["utility_log_odds"] = round(best_threshold(scored), 6)
    digest = bundles.write(folder, dataclasses.replace(draft, answers=answers))
    shipped = SepsisModel(bundles.read(folder, RISK))
    found = figures(scored, shipped, reference.risk if reference else "")
    about["figures"] = found
    bundles.write(folder, Bundle(RISK, VERSION, answers, about, tensors, digest))
    (folder / "CARD.md").write_text(sepsis_card(found, about, answers), encoding="utf-8")
    return found


def _about(rows: Rows, config: SepsisConfig, baseline: float) -> dict[str, Any]:
    return {
        "version": VERSION,
        "patients": len(rows.cohort),
        "with_sepsis": rows.septic,
        "hours": rows.hours,
        "positive": rows.positive,
        "features": len(FEATURES),
        "baseline": baseline,
        "expires_h": EXPIRES_S / 3600,
        "seed": config.seed,
        "negatives": config.negatives,
        "forest": dataclasses.asdict(config.forest),
        "folds": FOLDS,
    }


def _rule(fire: float) -> dict[str, Any]:
    return {
        "fire": fire,
        "clear": round(_CLEAR * fire, 4),
        "critical": round(max(fire, min(_CRITICAL * fire, 0.99)), 4),
        "version": f"shipped-{VERSION}",
    }


def firing_threshold(scored: list[Scored]) -> float:
    """The lowest threshold, in steps of .005, with no more episodes than allowed."""
    for step in range(1, 200):
        fire = step / 200
        rate = alarms(scored, fire, _CLEAR * fire)["episodes_per_patient_day"]
        if rate is not None and rate <= _EPISODES:
            return fire
    return 0.995


def default_config(seed: int) -> SepsisConfig:
    """The configuration that the shipped bundle was trained with."""
    return SepsisConfig(seed=seed)
