"""How much of a figure rests on an input that may tell the outcome, and on whom is judged.

The nested cross-validation of late fusion once more, with the same folds: as it is, without the
doubted input, and with those whose event came before the score.

Letters in shape comments: N patients, C columns, R repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import metrics
from models.encoding import columns_of
from models.inputs import Question
from models.metrics import Array
from models.training.comparison import Task
from models.training.linear import INNER, course_of, folds_of, late, matrix
from models.training.shrinkage import fit_late
from models.training.tumours import Folded


def sensitivity(
    question: Question, patients: Sequence[Folded], task: Task, repeats: int, seed: int
) -> list[dict[str, Any]]:
    """Rows of figures. `task` is of the patients at risk, `patients` are all."""
    numbers = [i for i, one in enumerate(question.inputs) if one.variable.name == question.doubted]
    doubted = [j for j, c in enumerate(task.columns) if c.at in numbers]
    flagged = np.nan_to_num(task.x[:, doubted]).max(1) > 0
    hidden = task.x.copy()
    hidden[:, doubted] = np.nan
    everybody = Task(
        matrix(question, patients)[:, : len(task.columns)],
        course_of(patients),
        [c for c in columns_of(question.sources) if c.modality < len(question.modalities)],
        *task[3:],
    )
    name = question.inputs[numbers[0]].variable.display.lower()
    plain = nested(task, repeats, seed)
    without = nested(task._replace(x=hidden), repeats, seed)
    some = np.ones(len(task.x), dtype=np.bool_)
    return [
        _row("as above", plain, task, some),
        _row(f"without the input: {name}", without, task, some),
        _row(f"judged without patients who have it: {name}", plain, task, ~flagged),
        _row(
            "with patients whose event came before the score",
            nested(everybody, repeats, seed),
            everybody,
            np.ones(len(everybody.x), dtype=np.bool_),
        ),
    ]


def nested(task: Task, repeats: int, seed: int) -> Array:
    """(R, N) log-odds of late fusion of outer folds' patients; NaN of those not judged."""
    known = task.course.known
    found = np.full((repeats, len(task.x)), np.nan)
    for repeat in range(repeats):
        folds = folds_of(task.course.labels, seed * 1_000 + repeat)
        for fold in range(INNER):
            rest, test = folds != fold, (folds == fold) & known
            seen = task.course.of(rest)
            one = fit_late(
                task.x[rest], seen, task.columns, len(task.names), task.horizon_d, seed + repeat
            )
            scores = one.scores(task.x[test], task.columns)
            found[repeat, test] = late(scores, one.weights, seen.baseline)
    return found


def _row(what: str, found: Array, task: Task, of: NDArray[np.bool_]) -> dict[str, Any]:
    judged = of & task.course.known
    y, z = task.course.labels[judged], found[:, judged]
    return {
        "what": what,
        "patients": len(y),
        "events": int(y.sum()),
        "auroc_mean": metrics.rounded(float(np.mean([metrics.auroc(y, row) for row in z]))),
        "auroc": metrics.bootstrap(metrics.auroc, y, z.mean(0)).as_dict(),
    }
