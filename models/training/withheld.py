"""What the interval is worth: modalities withheld from patients whom the member never saw.

Of a patient of whom every modality is known, each is answered again with a part of them, by the way
of live data. Does the interval then hold the probability that stands when all is known?
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from connectors.facts import Observation
from models.ensemble import Scorer
from models.inputs import Modality, Question, codes_of
from models.metrics import rounded
from models.multimodal import MultimodalModel
from models.record import PatientRecord
from models.risk import Assessment
from models.training.tumours import Folded


def parts(question: Question) -> Iterator[tuple[Modality, ...]]:
    """Of the sources, some but not all; the stand-in only where what it predicts is not there."""
    needless = question.modalities[question.predicted_in] if question.predicts else None
    for count in range(1, len(question.modalities) + 1):
        for some in itertools.combinations(question.sources, count):
            whole = set(question.modalities) <= set(some)
            if not whole and not (question.stand_in in some and needless in some):
                yield some


def only(record: PatientRecord, some: Sequence[Modality]) -> PatientRecord:
    """The patient as known from these modalities and who they are."""
    codes = codes_of(some)
    found = PatientRecord()
    found.fold_facts(
        f for f in record.facts.values() if not isinstance(f, Observation) or f.code in codes
    )
    return found


def observed(
    question: Question, model: MultimodalModel, patients: Sequence[Folded]
) -> list[dict[str, Any]]:
    """A row for each part of the modalities that the question can be asked with."""
    scorer = Scorer(model, model.risk)
    pairs = [(p, _answer(scorer, p, p.record)) for p in patients if p.at_risk]
    complete = [(p, a) for p, a in pairs if len(a.evidence) == len(question.modalities)]
    found = []
    for some in parts(question):
        known = [(p, a) for p, a in complete if _has(p.record, some)]
        asked = [(_answer(scorer, p, only(p.record, some)), a) for p, a in known]
        asked = [(less, all_) for less, all_ in asked if less.interval is not None]
        if asked:
            found.append({"known": [m.name for m in some], **_held(asked)})
    return found


def _answer(scorer: Scorer[MultimodalModel], patient: Folded, record: PatientRecord) -> Assessment:
    return scorer.model(patient).assess([(record, patient.last)])[0]


def _has(record: PatientRecord, some: Sequence[Modality]) -> bool:
    return all(any(record.series(c) for c in codes_of([m])) for m in some)


def _held(asked: Sequence[tuple[Assessment, Assessment]]) -> dict[str, Any]:
    spans = [(less.interval, all_.probability) for less, all_ in asked]
    held = [i[0] <= p <= i[1] for i, p in spans if i is not None and p is not None]
    widths = [half_width(less) for less, _ in asked]
    return {
        "patients": len(held),
        "held": rounded(float(np.mean(held))),
        "half_width": rounded(float(np.median(widths))),
    }


def half_width(answer: Assessment) -> float:
    """Of the interval, in log-odds."""
    if answer.interval is None:
        return math.nan
    low, high = (math.log(p / (1 - p)) for p in answer.interval)
    return (high - low) / 2
