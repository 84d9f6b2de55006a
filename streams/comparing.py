"""A bundle on trial against the active one, from what both recorded (`tocsin compare`).

Both scored the same patient at the same record of the log, so their scores come in pairs. Where
somebody said what became of a patient, both are judged by it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from connectors.contract import Score
from connectors.feedback import RIGHT, WRONG, Action, Feedback
from models import metrics
from models.metrics import Array

_ROUND = 4

Place = tuple[str, int, int, str]  # risk, partition and offset of the log, patient


class Point(NamedTuple):
    """What is kept of a score."""

    patient: str
    log_odds: float | None  # None: it abstained, whether or not a rule spoke in its place


@dataclass(slots=True)
class Trial:
    """Pairs of one risk and one bundle on trial, in order of the log."""

    risk: str
    active: str  # digests
    shadow: str
    pairs: list[tuple[Point, Point]] = field(default_factory=list)  # (active, shadow)


def trials(scores: Iterable[Score]) -> list[Trial]:
    """Pairs by risk and bundles. Scores without a partner do not count, repeated ones count once.

    The scores may come in any order, as a topic's partitions do.
    """
    active: dict[Place, tuple[str, Point]] = {}
    shadows: dict[tuple[str, Place], Point] = {}
    for s in scores:
        place: Place = (s.risk, s.log.partition, s.log.offset, s.patient)
        point = Point(s.patient, None if s.fall_back else s.log_odds)
        if s.shadow:
            shadows[s.model, place] = point
        else:
            active[place] = (s.model, point)
    found: dict[tuple[str, str, str], Trial] = {}
    for model, place in sorted(shadows):
        if place in active:
            of, point = active[place]
            trial = found.setdefault((place[0], of, model), Trial(place[0], of, model))
            trial.pairs.append((point, shadows[model, place]))
    return [found[key] for key in sorted(found)]


def outcomes(actions: Iterable[Feedback]) -> dict[tuple[str, str], int]:
    """(patient, risk) → 1 where the event came or was averted, 0 where it did not; newest word."""
    found: dict[tuple[str, str], tuple[float, int]] = {}
    for one in actions:
        if one.action is not Action.OUTCOME or one.outcome not in RIGHT | WRONG:
            continue
        key = (one.patient, one.risk)
        found[key] = max(found.get(key, (-math.inf, 0)), (one.at, int(one.outcome in RIGHT)))
    return {key: label for key, (_, label) in found.items()}


def report(trial: Trial, fire: float, known: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """Agreement and difference of the scores, and what both are worth where outcomes are known.

    `fire`: the threshold at which the two are said to agree or not.
    """
    both = [(a, s) for a, s in trial.pairs if a.log_odds is not None and s.log_odds is not None]
    z = np.array([(a.log_odds, s.log_odds) for a, s in both], dtype=np.float64).reshape(-1, 2)
    silent = [sum(pair[at].log_odds is None for pair in trial.pairs) for at in (0, 1)]
    found: dict[str, Any] = {
        "risk": trial.risk,
        "active": trial.active,
        "shadow": trial.shadow,
        "scores": len(trial.pairs),
        "patients": len({a.patient for a, _ in trial.pairs}),
        "both_scored": len(both),
        "abstained": {"active": silent[0], "shadow": silent[1]},
    }
    if both:
        found |= _difference(z, fire)
    found["outcomes"] = _judged(both, trial.risk, known)
    return found


def probabilities(trial: Trial) -> list[tuple[float, float]]:
    """(active, on trial) where both answered, in order of the log."""
    return [
        (1 / (1 + math.exp(-a.log_odds)), 1 / (1 + math.exp(-s.log_odds)))
        for a, s in trial.pairs
        if a.log_odds is not None and s.log_odds is not None
    ]


def _difference(z: Array, fire: float) -> dict[str, Any]:
    p = 1 / (1 + np.exp(-z))
    apart = z[:, 1] - z[:, 0]
    fires = p >= fire
    varied = len(z) > 1 and bool((z.max(0) > z.min(0)).all())
    correlation = float(np.corrcoef(z[:, 0], z[:, 1])[0, 1]) if varied else float("nan")
    return {
        "log_odds_difference": {
            "mean": round(float(apart.mean()), _ROUND),
            "standard_deviation": round(float(apart.std()), _ROUND),
            "largest": round(float(np.abs(apart).max()), _ROUND),
        },
        "probability_difference": round(float(np.abs(p[:, 1] - p[:, 0]).mean()), _ROUND),
        "correlation": metrics.rounded(correlation),
        "threshold": fire,
        "above_both": int((fires[:, 0] & fires[:, 1]).sum()),
        "above_active_only": int((fires[:, 0] & ~fires[:, 1]).sum()),
        "above_shadow_only": int((~fires[:, 0] & fires[:, 1]).sum()),
        "above_neither": int((~fires).all(1).sum()),
        "kappa": metrics.rounded(_kappa(fires[:, 0], fires[:, 1])),
    }


def _kappa(a: Any, b: Any) -> float:
    """Agreement beyond chance (Cohen 1960); 1 where both always say the same thing."""
    agree = float((a == b).mean())
    chance = float(a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean()))
    return 1.0 if chance == 1.0 else (agree - chance) / (1 - chance)


def _judged(
    both: list[tuple[Point, Point]], risk: str, known: Mapping[tuple[str, str], int]
) -> dict[str, Any]:
    """The last pair of each patient whose outcome is known."""
    last = {a.patient: (a, s) for a, s in both if (a.patient, risk) in known}
    y = np.array([known[patient, risk] for patient in last], dtype=np.float64)
    found: dict[str, Any] = {"patients": len(y), "events": int(y.sum())}
    for at, name in enumerate(("active", "shadow")):
        z = np.array([pair[at].log_odds for pair in last.values()], dtype=np.float64)
        if 0 < y.sum() < len(y):
            p = 1 / (1 + np.exp(-z))
            found[name] = {
                "auroc": metrics.bootstrap(metrics.auroc, y, z).as_dict(),
                "calibration_slope": metrics.rounded(metrics.slope(y, z)),
                "observed": round(float(y.mean()), _ROUND),
                "predicted": round(float(p.mean()), _ROUND),
                "brier": metrics.rounded(metrics.brier(y, p)),
            }
    return found
