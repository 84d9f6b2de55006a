"""The printed reasons do not depend on who else is asked about in the same batch."""

from __future__ import annotations

import numpy as np

from models.bundle import load_bundle
from models.deterioration import DeteriorationModel
from models.explanation import GROUPS, Explainer, NextDatum
from models.features import FEATURES, FeatureReader
from models.grid import STEP
from tests.unit.models.patients import HOUR, START, sick

PATIENTS, MEMBERS = 300, 5
# So many steps, shared by the members, are a whole number of millionths and a half.
WHOLE, HALF = 4_096, 2_048


def test_what_lies_on_the_edge_of_being_rounded_up_is_rounded_alike_in_every_batch() -> None:
    """What trees add lies on a grid of halves, so sums may end in exactly half of a millionth. A
    product of matrices adds in another order for one patient than for many."""
    model = load_bundle(None, "deterioration")
    assert isinstance(model, DeteriorationModel)
    tensors = model.bundle.tensors
    explain = Explainer(NextDatum(*(tensors[n].numpy() for n in NextDatum._fields)))
    x, windows = FeatureReader().matrix([(sick(), START + 9 * HOUR)])
    rng = np.random.default_rng(0)
    steps = rng.integers(-200_000, 200_000, (PATIENTS, len(FEATURES)))
    for columns in GROUPS:
        steps[:, columns[-1]] += HALF - steps[:, columns].sum(1) % WHOLE
    parts = steps * STEP / MEMBERS
    llr = parts.sum(1).round(6)
    many, everyone = np.repeat(x, PATIENTS, axis=0), windows * PATIENTS
    together = explain(many, everyone, parts.copy(), llr)
    alone = [
        explain(many[i : i + 1], everyone[:1], parts[i : i + 1].copy(), llr[i : i + 1])[0]
        for i in range(PATIENTS)
    ]
    assert together == alone
