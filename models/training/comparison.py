"""Which way of fusing is best, by repeated nested cross-validation: the same folds for all.

Letters in shape comments: N patients, C columns, K modalities, R repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import fusion, metrics
from models.encoding import Column
from models.metrics import Array
from models.training.intermediate import fit_embeddings
from models.training.linear import INNER, Fitted, fit, fit_linear, folds_of, late, places

LATE, NAIVE, AVERAGE, STACKED = "late", "late, naive sum", "late, average", "late, stacked"
EARLY, INTERMEDIATE, TREES = "early", "intermediate", "early, boosted trees"
WITHHELD = (0.1, 0.3, 0.5, 0.7, 0.9)


def compare(
    x: Array,
    labels: Array,
    columns: Sequence[Column],
    names: Sequence[str],
    repeats: int,
    seed: int,
    on_fold: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Figures of single modalities and of every fusion, with intervals and paired differences.

    Predictions (R, N) are of outer folds' patients, whom nothing in the fold's training saw.
    """
    predicted: dict[str, Array] = {}
    stress: dict[float, list[Array]] = {share: [] for share in WITHHELD}
    for repeat in range(repeats):
        folds = folds_of(labels, seed * 1_000 + repeat)
        rows = {share: np.zeros(len(labels)) for share in WITHHELD}
        for fold in range(INNER):
            rest = folds != fold
            found, withheld = _fold(x, labels, rest, columns, names, seed + repeat)
            for name, scores in found.items():
                table = predicted.setdefault(name, np.full((repeats, len(labels)), np.nan))
                table[repeat, ~rest] = scores
            for share, scores in withheld.items():
                rows[share][~rest] = scores
            on_fold()
        for share in WITHHELD:
            stress[share].append(rows[share])
    return _figures(predicted, stress, labels, names)


def _fold(
    x: Array,
    labels: Array,
    rest: NDArray[np.bool_],
    columns: Sequence[Column],
    names: Sequence[str],
    seed: int,
) -> tuple[dict[str, Array], dict[float, Array]]:
    """Log-odds of the fold's patients by every variant, and with modalities withheld."""
    y, test = labels[rest], x[~rest]
    fitted = fit(x[rest], y, columns, len(names), seed)
    scores = fitted.scores(test, columns)
    baseline = float(np.log(y.mean() / (1 - y.mean())))
    found = {LATE: fitted.log_odds(scores, baseline)}
    plain = fitted.gain / fitted.slope
    found[NAIVE] = late(scores, fusion.naive(plain), fitted.middle, baseline)
    found[AVERAGE] = np.nan_to_num(np.nanmean(scores, 1), nan=baseline)
    found[STACKED] = _stacked(fitted, y, scores)
    for k, name in enumerate(names):
        alone = np.full_like(scores, np.nan)
        alone[:, k] = scores[:, k]
        out = fitted.log_odds(alone, baseline)
        found[name] = np.where(np.isnan(scores[:, k]), np.nan, out)
    early, _ = fit_linear(x[rest], y, seed)
    found[EARLY] = early.scores(test)
    found[TREES] = _trees(x[rest], y, test, seed)
    found[INTERMEDIATE] = fit_embeddings(x[rest], y, places(columns, len(names)), seed)(test)
    rng = np.random.default_rng(seed)
    withheld = {}
    for share in WITHHELD:
        fewer = np.where(rng.random(scores.shape) < share, np.nan, scores)
        withheld[share] = fitted.log_odds(fewer, baseline)
    return found, withheld


def _stacked(fitted: Fitted, labels: Array, scores: Array) -> Array:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    def design(s: Array) -> Array:
        return np.concatenate([np.nan_to_num(s), np.isnan(s).astype(np.float64)], 1)

    model = LogisticRegression(C=1.0).fit(design(fitted.unseen), labels)
    return np.asarray(model.decision_function(design(scores)), dtype=np.float64)


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
        "best_single": best,
        "late_minus_best_single": _paired(mean[LATE], mean[best], labels),
        "late_minus_early": _paired(mean[LATE], mean[EARLY], labels),
        "withheld": {
            f"{share:g}": metrics.rounded(_mean_auroc(np.array(rows), labels))
            for share, rows in stress.items()
        },
    }


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
    }


def _paired(a: Array, b: Array, labels: Array) -> dict[str, float | None]:
    """Difference of AUROC on the patients whom both score, with its 95 % interval."""
    known = ~np.isnan(a + b)

    def difference(y: Array, pair: Array) -> float:
        return metrics.auroc(y, pair[:, 0]) - metrics.auroc(y, pair[:, 1])

    pairs = np.stack([a[known], b[known]], 1)
    return metrics.bootstrap(difference, labels[known], pairs).as_dict()
