"""Fit the deterioration model: five members, each without one fold of patients.

Letters in shape comments: N rows, F features, A anchors, M members, V variables, Q quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.deterioration import KNOWN, NEWEST
from models.ensemble import FOLDS, enrolled, fold_of
from models.features import COLUMN, FEATURES, HOURS, FeatureReader
from models.grid import on_grid
from models.leafwise import LeafwiseForest, LeafwiseTrees
from models.timed import side_by_side
from models.training.cohort import ADMITTED_AT, COHORT, HOUR_S, Stay
from models.training.gate import fit_gates, observed
from models.training.leafwise_boosting import LeafwiseConfig, grow, joined
from models.variables import CATALOGUE

Array = NDArray[Any]

# Hours in the stay at which a forest counts alone, with the moments that it is grown on. The last
# is grown on hour 48, the end of the data, and placed later, the first earlier: at any hour that
# was seen, a share of the neighbour steadies the score.
ANCHORS: dict[float, tuple[float, ...]] = {
    0.75: (1.0, 2.0),
    12.0: (9.0, 12.0),
    72.0: (48.0,),
}
LAST = max(ANCHORS)
_WINDOW_H = 48.0
_FRESH_H = 2.0  # a value not older than this counts as just measured
_QUANTILES = 9
_PULL = 0.01
# Who left the hospital and died soon after was more like the dying than others who left.
SOON_D = 90  # days since admission
SOON = 0.3  # of a death, in what the trees learn; death in hospital is what is judged

_LAST = LeafwiseConfig(
    trees=540, rate=0.037, bags=2,  # most scores are made after the last anchor
    least_rows=15, l2=3.0, feature_share=0.3, row_share=0.6,
    random_borders=True, objective="cross_entropy",
)  # fmt: skip
_EARLY = replace(_LAST, trees=135, rate=0.08, l2=10.0, row_share=0.4)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """What a training run depends on besides the data."""

    seed: int = 1
    last: LeafwiseConfig = _LAST
    early: LeafwiseConfig = _EARLY

    def forest(self, anchor: float) -> LeafwiseConfig:
        """How the forest of an anchor is grown."""
        return self.last if anchor == LAST else self.early

    def trees(self) -> int:
        """That are grown in all."""
        each = (self.forest(anchor) for anchor in ANCHORS)
        return FOLDS * sum(how.trees * how.bags for how in each)


@dataclass(frozen=True, slots=True)
class Rows:
    """Training examples of one anchor."""

    x: Tensor  # (N, F)
    patients: Tensor  # (N,) place among the stays
    labels: Tensor  # (N,) died in hospital
    targets: Tensor  # (N,) what the trees learn: the labels, and a share of deaths soon after
    folds: Tensor  # (N,)
    weights: Tensor  # (N,) one in total for each patient


def training_rows(stays: Sequence[Stay], on_stay: Callable[[], None]) -> list[Rows]:
    """For each anchor the scores that stand at its moments: each distinct one of a patient once."""
    reader = FeatureReader()
    drawn: list[list[_Drawn]] = [[] for _ in ANCHORS]
    for place, stay in enumerate(stays):
        fold = fold_of(COHORT, stay.record_id)
        for rows, hours in zip(drawn, ANCHORS.values(), strict=True):
            moments = sorted({m for h in hours if (m := stay.standing(h)) is not None})
            if moments:
                x, _ = reader.matrix([(stay.record, m) for m in moments])
                rows.append(_Drawn(x, place, stay.label, target(stay), fold))
        on_stay()
    return [_rows(rows) for rows in drawn]


class _Drawn(NamedTuple):
    """A patient's moments."""

    x: NDArray[np.float64]
    place: int
    label: int
    target: float
    fold: int


def target(stay: Stay) -> float:
    """What the trees learn of a patient, 0 to 1."""
    if stay.label:
        return 1.0
    return SOON if stay.died_on_day is not None and stay.died_on_day <= SOON_D else 0.0


def _rows(drawn: list[_Drawn]) -> Rows:
    counts = torch.tensor([len(d.x) for d in drawn])

    def spread(values: Sequence[float]) -> Tensor:
        return torch.tensor(values).repeat_interleave(counts)

    return Rows(
        torch.from_numpy(np.concatenate([d.x for d in drawn])),
        spread([d.place for d in drawn]),
        spread([d.label for d in drawn]).double(),
        spread([d.target for d in drawn]).double(),
        spread([d.fold for d in drawn]),
        (1.0 / counts.double()).repeat_interleave(counts),
    )


class Fitted(NamedTuple):
    """What training gives."""

    tensors: dict[str, Tensor]  # of the bundle
    coverage: dict[str, Any]  # what the conformal gate refuses of held-out patients


def fit(
    stays: Sequence[Stay],
    config: TrainConfig,
    on_stay: Callable[[], None],
    on_tree: Callable[[], None],
) -> Fitted:
    """Deterministic for a seed, one thread and the same libraries."""
    rows = training_rows(stays, on_stay)
    by_anchor: list[LeafwiseTrees] = []
    for a, (anchor, part) in enumerate(zip(ANCHORS, rows, strict=True)):
        how = config.forest(anchor)
        members = []
        for fold in range(FOLDS):
            seed = config.seed * 1_000 + fold * 10 + 2 * a
            members.append(_grown(part, fold, how, seed, on_tree))
        before = (by_anchor[-1], anchor) if anchor == LAST else None
        by_anchor.append(_calibrated(part, joined(members), before))
    return bundled(stays, rows, by_anchor)


def _grown(
    rows: Rows, fold: int, how: LeafwiseConfig, seed: int, on_tree: Callable[[], None]
) -> LeafwiseTrees:
    """One member, without the patients of one fold."""
    kept = rows.folds != fold
    x, targets, weights = (t[kept].numpy() for t in (rows.x.float(), rows.targets, rows.weights))
    return grow(x, targets, weights, how, seed, on_tree)


def bundled(stays: Sequence[Stay], rows: list[Rows], by_anchor: list[LeafwiseTrees]) -> Fitted:
    """Everything but the trees."""
    compared = _compared(rows)
    reference = fit_gates(*compared)
    trees = side_by_side(by_anchor)
    small = trees._replace(covers=trees.covers.half())
    tensors = {
        **small._asdict(),
        "anchors": torch.tensor(list(ANCHORS), dtype=torch.float64),
        "counts": torch.tensor([t.columns.shape[1] for t in by_anchor]),
        "fresh": _fresh(rows, by_anchor),
        "usual_gap_h": _usual_gaps(stays),
        **{name: torch.from_numpy(a) for name, a in reference._asdict().items()},
        "cohort": torch.tensor(sorted(enrolled(COHORT, s) for s in stays)),
    }
    return Fitted(tensors, observed(reference, *compared))


def _compared(rows: list[Rows]) -> tuple[Array, Array, Array, Array, Array, list[int]]:
    """What the conformal gate needs of the rows."""
    x, patients, folds = (
        torch.cat([getattr(r, name) for r in rows]).numpy() for name in ("x", "patients", "folds")
    )
    return x, x[:, HOURS], x[:, KNOWN], patients, folds, NEWEST


def _calibrated(
    rows: Rows, trees: LeafwiseTrees, before: tuple[LeafwiseTrees, float] | None = None
) -> LeafwiseTrees:
    """Leaves and levels with a slope and an offset (Platt) worked in.

    Fitted on log-odds of patients that a member has not seen; for member m on the patients of the
    other folds, so that scoring fold m with member m is free of its labels altogether. `before`:
    the calibrated forest of the anchor before, and the hour of this one. Then the sum of both is
    calibrated, as it answers at the times of the rows: two forests that are calibrated apart are
    too timid together.
    """
    unseen = _unseen(rows, trees)
    beside, share = torch.zeros_like(unseen), torch.ones_like(unseen)
    if before is not None:
        earlier, hour = before
        share = _share(rows.x[:, HOURS], list(ANCHORS)[-2], hour)
        beside = (1 - share) * _unseen(rows, earlier)
    leaves, levels = trees.leaves.double(), trees.levels.double()
    for m in range(len(levels)):
        k = rows.folds != m
        slope, offset = platt(unseen[k], rows.labels[k], rows.weights[k], beside[k], share[k])
        leaves[m] *= slope
        levels[m] = slope * levels[m] + offset
    # What is shipped is on the grid; everything from here on uses what is shipped.
    return trees._replace(leaves=on_grid(leaves), levels=on_grid(levels))


def _unseen(rows: Rows, trees: LeafwiseTrees) -> Tensor:
    """(N,) log-odds by the member that never saw the patient."""
    scores, _ = LeafwiseForest(trees, len(FEATURES))(rows.x)
    return scores.gather(1, rows.folds[:, None])[:, 0]


def _share(hours: Tensor, first: float, last: float) -> Tensor:
    """(N,) hours in the stay → (N,) weight of the later of two anchors, as `models.timed` has it.

    Where no time is known the later one answers alone.
    """
    logs = hours.nan_to_num(last).clamp(min=1e-3).log()
    part = (logs - math.log(first)) / (math.log(last) - math.log(first))
    return part.clamp(0.0, 1.0)


def platt(
    log_odds: Tensor,
    labels: Tensor,
    weights: Tensor | None = None,
    beside: Tensor | None = None,
    share: Tensor | None = None,
) -> tuple[float, float]:
    """Slope and offset of a logistic regression on log-odds, by Newton's method.

    The regression is of share * (slope * log-odds + offset) + beside. Drawn towards (1, 0) by a
    hundredth of a patient, so that few or separable rows have an answer.
    """
    w = torch.ones_like(log_odds) if weights is None else weights
    part = torch.ones_like(log_odds) if share is None else share
    rest = torch.zeros_like(log_odds) if beside is None else beside
    design = torch.stack([log_odds, torch.ones_like(log_odds)], 1) * part[:, None]  # (N, 2)
    start = torch.tensor([1.0, 0.0], dtype=torch.float64)
    beta = start
    for _ in range(200):
        p = torch.sigmoid(design @ beta + rest)
        gradient = design.T @ ((p - labels) * w) + _PULL * (beta - start)
        hessian = (design * (w * p * (1 - p))[:, None]).T @ design + _PULL * torch.eye(2)
        step = torch.linalg.solve(hessian, gradient).clamp(-1, 1)  # never runs away
        beta = beta - step
        if float(step.abs().max()) < 1e-10:
            break
    return float(beta[0]), float(beta[1])


def _fresh(rows: list[Rows], by_anchor: list[LeafwiseTrees]) -> Tensor:
    """(A, V, Q): quantiles of what a variable adds just after it was measured."""
    shares = (torch.arange(_QUANTILES, dtype=torch.float64) + 0.5) / _QUANTILES
    found = torch.zeros((len(rows), len(CATALOGUE), _QUANTILES), dtype=torch.float32)
    for a, (part, trees) in enumerate(zip(rows, by_anchor, strict=True)):
        _, parts = LeafwiseForest(trees, len(FEATURES))(part.x, len(part.x))
        for v, variable in enumerate(CATALOGUE):
            columns = [j for j, f in enumerate(FEATURES) if f.variable == variable.name]
            age = part.x[:, COLUMN[f"{variable.name}.hours_since"]]
            just = age <= _FRESH_H
            chosen = just if int(just.sum()) >= 20 else ~age.isnan()
            if bool(chosen.any()):
                found[a, v] = parts[chosen, 0][:, columns].sum(1).quantile(shares).float()
    return found


def _usual_gaps(stays: Sequence[Stay]) -> Tensor:
    """(V,): median hours between two measurements; the whole record where one is the rule."""
    gaps: list[float] = []
    for variable in CATALOGUE:
        between: list[NDArray[np.float64]] = []
        for stay in stays:
            end = ADMITTED_AT + _WINDOW_H * HOUR_S
            times = stay.record.times(variable.codes, ADMITTED_AT, end)
            if len(times) > 1:
                between.append(np.diff(np.array(times)) / HOUR_S)
        gaps.append(float(np.median(np.concatenate(between))) if between else _WINDOW_H)
    return torch.tensor(gaps, dtype=torch.float64)
