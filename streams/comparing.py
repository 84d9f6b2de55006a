"""A bundle on trial beside the active one, from what both recorded (`tocsin compare`).

Both scored the same patient at the same record of the log, so their scores come in pairs. The topic
is read once, from front to end, and no score is kept: of each patient and risk the newest record,
sums of the pairs, and where somebody said what became of the patient, one pair for each hour.
"""

from __future__ import annotations

import heapq
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from connectors.contract import LogPosition
from connectors.feedback import RIGHT, WRONG, Action, Feedback

MOST_POINTS = 3_000  # kept for the picture

Outcomes = Mapping[tuple[str, str], int]  # (patient, risk) → did the event come, or was averted?


class Rule(msgspec.Struct, frozen=True, gc=False):
    """Who spoke in the model's place."""

    risk: str


class Brief(msgspec.Struct, frozen=True, gc=False):
    """What is read of a score."""

    patient: str
    risk: str
    as_of: str
    log_odds: float | None
    model: str
    log: LogPosition
    fall_back: Rule | None = None
    shadow: bool = False

    @property
    def own(self) -> float | None:
        """The model's own log-odds; None where it abstained, whether or not a rule spoke."""
        return None if self.fall_back else self.log_odds


brief = msgspec.json.Decoder(Brief).decode


@dataclass(slots=True)
class PatientSums:
    """Of one patient's pairs in which both answered."""

    pairs: int = 0
    apart: float = 0.0  # log-odds, on trial − active


@dataclass(slots=True)
class Trial:
    """One risk and one bundle on trial."""

    risk: str
    active: str  # digests
    shadow: str
    scores: int = 0  # pairs
    silent: list[int] = field(default_factory=lambda: [0, 0])  # active, on trial
    patients: dict[str, PatientSums] = field(default_factory=dict)
    # Sums over pairs in which both answered: z log-odds, p probabilities; active, on trial.
    both: int = 0
    z: list[float] = field(default_factory=lambda: [0.0, 0.0])
    squares: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])  # aa, ss, as
    apart: float = 0.0
    apart_squares: float = 0.0
    apart_most: float = 0.0
    p_apart: float = 0.0
    above: list[int] = field(default_factory=lambda: [0, 0, 0, 0])  # neither, active, trial, both
    # (patient → hour → (active, on trial)), of patients whose outcome is known.
    hours: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    # For the picture: those with the largest hash, so that the same pairs are drawn each time.
    drawn: list[tuple[int, float, float]] = field(default_factory=list)

    def points(self) -> list[tuple[float, float]]:
        """(active, on trial) probabilities of some pairs."""
        return [(a, s) for _, a, s in sorted(self.drawn)]


@dataclass(slots=True)
class _Newest:
    """A patient's newest record of one risk."""

    offset: int
    active: Brief | None = None
    shadows: dict[str, Brief] = field(default_factory=dict)
    paired: set[str] = field(default_factory=set)


class Comparison:
    """Hears scores in the order of their partition; those told twice count once."""

    def __init__(self, thresholds: Mapping[str, float], known: Outcomes) -> None:
        """`thresholds`: by risk, where an alert begins; risks without one are passed over."""
        self._fire = {risk: _log_odds(p) for risk, p in thresholds.items()}
        self._known = known
        self._newest: dict[tuple[str, str], _Newest] = {}
        self._trials: dict[tuple[str, str, str], Trial] = {}

    def trials(self) -> list[Trial]:
        """What was found, by risk and bundles."""
        return [self._trials[key] for key in sorted(self._trials)]

    def hear(self, score: Brief) -> None:
        """The next score."""
        if score.risk not in self._fire:
            return
        key, offset = (score.risk, score.patient), score.log.offset
        newest = self._newest.get(key)
        if newest is None or newest.offset < offset:
            newest = self._newest[key] = _Newest(offset)
        elif newest.offset > offset:  # told again after a crash
            return
        if score.shadow:
            newest.shadows[score.model] = score
        else:
            newest.active = score
        if newest.active is None:
            return
        for model, one in newest.shadows.items():
            if model not in newest.paired:
                newest.paired.add(model)
                self._pair(newest.active, one)

    def _pair(self, active: Brief, shadow: Brief) -> None:
        names = (active.risk, active.model, shadow.model)
        trial = self._trials.get(names)
        if trial is None:
            trial = self._trials[names] = Trial(*names)
        trial.scores += 1
        sums = trial.patients.get(active.patient)
        if sums is None:
            sums = trial.patients[active.patient] = PatientSums()
        a, s = active.own, shadow.own
        trial.silent[0] += a is None
        trial.silent[1] += s is None
        if a is None or s is None:
            return
        sums.pairs += 1
        sums.apart += s - a
        _add(trial, a, s, self._fire[active.risk])
        _draw(trial, active, a, s)
        if (active.patient, active.risk) in self._known:
            trial.hours.setdefault(active.patient, {})[active.as_of[:13]] = (a, s)


def _add(trial: Trial, a: float, s: float, fire: float) -> None:
    trial.both += 1
    trial.z[0] += a
    trial.z[1] += s
    trial.squares[0] += a * a
    trial.squares[1] += s * s
    trial.squares[2] += a * s
    trial.apart += s - a
    trial.apart_squares += (s - a) ** 2
    trial.apart_most = max(trial.apart_most, abs(s - a))
    trial.p_apart += abs(probability(s) - probability(a))
    trial.above[(a >= fire) + 2 * (s >= fire)] += 1


def _draw(trial: Trial, active: Brief, a: float, s: float) -> None:
    name = f"{active.patient}/{active.log.partition}/{active.log.offset}"
    point = (zlib.crc32(name.encode()), probability(a), probability(s))
    if len(trial.drawn) < MOST_POINTS:
        heapq.heappush(trial.drawn, point)
    elif point > trial.drawn[0]:
        heapq.heapreplace(trial.drawn, point)


def _log_odds(p: float) -> float:
    return math.log(p / (1 - p)) if 0 < p < 1 else math.copysign(math.inf, p - 0.5)


def probability(log_odds: float) -> float:
    """Of log-odds."""
    return 1.0 / (1.0 + math.exp(-log_odds)) if log_odds > -700 else 0.0


def outcomes(actions: Iterable[Feedback]) -> dict[tuple[str, str], int]:
    """(patient, risk) → 1 where the event came or was averted, 0 where it did not; newest word."""
    found: dict[tuple[str, str], tuple[float, int]] = {}
    for one in actions:
        if one.action is not Action.OUTCOME or one.outcome not in RIGHT | WRONG:
            continue
        key = (one.patient, one.risk)
        found[key] = max(found.get(key, (-math.inf, 0)), (one.at, int(one.outcome in RIGHT)))
    return {key: label for key, (_, label) in found.items()}
