"""`tocsin train` of a multimodal risk: cohort → comparison of fusions → bundle with its card.

Letters in shape comments: N patients, M members, C columns, K modalities, S subsets.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import bundle as bundles
from models import fusion, metrics
from models.bundle import Bundle
from models.encoding import Column, columns_of
from models.ensemble import FOLDS, Scorer, enrolled, fold_of
from models.inputs import Question
from models.metrics import Array
from models.multimodal import MultimodalModel
from models.multimodal_network import Network
from models.risk import Assessment
from models.training.awaited import covariance, foreseen, moved, parts_of, reach
from models.training.comparison import Task, compare, fuses
from models.training.linear import (
    Course,
    Fitted,
    Linear,
    calibrated,
    course_of,
    fit_early,
    fit_linear,
    matrix,
    moments,
    places,
)
from models.training.multimodal_card import card
from models.training.others import SPLITS, sureness
from models.training.sensitivity import sensitivity
from models.training.shrinkage import fit_late
from models.training.strangeness import farthest, left_out, strangeness
from models.training.tumours import Case, Folded
from models.training.withheld import observed

VERSION = "4"
_BY_TIME_D = (180.0, 365.0, 730.0, 1_095.0)
_FEWEST = 10  # of either outcome, for a figure of a part of the patients
_CLEAR, _CRITICAL_QUANTILE, _FIRE_QUANTILE = 0.9, 0.9, 0.75


class Fusion(StrEnum):
    """Ways of fusing that a bundle can be written with."""

    LATE = "late"  # a model for each modality, their evidence added
    EARLY = "early"  # one model of all inputs; what is absent counts as the mean


def total_steps(repeats: int) -> int:
    """Steps that `train` reports: outer folds of the comparison, members, splits."""
    return repeats * FOLDS + FOLDS + SPLITS


def train(
    question: Question,
    patients: Sequence[Folded],
    folder: Path,
    seed: int = 1,
    repeats: int = 10,
    on_step: Callable[[], None] = lambda: None,
    fused: Fusion = Fusion.LATE,
) -> dict[str, Any]:
    """Compare, fit, evaluate cross-fitted, write bundle and card; returns the figures.

    Of patients whose follow-up ended before the outcome was decided, the course up to there and
    what the stand-in predicts are learned from. Of those whose outcome was there before the score,
    nothing is.
    """
    columns = columns_of(question.sources)
    everybody, patients = patients, [p for p in patients if p.at_risk]
    x, course = matrix(question, patients), course_of(patients)
    own = [c for c in columns if c.modality < len(question.modalities)]
    names = [m.name for m in question.modalities]
    task = Task(x[:, : len(own)], course, own, names, question.horizon_d)
    compared = compare(task, repeats, seed, on_step)
    way = _way(fused, compared)
    tensors = _members(question, patients, task, way, seed, on_step)
    sure = sureness(way, *task[:3], len(names), question.horizon_d, seed, on_step)
    tensors["trained"] = torch.tensor(sure, dtype=torch.float64)
    about: dict[str, Any] = {"comparison": compared, "repeats": repeats, "seed": seed}
    about["fusion"] = fused.value
    about["before"] = _events_before(everybody)
    if question.doubted:
        about["sensitivity"] = sensitivity(question, everybody, task, repeats, seed)
    if question.stand_in is not None:
        guess, about["stand_in"] = _stand_in(question, x, seed)
        tensors = _with_stand_in(question, tensors, guess, x)
    tensors |= _awaited(question, x, _folds(question, patients), tensors)
    return publish(question, patients, tensors, about, folder)


def _events_before(everybody: Sequence[Folded]) -> dict[str, int]:
    """Patients whose outcome was there, or whose follow-up was over, before the score."""
    off = [p for p in everybody if not p.at_risk]
    return {"patients": len(off), "events": sum(p.label == 1 for p in off)}


def _way(fused: Fusion, compared: dict[str, Any]) -> Callable[..., Fitted]:
    """How a member is fitted."""
    if fused is Fusion.EARLY:
        return fit_early
    best = fuses(compared)
    if best is None:
        return fit_late

    def alone(*arguments: Any) -> Fitted:
        one = fit_late(*arguments)
        return dataclasses.replace(one, weights=fusion.unfused(one.weights, best))

    return alone


def _members(
    question: Question,
    patients: Sequence[Folded],
    task: Task,
    way: Callable[..., Fitted],
    seed: int,
    on_step: Callable[[], None],
) -> dict[str, Tensor]:
    """Five members, each without one fold of patients."""
    columns, count = columns_of(question.sources), len(question.modalities)
    folds = _folds(question, patients)
    fitted: list[Fitted] = []
    for fold in range(FOLDS):
        rest = folds != fold
        seen = task.course.of(rest)
        fitted.append(way(task.x[rest], seen, task.columns, count, task.horizon_d, seed + fold))
        on_step()
    usual = np.stack(moments(task.x))
    found = strangeness(task.x, usual[0], usual[1], task.columns)
    lines, around = zip(*(foreseen(f.unseen) for f in fitted), strict=True)
    return {
        **{n: torch.stack([_spread_out(f, n, columns, count) for f in fitted]) for n in _LINEAR},
        "usual": torch.from_numpy(usual),
        "farthest": torch.tensor(farthest(found, folds, FOLDS), dtype=torch.float64)[:, None],
        "bias": torch.tensor([[part.bias for part in f.linear] for f in fitted]).double(),
        "gain": torch.stack([f.weights.gain for f in fitted]),
        "offset": torch.stack([f.weights.offset for f in fitted]),
        "lines": torch.from_numpy(np.stack(lines)),
        "around": torch.from_numpy(np.stack(around)),
        "cohort": torch.tensor(sorted(enrolled(question.risk, p) for p in patients)),
    }


def _folds(question: Question, patients: Sequence[Folded]) -> NDArray[np.int64]:
    return np.array([fold_of(question.risk, p.record_id) for p in patients])


def _awaited(
    question: Question, x: Array, folds: NDArray[np.int64], tensors: dict[str, Tensor]
) -> dict[str, Tensor]:
    """What the interval rests on: how inputs vary together, and how far scores moved."""
    rows = torch.from_numpy(x)
    count = sum(len(m.inputs) for m in question.modalities)
    blank = {"covariance": torch.zeros((1, count, count)), "reach": torch.ones(1)}
    found: list[Tensor] = []
    off: list[Array] = []
    for fold in range(FOLDS):
        own = {n: t[fold : fold + 1] if n in bundles.MEMBERS else t for n, t in tensors.items()}
        net = Network(question, own | blank)
        found.append(torch.from_numpy(covariance(parts_of(net, rows[folds != fold]))))
        net = Network(question, own | blank | {"covariance": found[-1][None]})
        off.append(moved(question, net, rows[folds == fold]))
    each = np.full((len(off[0]), len(x)), np.nan)
    for fold in range(FOLDS):
        each[:, folds == fold] = off[fold]
    far = torch.tensor(reach(each, folds, FOLDS), dtype=torch.float64)
    return {"covariance": torch.stack(found), "reach": far}


_LINEAR = {"center": 0.0, "scale": 1.0, "weight": 0.0}


def _spread_out(fitted: Fitted, name: str, columns: Sequence[Column], count: int) -> Tensor:
    """(C,) one quantity of all modalities' models, by column."""
    out = np.full(len(columns), _LINEAR[name])
    for part, at in zip(fitted.linear, places(columns, count), strict=True):
        out[at] = getattr(part, name)
    return torch.from_numpy(out)


def _stand_in(question: Question, x: Array, seed: int) -> tuple[Linear, dict[str, Any]]:
    """The model of the predicted input from the stand-in's columns, and how good it is."""
    at = places(columns_of(question.sources), len(question.sources))[-1]
    target = x[:, question.predicted_column or 0]
    known = ~np.isnan(target) & ~np.isnan(x[:, at]).all(1)
    y = target[known]
    course = Course(y, np.full(len(y), np.nan), np.zeros(len(y), dtype=np.bool_))
    model, unseen = fit_linear(x[known][:, at], course, question.horizon_d, seed)
    model = calibrated(model, unseen, course)
    # Scans may have been chosen by the result: the prior is that of the whole cohort.
    said = target[~np.isnan(target)]
    shift = _logit(float(said.mean())) - _logit(float(y.mean()))
    return dataclasses.replace(model, bias=model.bias + shift), {
        "prior": metrics.rounded(float(said.mean())),
        "patients": int(known.sum()),
        "positive": int(y.sum()),
        "auroc": metrics.bootstrap(metrics.auroc, y, unseen).as_dict(),
        "calibration_slope": metrics.rounded(metrics.slope(y, unseen)),
        "brier": metrics.rounded(metrics.brier(y, 1 / (1 + np.exp(-unseen)))),
        "brier_of_the_mean": metrics.rounded(float(y.mean() * (1 - y.mean()))),
        "refused_when_left_out": left_out(x[known][:, at], _own_columns(question, at)),
    }


def _own_columns(question: Question, at: Sequence[int]) -> list[Column]:
    return [columns_of(question.sources)[j] for j in at]


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def _with_stand_in(
    question: Question, tensors: dict[str, Tensor], guess: Linear, x: Array
) -> dict[str, Tensor]:
    """All members share one stand-in: it never saw an outcome."""
    at = places(columns_of(question.sources), len(question.sources))[-1]
    for name in _LINEAR:
        tensors[name][:, at] = torch.from_numpy(getattr(guess, name))
    bias = torch.full((FOLDS, 1), guess.bias, dtype=torch.float64)
    usual = np.stack(moments(x[:, at]))
    far = strangeness(x[:, at], usual[0], usual[1], _own_columns(question, at)).max()
    return tensors | {
        "bias": torch.cat([tensors["bias"], bias], 1),
        "usual": torch.cat([tensors["usual"], torch.from_numpy(usual)], 1),
        "farthest": torch.cat([tensors["farthest"], torch.full_like(bias, far)], 1),
    }


def publish(
    question: Question,
    patients: Sequence[Folded],
    tensors: dict[str, Tensor],
    about: dict[str, Any],
    folder: Path,
) -> dict[str, Any]:
    """Everything after the fit."""
    cases = [p for p in patients if isinstance(p, Case)]
    events = sum(c.label for c in cases)
    answers: dict[str, Any] = {
        "contract": question.contract(),
        "baseline": round(math.log(events / (len(cases) - events)), 6),
        "rule": _rule(0.5, 0.9),
    }
    tensors = {name: t.contiguous() for name, t in tensors.items()}
    draft = Bundle(question.risk, VERSION, answers, {}, tensors, "draft")
    model = MultimodalModel(question, draft)
    rows = cross_fitted(model, cases)
    probabilities = [a.probability for _, a in rows if a.probability is not None]
    fire, critical = np.quantile(probabilities, [_FIRE_QUANTILE, _CRITICAL_QUANTILE])
    answers["rule"] = _rule(round(float(fire), 2), round(float(critical), 2))
    about |= {"version": VERSION, "patients": len(cases), "events": events, "folds": FOLDS}
    about["undecided"] = len(patients) - len(cases)
    about["figures"] = figures(rows)
    about["interval"] = observed(question, model, patients)
    digest = bundles.write(folder, dataclasses.replace(draft, answers=answers, about=about))
    text = card(question, about, answers, digest)
    (folder / "CARD.md").write_text(text, encoding="utf-8")
    found: dict[str, Any] = about["figures"] | {"model": digest, "comparison": about["comparison"]}
    return found


def _rule(fire: float, critical: float) -> dict[str, Any]:
    return {
        "fire": fire,
        "clear": round(_CLEAR * fire, 3),
        "critical": critical,
        "version": f"shipped-{VERSION}",
    }


def cross_fitted(model: MultimodalModel, cases: Sequence[Case]) -> list[tuple[Case, Assessment]]:
    """Each patient's answer when everything is known, by a member that never saw them."""
    scorer = Scorer(model, model.risk)
    return [(c, scorer.model(c).assess([(c.record, c.last)])[0]) for c in cases]


def figures(rows: Sequence[tuple[Case, Assessment]]) -> dict[str, Any]:
    """What the scores are worth, in all and in subgroups, of patients at risk."""
    rows = [(c, a) for c, a in rows if c.at_risk]
    scored = [(c, a) for c, a in rows if a.log_odds is not None]
    found = _figures(scored) | {"patients": len(rows), "subgroups": {}}
    reasons = sorted({a.abstained for _, a in rows if a.abstained})
    found["by_time"] = _by_time(scored)
    found["abstained"] = {r: sum(a.abstained == r for _, a in rows) for r in reasons}
    groups: dict[str, dict[str, list[tuple[Case, Assessment]]]] = {}
    for case, answer in scored:
        bands = {"age": _band(case.age), "sex": case.sex, "stratum": case.stratum}
        for kind, name in bands.items():
            groups.setdefault(kind, {}).setdefault(name, []).append((case, answer))
    for kind, names in groups.items():
        found["subgroups"][kind] = {
            name: _figures(members)
            for name, members in sorted(names.items())
            if _FEWEST <= sum(c.label for c, _ in members) <= len(members) - _FEWEST
        }
    return found


def part(rows: Sequence[tuple[Case, Assessment]]) -> dict[str, Any]:
    """The figures of a part of the patients, as far as its outcomes allow."""
    scored = [(c, a) for c, a in rows if a.log_odds is not None]
    if 0 < sum(c.label for c, _ in scored) < len(scored):
        return _figures(scored) | {"patients": len(rows)}
    return {"patients": len(rows), "scored": len(scored)}


def _by_time(rows: Sequence[tuple[Case, Assessment]]) -> list[dict[str, Any]]:
    """How well the score tells those whose event came by then from those still without it."""
    followed = [(c, a.log_odds, c.followed_d) for c, a in rows if c.followed_d is not None]
    found = []
    for days in _BY_TIME_D:
        known = [(c.had_event and d <= days, z) for c, z, d in followed if c.had_event or d > days]
        y, z = np.array(known, dtype=np.float64).reshape(-1, 2).T
        if _FEWEST <= y.sum() <= len(y) - _FEWEST:
            auroc = metrics.bootstrap(metrics.auroc, y, z).as_dict()
            row = {"days": days, "patients": len(y), "events": int(y.sum()), "auroc": auroc}
            found.append(row)
    return found


def _figures(rows: Sequence[tuple[Case, Assessment]]) -> dict[str, Any]:
    y = np.array([c.label for c, _ in rows], dtype=np.float64)
    z = np.array([a.log_odds for _, a in rows], dtype=np.float64)
    return {
        "scored": len(y),
        "events": int(y.sum()),
        "auroc": metrics.bootstrap(metrics.auroc, y, z).as_dict(),
        "auprc": metrics.bootstrap(metrics.auprc, y, z).as_dict(),
        "calibration_slope": metrics.bootstrap(metrics.slope, y, z).as_dict(),
        "ece": metrics.rounded(metrics.ece(y, 1 / (1 + np.exp(-z)))),
        "ece_by_chance": metrics.rounded(metrics.ece_by_chance(1 / (1 + np.exp(-z)))),
    }


def _band(age: float | None) -> str:
    if age is None:
        return "unknown"
    return "under 50" if age < 50 else "50-64" if age < 65 else "65 and over"
