"""What a multimodal model reads of a patient, declared: inputs, grouped by modality.

How they are read, and from when on and until when, says `models.reading`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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
    preoperative: bool = False  # what is measured after the index date says another thing


@dataclass(frozen=True, slots=True)
class Question:
    """A multimodal risk: what is asked, of whom, from what."""

    risk: str
    asks: str
    modalities: tuple[Modality, ...]  # that are fused
    eligible: frozenset[str]  # codes: of whom none of them can be read, it is not asked
    # Codes whose first result dates the operation, the index date. Before there is one, it is the
    # first eligible result.
    operation: frozenset[str]
    window_d: float  # days around the index date within which results are of this tumour
    expires_d: float  # without any newer datum, no answer
    horizon_d: float  # days from the index date within which the event counts; then it is over
    youngest: float  # years at the index date: the age of the youngest training patient
    stand_in: Modality | None = None  # predicts an input of another modality until it is known
    predicts: str = ""  # the name of that input, which has two answers
    left_out: tuple[Modality, ...] = ()  # tried in training, not in the bundle
    # An input that the cohort's outcome may have been told from: the card says what rests on it.
    doubted: str = ""
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
            "operation": sorted(self.operation),
            "preoperative": [m.name for m in self.sources if m.preoperative],
            "window_d": self.window_d,
            "expires_d": self.expires_d,
            "horizon_d": self.horizon_d,
            "youngest": self.youngest,
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


def codes_of(modalities: Sequence[Modality]) -> frozenset[str]:
    """Codes of all inputs."""
    return frozenset(c for m in modalities for i in m.inputs for c in i.variable.codes)
