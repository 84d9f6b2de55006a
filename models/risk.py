"""What every risk gives, whatever stands behind it: additive evidence with its reasons.

One interface for learned models, fusions of several, and rules. The streaming worker and the
offline evaluation call the same `assess`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import msgspec

from connectors.contract import Evidence, FallBack, Missing, SetAside
from models.record import PatientRecord


class Assessment(msgspec.Struct, frozen=True, gc=False):
    """A risk's answer for one patient at one time.

    `baseline + Σ evidence.llr = log_odds` to the printed six decimals. When `abstained` names a
    reason, `log_odds`, `probability` and `interval` are None. `fall_back`: a rule answers in the
    model's place, and all the rest is the rule's.
    """

    as_of: float
    baseline: float
    evidence: tuple[Evidence, ...]
    log_odds: float | None
    probability: float | None
    interval: tuple[float, float] | None
    abstained: str | None
    missing: Missing
    fall_back: FallBack | None = None


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Threshold with hysteresis, on the probability: fires at `fire`, clears below `clear`."""

    fire: float
    clear: float
    critical: float  # at or above: severity critical
    version: str

    def __post_init__(self) -> None:
        """Raises `ValueError` for thresholds that no probability can pass in this order."""
        if not 0 < self.clear <= self.fire <= self.critical < 1:
            raise ValueError(
                f"a rule needs 0 < clear <= fire <= critical < 1, not {self.clear}, {self.fire}, "
                f"{self.critical}"
            )


def probability_of(log_odds: float) -> float:
    """To the printed six decimals."""
    return round(1.0 / (1.0 + math.exp(-log_odds)), 6)


def abstained(
    as_of: float,
    baseline: float,
    reason: StrEnum,
    modalities: Sequence[str],
    set_aside: Sequence[SetAside] = (),
) -> Assessment:
    """No answer, and why; `modalities` are those that are lacking."""
    return Assessment(
        as_of=as_of,
        baseline=baseline,
        evidence=(),
        log_odds=None,
        probability=None,
        interval=None,
        abstained=reason.value,
        missing=Missing(modalities=list(modalities), next_datum=None, set_aside=list(set_aside)),
    )


class RiskModel(Protocol):
    """A loaded bundle."""

    @property
    def risk(self) -> str:
        """Its name, e.g. `deterioration`."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 over everything that influences its answers."""
        ...

    @property
    def codes(self) -> frozenset[str]:
        """Codes of observations that it reads."""
        ...

    @property
    def rule(self) -> AlertRule:
        """The thresholds that it ships with."""
        ...

    @property
    def expires_s(self) -> float:
        """Seconds after its newest datum from which on it abstains."""
        ...

    def expires_at(self, record: PatientRecord, as_of: float) -> float:
        """When an answer of `as_of` is given no more, if nothing new comes (epoch seconds)."""
        ...

    @property
    def of_stay(self) -> bool:
        """Is the question about a stay? Then a discharge ends its alerts."""
        ...

    def concerns(self, record: PatientRecord) -> bool:
        """Is the question about this patient at all? Whom it never concerned has no score."""
        ...

    def assess(self, patients: Sequence[tuple[PatientRecord, float]]) -> list[Assessment]:
        """One answer for each (record, as_of), in order, from one batch through the network."""
        ...

    def log_odds(self, patients: Sequence[tuple[PatientRecord, float]]) -> list[float | None]:
        """As `assess`, without explanations: None where it abstains."""
        ...

    def answer(
        self,
        patients: Sequence[tuple[PatientRecord, float]],
        points: Sequence[tuple[PatientRecord, float]],
    ) -> tuple[list[Assessment], list[float | None]]:
        """`assess` of the patients and `log_odds` of the points, in one batch."""
        ...

    def forget(self, records: Iterable[PatientRecord]) -> None:
        """Let go of what is remembered of these patients, half done or not: they are strangers.

        Called after an error. What was remembered saved time, and no answer rests on it.
        """
        ...


class Answering(ABC):
    """What follows from `answer`, for those who implement a `RiskModel`."""

    of_stay = True
    codes: frozenset[str]
    expires_s: float

    def expires_at(self, record: PatientRecord, as_of: float) -> float:
        """As in `RiskModel`: what is read grows too old."""
        return record.newest(self.codes, math.nextafter(as_of, math.inf)) + self.expires_s

    @abstractmethod
    def answer(
        self,
        patients: Sequence[tuple[PatientRecord, float]],
        points: Sequence[tuple[PatientRecord, float]],
    ) -> tuple[list[Assessment], list[float | None]]:
        """As in `RiskModel`."""

    def forget(self, records: Iterable[PatientRecord]) -> None:  # noqa: B027 - some have nothing
        """Who remembers something of patients lets go of it here."""

    def assess(self, patients: Sequence[tuple[PatientRecord, float]]) -> list[Assessment]:
        """One answer for each (record, as_of), with reasons."""
        return self.answer(patients, ())[0]

    def log_odds(self, patients: Sequence[tuple[PatientRecord, float]]) -> list[float | None]:
        """As `assess`, without explanations: None where it abstains."""
        return self.answer((), patients)[1]
