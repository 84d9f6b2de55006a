"""A score as the sum that it is: baseline, then what each finding adds, then the result.

Figures are rounded along the running total, not one by one: every shown step is the difference of
two rounded totals, so the column adds up on screen to the last digit, and no step is more than one
unit of the last digit away from its exact value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from connectors.contract import Contribution, Evidence, Score
from streams.console.words import feature_words, finding_words, modality_words

DIGITS = 2
# The model's own name for what its listed features leave over (`models.explanation.REST`, which
# cannot be imported here without torch): part of the sum, never a reason.
REST = "Everything else"


class Kind(StrEnum):
    """What a line of the sum is."""

    BASELINE = "baseline"
    MODALITY = "modality"  # subtotal of the lines that follow it
    FEATURE = "feature"
    REST = "rest"  # what the named features leave of their modality's evidence
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the sum. `effect` is exact, `shown` is rounded so that the column adds up."""

    kind: Kind
    label: str
    effect: float  # log-odds
    shown: float
    words: str = ""  # with the value
    modality: str = ""
    as_of: str | None = None


class _Column:
    """Running totals, exact and rounded."""

    def __init__(self) -> None:
        self._exact = 0.0
        self._rounded = 0.0

    def add(self, effect: float) -> float:
        """The step as it is shown."""
        self._exact += effect
        rounded = round(self._exact, DIGITS)
        step = round(rounded - self._rounded, DIGITS)
        self._rounded = rounded
        return step


def lines(score: Score) -> list[Line]:
    """The sum, top to bottom. The shown baseline, features and rests add up to the shown sum."""
    column = _Column()
    found = [Line(Kind.BASELINE, "Baseline", score.baseline, column.add(score.baseline))]
    for evidence in score.evidence:
        found += _modality(evidence, column)
    total = math.fsum([score.baseline, *(e.llr for e in score.evidence)])
    shown = round(math.fsum(line.shown for line in found if line.kind is not Kind.MODALITY), DIGITS)
    found.append(Line(Kind.SUM, "Sum (log-odds)", total, shown))
    return found


def _modality(evidence: Evidence, column: _Column) -> list[Line]:
    steps: list[Line] = []
    for c in evidence.top:
        steps.append(_feature(c, evidence.modality, column.add(c.contribution)))
    rest = evidence.llr - math.fsum(c.contribution for c in evidence.top)
    shown = column.add(rest)
    if shown or not evidence.top:
        label = "All other findings" if evidence.top else "All findings"
        steps.append(Line(Kind.REST, label, rest, shown, modality=evidence.modality))
    subtotal = Line(
        Kind.MODALITY,
        modality_words(evidence.modality),
        evidence.llr,
        round(math.fsum(s.shown for s in steps), DIGITS),
        modality=evidence.modality,
        as_of=evidence.as_of,
    )
    return [subtotal, *steps]


def _feature(c: Contribution, modality: str, shown: float) -> Line:
    return Line(
        Kind.REST if c.feature == REST else Kind.FEATURE,
        feature_words(c.feature),
        c.contribution,
        shown,
        words=finding_words(c),
        modality=modality,
        as_of=c.as_of,
    )


def reasons(score: Score, most: int = 3) -> list[Contribution]:
    """The features of any modality that raise the risk most; those that lower it when none does."""
    every = [c for e in score.evidence for c in e.top if c.feature != REST]
    every = [c for c in every if c.contribution > 0] or every
    return sorted(every, key=lambda c: (-abs(c.contribution), c.feature))[:most]


def probability_of(log_odds: float) -> float:
    """The logistic function."""
    return 1 / (1 + math.exp(-log_odds))
