"""Which way of fusing is best, by repeated nested cross-validation: the same folds for all.

Letters in shape comments: N patients, C columns, K modalities, R repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models import fusion, metrics
from models.encoding import Column
from models.fusion import Weights
from models.metrics import Array
from models.training.intermediate import fit_embeddings
from models.training.linear import INNER, Course, fit_early, folds_of, late, places
from models.training.shrinkage import fit_late

LATE, GAUSSIAN, NAIVE = "late", "late, jointly normal", "late, naive sum"
AVERAGE, EARLY = "late, average", "early"
INTERMEDIATE, TREES = "intermediate", "early, boosted trees"
WITHHELD = (0.1, 0.3, 0.5, 0.7, 0.9)


class Task(NamedTuple):
    """What is compared on."""

    x: Array  # (N, C)
    course: Course
    columns: Sequence[Column]
    names: Sequence[str]  # of the K modalities
    horizon_d: float


def compare(
    task: Task, repeats: int, seed: int, on_fold: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Figures of single modalities and of every fusion, with intervals and paired differences.

    Predictions (R, N) are of outer folds' patients, whom nothing in the fold's training saw.
    Patients whose outcome is not known teach, and are not judged.
    """
    labels, known = task.course.labels, task.course.known
    predicted: dict[str, Array] = {}
    stress: dict[float, list[Array]] = {share: [] for share in WITHHELD}
    for repeat in range(repeats):
        folds = folds_of(labels, seed * 1_000 + repeat)
        rows = {share: np.zeros(len(labels)) for share in WITHHELD}
        for fold in range(INNER):
            test = (folds == fold) & known
            found, withheld = _fold(task, folds != fold, test, seed + repeat)
            for name, scores in found.items():
                table = predicted.setdefault(name, np.full((repeats, len(labels)), np.nan))
                table[repeat, test] = scores
            for share, scores in withheld.items():
                rows[share][test] = scores
            on_fold()
        for share in WITHHELD:
            stress[share].append(rows[share][known])
    judged = {name: table[:, known] for name, table in predicted.items()}
    return _figures(judged, stress, labels[known], task.names)


def _fold(
    task: Task, rest: NDArray[np.bool_], test: NDArray[np.bool_], seed: int
) -> tuple[dict[str, Array], dict[float, Array]]:
    """Log-odds of the fold's patients by every variant, and with modalities withheld."""
    x, course, columns, names, horizon_d = task
    seen, unseen = course.of(rest), x[test]
    decided = rest & course.known
    y = course.labels[decided]
    fitted = fit_late(x[rest], seen, columns, len(names), horizon_d, seed)
    scores, baseline = fitted.scores(unseen, columns), seen.baseline
    normal = fusion.gaussian(torch.from_numpy(fitted.unseen), torch.from_numpy(y))
    found = {
        LATE: late(scores, fitted.weights, baseline),
        GAUSSIAN: late(scores, normal, baseline),
        NAIVE: late(scores, fusion.naive(fitted.weights), baseline),
        AVERAGE: late(_ratios_of(scores, fitted.weights), _mean_of(len(names)), baseline),
    }
    for k, name in enumerate(names):
        alone = np.full_like(scores, np.nan)
        alone[:, k] = scores[:, k]
        out = late(alone, fitted.weights, baseline)
        found[name] = np.where(np.isnan(scores[:, k]), np.nan, out)
    early = fit_early(x[rest], seen, columns, len(names), horizon_d, seed)
    found[EARLY] = late(early.scores(unseen, columns), early.weights, baseline)
    found[TREES] = _trees(x[decided], y, unseen, seed)
    found[INTERMEDIATE] = fit_embeddings(x[decided], y, places(columns, len(names)), seed)(unseen)
    rng = np.random.default_rng(seed)
    withheld = {}
    for share in WITHHELD:
        fewer = np.where(rng.random(scores.shape) < share, np.nan, scores)
        withheld[share] = late(fewer, fitted.weights, baseline)
    return found, withheld


def _ratios_of(scores: Array, weights: Weights) -> Array:
    """(N, K) each modality's own log-likelihood ratio."""
    n = scores.shape[1]
    alone = [np.array([float(w[1 << k, k]) for k in range(n)]) for w in weights]
    return np.asarray(scores * alone[0] + alone[1], dtype=np.float64)


def _mean_of(n: int) -> Weights:
    """The mean of those that are there."""
    there = torch.tensor([[s >> k & 1 for k in range(n)] for s in range(2**n)]).double()
    return Weights(there / there.sum(1, keepdim=True).clamp(min=1.0), torch.zeros_like(there))


def _trees(x: Array, labels: Array, test: Array, seed: int) -> Array:
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415

    known = ~np.isnan(x).all(0)  # scikit-learn cannot bin a column without any value
    model = HistGradientBoostingClassifier(
        max_iter=80,
        learning_rate=0.05,
        max_leaf_nodes=6,
        min_samples_leaf=15,
        l2_regularization=5.0,
        random_state=seed,
    ).fit(x[:, known], labels)
    return np.asarray(model.decision_function(test[:, known]), dtype=np.float64)


def _figures(
    predicted: dict[str, Array],
    stress: dict[float, list[Array]],
    labels: Array,
    names: Sequence[str],
) -> dict[str, Any]:
    mean = {name: table.mean(0) for name, table in predicted.items()}  # NaN where never scored
    best = max(names, key=lambda n: _mean_auroc(predicted[n], labels))
    return {
        "patients": len(labels),
        "events": int(labels.sum()),
        "variants": {n: _variant(predicted[n], mean[n], labels) for n in predicted},
        "singles": list(names),
        "best_single": best,
        "late_minus_best_single": _paired(mean[LATE], mean[best], labels),
        "late_minus_early": _paired(mean[LATE], mean[EARLY], labels),
        "late_minus_intermediate": _paired(mean[LATE], mean[INTERMEDIATE], labels),
        "withheld": {
            f"{share:g}": metrics.rounded(_mean_auroc(np.array(rows), labels))
            for share, rows in stress.items()
        },
    }


def fuses(compared: dict[str, Any]) -> int | None:
    """None where fusion beats the best single modality by more than its interval, else that one."""
    if (compared["late_minus_best_single"]["low"] or 0.0) > 0.0:
        return None
    singles: list[str] = compared["singles"]
    return singles.index(compared["best_single"])


def _mean_auroc(table: Array, labels: Array) -> float:
    """Mean over repeats of the AUROC of those scored."""
    known = ~np.isnan(table[0])
    return float(np.mean([metrics.auroc(labels[known], row[known]) for row in table]))


def _variant(table: Array, mean: Array, labels: Array) -> dict[str, Any]:
    known = ~np.isnan(mean)
    y, z = labels[known], mean[known]
    slopes = [metrics.slope(y, row[known]) for row in table]
    errors = [metrics.ece(y, 1 / (1 + np.exp(-row[known]))) for row in table]
    return {
        "scored": int(known.sum()),
        "auroc_mean": metrics.rounded(_mean_auroc(table, labels)),
        "auroc": metrics.bootstrap(metrics.auroc, y, z).as_dict(),
        "brier": metrics.rounded(metrics.brier(y, 1 / (1 + np.exp(-z)))),
        "calibration_slope": metrics.rounded(float(np.mean(slopes))),
        "ece": metrics.rounded(float(np.mean(errors))),
        "ece_by_chance": metrics.rounded(metrics.ece_by_chance(1 / (1 + np.exp(-table[0][known])))),
    }


def _paired(a: Array, b: Array, labels: Array) -> dict[str, float | None]:
    """Difference of AUROC on the patients whom both score, with its 95 % interval."""
    known = ~np.isnan(a + b)

    def difference(y: Array, pair: Array) -> float:
        return metrics.auroc(y, pair[:, 0]) - metrics.auroc(y, pair[:, 1])

    pairs = np.stack([a[known], b[known]], 1)
    return metrics.bootstrap(difference, labels[known], pairs).as_dict()
