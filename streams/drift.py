"""Do scores look as they did? Counted by the hour, from `tocsin.scores`.

The last day is compared with the days before it, by the population stability index. Of their inputs
it is counted here how often they are missing; `streams.inputs` looks at their values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec
from confluent_kafka import KafkaException

from connectors import topics
from connectors.clock import Clock, from_iso
from connectors.contract import FallBack, is_shadow
from connectors.journal import Journal
from streams.errors import UserError
from streams.inputs import InputDrift, Inputs
from streams.sampling import Sample
from streams.stability import DAY_S, beyond_chance

_KEPT_S: Final = 15 * DAY_S
_HOUR_S: Final = 3_600
_BINS: Final = 10
_MOST_FACTS: Final = 10_000  # records of one reading; each holds messages, and they values
_FEW: Final = 50  # scores: fewer say nothing


class _Missing(msgspec.Struct):
    features: list[str] = []


class _Told(msgspec.Struct):
    """What is read of a score."""

    risk: str
    as_of: str
    probability: float | None
    missing: _Missing
    fall_back: FallBack | None = None


_decode = msgspec.json.Decoder(_Told).decode


@dataclass(slots=True)
class Counted:
    """Scores of a risk in some hours."""

    bins: list[int] = field(default_factory=lambda: [0] * _BINS)
    abstained: int = 0
    missing: Counter[str] = field(default_factory=Counter)

    @property
    def scores(self) -> int:
        """In all."""
        return sum(self.bins) + self.abstained

    def take(self, told: _Told) -> None:
        """One score more."""
        if told.probability is None or told.fall_back:  # the model itself gave no answer
            self.abstained += 1
        else:
            self.bins[min(int(told.probability * _BINS), _BINS - 1)] += 1
        self.missing.update(told.missing.features)

    def add(self, other: Counted) -> None:
        """Another hour."""
        self.bins = [a + b for a, b in zip(self.bins, other.bins, strict=True)]
        self.abstained += other.abstained
        self.missing += other.missing


@dataclass(frozen=True, slots=True)
class Input:
    """How often something that a model reads was not there."""

    name: str
    before: float
    now: float


@dataclass(frozen=True, slots=True)
class Drift:
    """One risk: the last day against those before."""

    risk: str
    scores: tuple[int, int]  # before, now
    psi: float | None  # of the probability; None where there are too few
    abstained: tuple[float, float]  # shares, before and now
    inputs: list[Input]  # most changed first


class Report(NamedTuple):
    """What moves."""

    risks: list[Drift]
    inputs: list[InputDrift]  # most changed first


class DriftDesk:
    """Reads the log on from where it was read to. Call it from a thread."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._clock = clock
        self._scores = Sample(journal, topics.SCORES)
        self._facts = Sample(journal, topics.FACTS, most=_MOST_FACTS)
        self._hours: dict[tuple[str, int], Counted] = {}
        self._inputs = Inputs()

    def report(self) -> Report:
        """As of now. Raises `UserError`."""
        since = self._clock() - _KEPT_S
        try:
            for stored in self._scores.read(since):
                if not is_shadow(stored.value):  # bundles on trial are compared elsewhere
                    self._take(stored.value)
            for stored in self._facts.read(since):
                self._inputs.take(stored.value)
        except KafkaException as error:
            raise UserError(f"Kafka does not answer ({error.args[0].str()}).") from None
        self._forget()
        risks = [self._of(risk) for risk in sorted({risk for risk, _ in self._hours})]
        return Report(risks, self._inputs.report())

    def _take(self, raw: bytes) -> None:
        try:
            told = _decode(raw)
            hour = int(from_iso(told.as_of)) // _HOUR_S
        except (msgspec.MsgspecError, ValueError):
            return
        self._hours.setdefault((told.risk, hour), Counted()).take(told)

    def _forget(self) -> None:
        newest = max((hour for _, hour in self._hours), default=0)
        old = newest - int(_KEPT_S) // _HOUR_S
        self._hours = {key: c for key, c in self._hours.items() if key[1] > old}
        self._inputs.forget(_KEPT_S)

    def _of(self, risk: str) -> Drift:
        hours = {hour: c for (name, hour), c in self._hours.items() if name == risk}
        border = max(hours) - int(DAY_S) // _HOUR_S
        before = total(c for hour, c in hours.items() if hour <= border)
        now = total(c for hour, c in hours.items() if hour > border)
        enough = min(sum(before.bins), sum(now.bins)) >= _FEW
        return Drift(
            risk=risk,
            scores=(before.scores, now.scores),
            psi=round(beyond_chance(before.bins, now.bins), 4) if enough else None,
            abstained=(_share(before.abstained, before), _share(now.abstained, now)),
            inputs=_inputs(before, now) if enough else [],
        )


def total(some: Iterable[Counted]) -> Counted:
    """All of them together."""
    found = Counted()
    for one in some:
        found.add(one)
    return found


def _share(count: int, of: Counted) -> float:
    return count / of.scores if of.scores else 0.0


def _inputs(before: Counted, now: Counted) -> list[Input]:
    found = [
        Input(name, _share(before.missing[name], before), _share(now.missing[name], now))
        for name in before.missing.keys() | now.missing.keys()
    ]
    return sorted(found, key=lambda i: (-abs(i.now - i.before), i.name))
