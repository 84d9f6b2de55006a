"""Do scores and their inputs look as they did? Counted by the hour, from `tocsin.scores`.

The last day is compared with the days before it. The population stability index (PSI) is the sum
over bins of (now - before) · ln(now / before); by common usage below 0.1 is steady, above 0.25 is a
change that somebody should look into.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from confluent_kafka import KafkaException

from connectors import topics
from connectors.clock import Clock, from_iso
from connectors.contract import is_shadow
from connectors.journal import Journal
from streams.errors import UserError

DAY_S: Final = 86_400.0
STEADY, CHANGED = 0.1, 0.25  # PSI
_KEPT_S: Final = 15 * DAY_S
_HOUR_S: Final = 3_600
_BINS: Final = 10
_FLOOR: Final = 1e-4  # of a share: an empty bin must not make the index infinite
_FEW: Final = 50  # scores: fewer say nothing


class _Missing(msgspec.Struct):
    features: list[str] = []


class _Told(msgspec.Struct):
    """What is read of a score."""

    risk: str
    as_of: str
    probability: float | None
    missing: _Missing


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
        if told.probability is None:
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


class DriftDesk:
    """Reads the log on from where it was read to. Call it from a thread."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal, self._clock = journal, clock
        self._next: dict[int, int] = {}
        self._hours: dict[tuple[str, int], Counted] = {}

    def report(self) -> list[Drift]:
        """By risk. Raises `UserError`."""
        since = self._clock() - _KEPT_S
        try:
            for stored in self._journal.read(topics.SCORES, self._next, since):
                self._next[stored.partition] = stored.offset + 1
                if not is_shadow(stored.value):  # bundles on trial are compared elsewhere
                    self._take(stored.value)
        except KafkaException as error:
            raise UserError(f"Kafka does not answer ({error.args[0].str()}).") from None
        self._forget()
        return [self._of(risk) for risk in sorted({risk for risk, _ in self._hours})]

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

    def _of(self, risk: str) -> Drift:
        hours = {hour: c for (name, hour), c in self._hours.items() if name == risk}
        border = max(hours) - int(DAY_S) // _HOUR_S
        before = total(c for hour, c in hours.items() if hour <= border)
        now = total(c for hour, c in hours.items() if hour > border)
        enough = min(sum(before.bins), sum(now.bins)) >= _FEW
        return Drift(
            risk=risk,
            scores=(before.scores, now.scores),
            psi=round(psi(before.bins, now.bins), 4) if enough else None,
            abstained=(_share(before.abstained, before), _share(now.abstained, now)),
            inputs=_inputs(before, now) if enough else [],
        )


def total(some: Iterable[Counted]) -> Counted:
    """All of them together."""
    found = Counted()
    for one in some:
        found.add(one)
    return found


def psi(before: Sequence[int], now: Sequence[int]) -> float:
    """Population stability index of two histograms over the same bins."""
    first, second = (
        [max(count / max(sum(some), 1), _FLOOR) for count in some] for some in (before, now)
    )
    return math.fsum((b - a) * math.log(b / a) for a, b in zip(first, second, strict=True))


def _share(count: int, of: Counted) -> float:
    return count / of.scores if of.scores else 0.0


def _inputs(before: Counted, now: Counted) -> list[Input]:
    found = [
        Input(name, _share(before.missing[name], before), _share(now.missing[name], now))
        for name in before.missing.keys() | now.missing.keys()
    ]
    return sorted(found, key=lambda i: (-abs(i.now - i.before), i.name))
