"""`tocsin train news2`: the line from points to a probability, its card.

Letters in shape comments: N moments, M members.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models import bundle as bundles
from models.bundle import Bundle
from models.ensemble import FOLDS, enrolled, fold_of
from models.evaluation import evaluate
from models.news2 import EMERGENCY, URGENT, WINDOW_S, Chart, contract, effective
from models.news2_model import RISK, News2Model
from models.training.cohort import COHORT, Stay
from models.training.fit import platt
from models.training.news2_card import card

VERSION = "2"
HOURS = (6, 12, 24, 36, 48)  # in the stay, at which the line is fitted
_BETWEEN = 0.5  # a threshold lies between two totals


def total_steps(stays: Sequence[Stay]) -> int:
    """Steps that `train` reports."""
    return 2 * len(stays)


def train(
    stays: Sequence[Stay], sets: str, folder: Path, on_step: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Fit five lines, each without one fold of patients; write the bundle; return its figures."""
    levels, slopes = _lines(stays, on_step)
    deaths = sum(s.label for s in stays)
    answers: dict[str, Any] = {
        "contract": contract(),
        "baseline": round(math.log(deaths / (len(stays) - deaths)), 6),
        "rule": _rule(float(levels.mean()), float(slopes.mean())),
    }
    about: dict[str, Any] = {
        "version": VERSION,
        "sets": sets,
        "patients": len(stays),
        "deaths": deaths,
        "baseline": answers["baseline"],
        "level": round(float(levels.mean()), 4),
        "slope": round(float(slopes.mean()), 4),
        "hours": list(HOURS),
        "folds": FOLDS,
        "expires_h": WINDOW_S / 3600,
    }
    tensors = {
        "levels": levels,
        "slopes": slopes,
        "cohort": torch.tensor(sorted(enrolled(COHORT, s) for s in stays)),
    }
    draft = Bundle(RISK, VERSION, answers, about, tensors, "draft")
    digest = bundles.write(folder, draft)
    shipped = News2Model(bundles.read(folder, RISK))
    about["figures"], _, _ = evaluate(stays, shipped, on_stay=on_step)
    bundles.write(folder, dataclasses.replace(draft, digest=digest))
    (folder / "CARD.md").write_text(card(about, answers["rule"]), encoding="utf-8")
    figures: dict[str, Any] = about["figures"]
    return figures


def _lines(stays: Sequence[Stay], on_step: Callable[[], None]) -> tuple[Tensor, Tensor]:
    """(M,) levels and slopes: logistic regressions on the points."""
    points, labels, folds, weights = _moments(stays, on_step)
    fitted = []
    for fold in range(FOLDS):
        k = folds != fold
        fitted.append(platt(points[k], labels[k], weights[k]))
    slopes, levels = torch.tensor(fitted, dtype=torch.float64).T
    return levels.contiguous(), slopes.contiguous()


def _moments(
    stays: Sequence[Stay], on_step: Callable[[], None]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(N,) points, labels, folds, and weights: one in total for each patient."""
    chart = Chart()
    rows: list[tuple[float, float, int, float]] = []
    for stay in stays:
        moments = [m for h in HOURS if (m := stay.standing(h)) is not None]
        fold = fold_of(COHORT, stay.record_id)
        rows += [
            (effective(chart.read(stay.record, m)), stay.label, fold, 1.0 / len(moments))
            for m in moments
        ]
        on_step()
    points, labels, folds, weights = (torch.tensor(c) for c in zip(*rows, strict=True))
    return points.double(), labels.double(), folds, weights.double()


def _rule(level: float, slope: float) -> dict[str, Any]:
    """Fires from the urgent trigger on, clears below it, critical from the emergency trigger on."""

    def probability(points: float) -> float:
        return round(1 / (1 + math.exp(-(level + slope * points))), 4)

    return {
        "fire": probability(URGENT - _BETWEEN),
        "clear": probability(URGENT - _BETWEEN),
        "critical": probability(EMERGENCY - _BETWEEN),
        "version": f"shipped-{VERSION}",
    }
