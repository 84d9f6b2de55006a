"""What a multimodal model reads of a patient: declared inputs, grouped by modality.

An input is the newest value known at the time of prediction, in its canonical unit, NaN where there
is none. Nothing later than that time is read. Not measured is no evidence: the column stays at its
training mean.

Letters in shape comments: N patients, I inputs, C columns, K modalities.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from connectors.facts import Observation, PersonDetail
from models.record import EVER, PatientRecord
from models.units import canonical
from models.variables import Variable

AGE = Variable("age", "Age", (), "a", 0, 120)
SEX = Variable("sex", "Sex", (), "", 0, 1, answers=(("m", 1.0), ("f", 0.0)))
DAY_S = 86_400.0
# Standard deviations from the training mean beyond which a value says no more: a line is a good
# description of what was seen, not of what never was.
FARTHEST = 4.0


class Input(NamedTuple):
    """One input. With `levels` it is a category: a column for each level."""

    variable: Variable
    levels: tuple[float, ...] = ()
    log: bool = False  # counts, volumes: log(1 + x)


class Modality(NamedTuple):
    """Inputs that one model turns into evidence."""

    name: str  # ehr, blood, pathology, imaging, genomics
    display: str
    inputs: tuple[Input, ...]
    half_life_d: float | None = None  # evidence halves in so many days; None: it does not age


@dataclass(frozen=True, slots=True)
class Question:
    """A multimodal risk: what is asked, of whom, from what."""

    risk: str
    asks: str
    modalities: tuple[Modality, ...]  # that are fused
    eligible: frozenset[str]  # codes: a patient without any of them is not asked about
    expires_d: float  # without any newer datum, no answer
    stand_in: Modality | None = None  # predicts an input of another modality until it is known
    predicts: str = ""  # the name of that input
    predicts_level: float = 1.0

    @property
    def sources(self) -> tuple[Modality, ...]:
        """All modalities that are read."""
        return (*self.modalities, *((self.stand_in,) if self.stand_in else ()))

    def contract(self) -> dict[str, Any]:
        """What a bundle was made for, as JSON."""
        return {
            "modalities": [[m.name, [_described(i) for i in m.inputs]] for m in self.sources],
            "predicts": self.predicts,
        }


def _described(one: Input) -> dict[str, Any]:
    v = one.variable
    return {
        "name": v.name,
        "codes": list(v.codes),
        "answers": [list(pair) for pair in v.answers],
        "unit": v.unit,
        "range": [v.low, v.high],
        "levels": list(one.levels),
        "log": one.log,
    }


class Reading(NamedTuple):
    """What is known of one modality."""

    values: list[float]  # of its inputs, NaN where not known
    times: list[float]  # of observation; `EVER` of what has none
    newest: float  # time of the newest observation, `EVER` without one


def read(modality: Modality, record: PatientRecord, as_of: float) -> Reading:
    """The newest usable values at `as_of`."""
    pairs = [_newest(one.variable, record, as_of) for one in modality.inputs]
    return Reading([v for v, _ in pairs], [t for _, t in pairs], max(t for _, t in pairs))


def _newest(variable: Variable, record: PatientRecord, as_of: float) -> tuple[float, float]:
    if variable is AGE:
        age = record.age(as_of)
        return (math.nan if age is None else age), EVER
    if variable is SEX:
        said = str(record.person(PersonDetail.SEX) or "").casefold()
        return dict(variable.answers).get(said, math.nan), EVER
    best: Observation | None = None
    for code in variable.codes:
        for one in reversed(record.between(code, EVER, as_of)):
            if best is not None and one.time <= best.time:
                break
            if isinstance(canonical(variable, one), float):
                best = one
                break
    if best is None:
        return math.nan, EVER
    value = canonical(variable, best)
    assert isinstance(value, float)  # noqa: S101 - chosen for it above
    return value, best.time


class Column(NamedTuple):
    """One number of the model."""

    at: int  # input, counted over all modalities
    modality: int
    level: float | None  # 1 where the input has this level
    log: bool


def columns_of(modalities: Sequence[Modality]) -> list[Column]:
    """Columns in the order of modalities and their inputs."""
    found: list[Column] = []
    at = 0
    for k, modality in enumerate(modalities):
        for one in modality.inputs:
            if one.levels:
                found += [Column(at, k, level, False) for level in one.levels]
            else:
                found.append(Column(at, k, None, one.log))
            at += 1
    return found


def codes_of(modalities: Sequence[Modality]) -> frozenset[str]:
    """Codes of all inputs."""
    return frozenset(c for m in modalities for i in m.inputs for c in i.variable.codes)
