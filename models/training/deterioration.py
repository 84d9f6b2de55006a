"""`tocsin train deterioration`: cohort → bundle with its card."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import bundle as bundles
from models import critical, metrics
from models.bundle import Bundle
from models.deterioration import DeteriorationModel
from models.ensemble import FOLDS, Scorer
from models.evaluation import CohortModel, Prediction, evaluate, hourly
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
    """Steps that `train` reports: patients read, trees grown, patients evaluated twice."""
    return 3 * len(stays) + config.trees()


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
        # Any rule does while the scores are made from which the real one is chosen, and nothing is
        # critical: what that silences is below any threshold.
        "rule": _rule(0.5),
        "critical": {"vital_signs": {}, "laboratory": {}},
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
    plain = hourly(stays, Scorer(DeteriorationModel(draft), COHORT), on_step)
    answers["rule"] = _rule(firing_threshold(plain))
    answers["critical"] = {
        "vital_signs": critical.VITAL_SIGNS,
        "laboratory": critical.LABORATORY,
    }
    digest = bundles.write(folder, dataclasses.replace(draft, answers=answers))
    shipped = DeteriorationModel(bundles.read(folder, RISK))
    figures, rows, grid = evaluate(stays, shipped, on_stay=on_step, reference=reference)
    figures["silent_at_baseline"] = silent_at_baseline(rows, answers["baseline"])
    about["figures"] = figures
    about["coverage"]["critical"] = silenced(stays, plain, grid, answers["rule"]["fire"], reference)
    bundles.write(folder, Bundle(RISK, VERSION, answers, about, tensors, digest))
    (folder / "CARD.md").write_text(card(figures, about, answers["rule"]), encoding="utf-8")
    return figures


def silent_at_baseline(rows: Sequence[Prediction], baseline: float) -> dict[str, float | None]:
    """Discrimination of all patients, those without a score counted as of average risk."""
    labels = np.array([float(r.label) for r in rows])
    scores = np.array([baseline if r.log_odds is None else r.log_odds for r in rows])
    return {
        "auroc": metrics.rounded(metrics.auroc(labels, scores)),
        "auprc": metrics.rounded(metrics.auprc(labels, scores)),
    }


def silenced(
    stays: Sequence[Stay],
    plain: Array,
    grid: Array,
    fire: float,
    reference: CohortModel | None,
) -> dict[str, Any]:
    """What critical values do to the hourly scores, (patients, 48) log-odds without and with them.

    `warned` are patients whom the reference warns of while the model is silent for that, and whom
    the model never alarms.
    """
    died = np.array([bool(s.label) for s in stays])
    silent = ~np.isnan(plain) & np.isnan(grid)
    alarmed = _ever(plain, fire)
    found: dict[str, Any] = {
        "share_of_hours": round(float(silent.sum() / (~np.isnan(plain)).sum()), 4),
        "patients": _counted(np.logical_or.reduce(silent, axis=1), died),
        "alarmed": _counted(alarmed, died),
    }
    if reference is not None:
        spoken = np.where(silent, hourly(stays, Scorer(reference, COHORT)), np.nan)
        warned = _ever(spoken, reference.rule.fire) & ~alarmed
        found["warned"] = _counted(warned, died)
    return found


def _ever(grid: Array, fire: float) -> NDArray[np.bool_]:
    """(patients, hours) log-odds → (patients,): does one of them reach the threshold?"""
    found: NDArray[np.bool_] = np.logical_or.reduce(grid >= math.log(fire / (1 - fire)), axis=1)
    return found


def _counted(who: NDArray[np.bool_], died: NDArray[np.bool_]) -> dict[str, int]:
    return {"patients": int(who.sum()), "deaths": int((who & died).sum())}


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
