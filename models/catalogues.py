"""Which variable each risk reads under a code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from models import news2
from models.questions import QUESTIONS
from models.sepsis_variables import SEPSIS_CATALOGUE
from models.variables import CATALOGUE, Variable


@cache
def variables_of(risk: str) -> Mapping[str, Variable]:
    """By code; empty for a risk that this code does not know."""
    return {code: variable for variable in _read_by(risk) for code in variable.codes}


def _read_by(risk: str) -> Sequence[Variable]:
    if risk in QUESTIONS:
        return [one.variable for one in QUESTIONS[risk].inputs]
    own = {"deterioration": CATALOGUE, "news2": news2.READ, "sepsis": SEPSIS_CATALOGUE}
    return own.get(risk, ())
