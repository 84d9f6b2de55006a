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

from connectors.facts import PersonDetail
from models.record import EVER, PatientRecord
from models.units import canonical
from models.variables import Variable

AGE = Variable("age", "Age", (), "a", 0, 120)
SEX = Variable("sex", "Sex", (), "", 0, 1, answers=(("m", 1.0), ("f", 0.0)))
DAY_S = 86_400.0


class Input(NamedTuple):
    """One input. With `levels` it is a category: a column for each level."""

    variable: Variable
    levels: tuple[float, ...] = ()
    log: bool = False  # counts, volumes: log(1 + x)
    knots: tuple[float, ...] = ()  # where its line may bend


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
    horizon_d: float = 365.0  # days within which the event counts; for training alone
    stand_in: Modality | None = None  # predicts an input of another modality until it is known
    predicts: str = ""  # the name of that input, which has two answers
    left_out: tuple[Modality, ...] = ()  # tried in training, not in the bundle
    of_stay: bool = False  # is it about a stay? Then a discharge ends its alerts

    @property
    def sources(self) -> tuple[Modality, ...]:
        """All modalities that are read."""
        return (*self.modalities, *((self.stand_in,) if self.stand_in else ()))

    @property
    def inputs(self) -> list[Input]:
        """Of all sources, in order."""
        return [one for modality in self.sources for one in modality.inputs]

    @property
    def predicted_in(self) -> int:
        """The fused modality that holds the predicted input."""
        names = [[i.variable.name for i in m.inputs] for m in self.modalities]
        return next(k for k, inputs in enumerate(names) if self.predicts in inputs)

    @property
    def predicted_column(self) -> int | None:
        """The column of the predicted input: it has two answers, so it is one column."""
        if not self.predicts:
            return None
        names = [one.variable.name for one in self.inputs]
        before = self.inputs[: names.index(self.predicts)]
        return sum(max(1, len(one.levels)) + len(one.knots) for one in before)

    def contract(self) -> dict[str, Any]:
        """What a bundle was made for, as JSON: all of this that influences an answer."""
        return {
            "modalities": [
                [m.name, m.half_life_d, [_described(i) for i in m.inputs]] for m in self.sources
            ],
            "predicts": self.predicts,
            "eligible": sorted(self.eligible),
            "expires_d": self.expires_d,
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
        "knots": list(one.knots),
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
    newest, found = EVER, math.nan
    for code in variable.codes:
        for one in reversed(record.series(code)):
            if one.time > as_of:
                continue
            if one.time <= newest:  # of codes that are reported together the first counts
                break
            value = canonical(variable, one)
            if isinstance(value, float):
                newest, found = one.time, value
                break
    return found, newest


def codes_of(modalities: Sequence[Modality]) -> frozenset[str]:
    """Codes of all inputs."""
    return frozenset(c for m in modalities for i in m.inputs for c in i.variable.codes)
