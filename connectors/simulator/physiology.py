"""Patients whose values move as those of the cohort did (see `fit`).

A value is a quantile of the cohort's own distribution, read at a normal score that is the sum of
four parts: the mean course of the patient's kind, the patient's own level, a slow movement
(Ornstein-Uhlenbeck) and noise. A crisis, which is ours and not fitted, moves the sum towards where
those lay who got worse and died.

Random numbers come from `random.Random` alone, so that a seed gives the same patients everywhere.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from random import Random
from statistics import NormalDist
from typing import Any

from connectors.simulator.variables import BEDSIDE, BY_NAME, MEASURES

DIED, SURVIVED = "died", "survived"
_WORST, _BEST = "died, worsening", "survived, recovering"
_RECOVERY_H = 72.0  # after the fitted 48 hours, survivors move this slowly to the best course's end
_LEAST_PULSE = 12.0  # mmHg between diastolic and systolic
_ORDER = tuple(measure.name for measure in MEASURES)
_STEPS = {measure.name: i for i, measure in enumerate(BEDSIDE)}  # row of the steps' correlation
_normal = NormalDist()


@dataclass(frozen=True, slots=True)
class Movement:
    """Standard deviations of a variable's parts in normal scores, and the slow part's time."""

    between: float
    slow: float
    noise: float
    time_h: float


@dataclass(frozen=True, slots=True)
class Ordering:
    """How often a group of measures is taken."""

    ever: float
    interval_h: Sequence[float]  # quantiles at equal distances, lowest first
    measures: dict[str, tuple[float, float]]  # chance that ever, chance each time

    def interval(self, random: Random) -> float:
        """Hours until the next time."""
        return drawn(self.interval_h, random)


@dataclass(frozen=True, slots=True)
class Practice:
    """How patients with one outcome are cared for."""

    age_years: Sequence[float]
    stay_days: Sequence[float]
    female: float
    wards: dict[str, float]
    ventilated: float
    arterial_line: float
    bedside: Ordering
    panels: dict[str, Ordering]


@dataclass(frozen=True, slots=True)
class Physiology:
    """Everything that was fitted."""

    quantiles: dict[str, list[float]]
    probabilities: list[float]
    knots_h: list[float]
    shares: dict[str, float]  # of the kinds of patients
    courses: dict[str, dict[str, list[float]]]  # kind → variable → score at each knot
    movement: dict[str, Movement]
    between: list[list[float]]  # Cholesky factor over MEASURES
    steps: list[list[float]]  # Cholesky factor over the bedside measures, which come first
    mean_share: tuple[float, float]  # of the pulse pressure: typical, standard deviation
    practice: dict[str, Practice]
    marginals: dict[str, dict[str, list[float]]]  # outcome → variable → mean, standard deviation

    def value(self, name: str, score: float) -> float:
        """The cohort's quantile at a normal score, as the measure is rounded."""
        grid, chance = self.quantiles[name], _normal.cdf(score)
        at = (chance - self.probabilities[0]) / (self.probabilities[1] - self.probabilities[0])
        low = min(max(int(at), 0), len(grid) - 2)
        part = min(max(at - low, 0.0), 1.0)
        return round(grid[low] + part * (grid[low + 1] - grid[low]), BY_NAME[name].decimals)


@cache
def fitted() -> Physiology:
    """The parameters that ship."""
    text = files("connectors.simulator").joinpath("physiology.json").read_text("utf-8")
    return parse(json.loads(text))


def parse(data: dict[str, Any]) -> Physiology:
    """The parameters from the JSON that `fit` writes."""
    return Physiology(
        quantiles=data["quantiles"],
        probabilities=data["probabilities"],
        knots_h=data["knots_h"],
        shares={kind: k["share"] for kind, k in data["kinds"].items()},
        courses={kind: k["course"] for kind, k in data["kinds"].items()},
        movement={name: Movement(**m) for name, m in data["movement"].items()},
        between=data["between"]["cholesky"],
        steps=data["steps"]["cholesky"],
        mean_share=(data["mean_pressure"]["share"], data["mean_pressure"]["sd"]),
        practice={outcome: _practice(p) for outcome, p in data["outcomes"].items()},
        marginals=data["marginals"],
    )


def _practice(data: dict[str, Any]) -> Practice:
    return Practice(
        age_years=data["age_years"],
        stay_days=data["stay_days"],
        female=data["female"],
        wards=data["wards"],
        ventilated=data["ventilated"],
        arterial_line=data["arterial_line"],
        bedside=_ordering(data["bedside"]),
        panels={name: _ordering(p) for name, p in data["panels"].items()},
    )


def _ordering(data: dict[str, Any]) -> Ordering:
    each = {name: (m["ever"], m["each_time"]) for name, m in data["measures"].items()}
    return Ordering(data["ever"], data["interval_h"], each)


def drawn(quantiles: Sequence[float], random: Random) -> float:
    """A value from a distribution known by quantiles at equal distances."""
    at = random.random() * (len(quantiles) - 1)
    low = min(int(at), len(quantiles) - 2)
    return quantiles[low] + (at - low) * (quantiles[low + 1] - quantiles[low])


def chosen(weights: dict[str, float], random: Random) -> str:
    """A key, by weight."""
    return random.choices(list(weights), list(weights.values()))[0]


@dataclass(slots=True)
class Crisis:
    """An acute deterioration: how far towards the worst course, and when (hours since admission).

    It rises from `begin` for `ramp` hours and falls again, as slowly as six times that, from `end`.
    """

    begin: float
    ramp: float
    strength: float
    end: float = math.inf

    def depth(self, hours: float) -> float:
        """Its share of `strength` at that time, times `strength`."""
        risen = min(max((hours - self.begin) / self.ramp, 0.0), 1.0)
        fallen = min(max((hours - self.end) / (6.0 * self.ramp), 0.0), 1.0)
        return self.strength * risen * (1.0 - fallen)


class Course:
    """One patient's body. Read it forwards in time."""

    def __init__(self, physiology: Physiology, kind: str, random: Random) -> None:
        self.kind = kind
        self.crises: list[Crisis] = []
        self._p = physiology
        self._random = random
        sizes = [physiology.movement[m.name].between for m in MEASURES]
        draws = _correlated(physiology.between, random)
        self._level = {
            m.name: size * draw for m, size, draw in zip(MEASURES, sizes, draws, strict=True)
        }
        self._slow = {
            m.name: physiology.movement[m.name].slow * random.gauss(0.0, 1.0) for m in MEASURES
        }
        self._read_at: dict[str, float] = dict.fromkeys(self._slow, 0.0)
        self._mean_share = random.gauss(*physiology.mean_share)

    @property
    def outcome(self) -> str:
        """`survived` or `died`."""
        return self.kind.partition(",")[0]

    def read(self, names: Iterable[str], hours: float) -> dict[str, float]:
        """Values at a time in hours since admission; `map` follows from `sbp` and `dbp`."""
        chosen_names = set(names)
        wanted = [n for n in _ORDER if n in chosen_names]
        bedside = any(n in _STEPS for n in wanted)
        steps = _correlated(self._p.steps, self._random) if bedside else []
        values: dict[str, float] = {}
        for name in wanted:
            at = _STEPS.get(name)
            step = self._random.gauss(0.0, 1.0) if at is None else steps[at]
            values[name] = self._p.value(name, self._score(name, hours, step))
        if "sbp" in values and "dbp" in values:
            self._mend_pressures(values)
        return values

    def _score(self, name: str, hours: float, step: float) -> float:
        movement = self._p.movement[name]
        kept = math.exp(-max(hours - self._read_at[name], 0.0) / movement.time_h)
        self._slow[name] = (
            kept * self._slow[name] + math.sqrt(1.0 - kept * kept) * movement.slow * step
        )
        self._read_at[name] = max(hours, self._read_at[name])
        noise = movement.noise * self._random.gauss(0.0, 1.0)
        depth = sum(crisis.depth(hours) for crisis in self.crises)
        direction = self._p.courses[_WORST][name][-1] - self._p.courses[_BEST][name][-1]
        mean = self._mean(name, hours)
        return mean + self._level[name] + self._slow[name] + noise + depth * direction

    def _mean(self, name: str, hours: float) -> float:
        course, knots = self._p.courses[self.kind][name], self._p.knots_h
        if hours >= knots[-1]:
            best = self._p.courses[_BEST][name][-1]
            left = math.exp(-(hours - knots[-1]) / _RECOVERY_H) if self.outcome == SURVIVED else 1.0
            return best + left * (course[-1] - best)
        at = max(bisect_right(knots, hours) - 1, 0)
        part = max(hours - knots[at], 0.0) / (knots[at + 1] - knots[at])
        return course[at] + part * (course[at + 1] - course[at])

    def _mend_pressures(self, values: dict[str, float]) -> None:
        """Systolic stays above diastolic, the mean between them."""
        values["dbp"] = min(values["dbp"], values["sbp"] - _LEAST_PULSE)
        share = min(max(self._mean_share, 0.15), 0.6)
        values["map"] = round(values["dbp"] + share * (values["sbp"] - values["dbp"]), 0)


def _correlated(cholesky: list[list[float]], random: Random) -> list[float]:
    draws = [random.gauss(0.0, 1.0) for _ in cholesky]
    return [sum(row[j] * draws[j] for j in range(i + 1)) for i, row in enumerate(cholesky)]


@dataclass(slots=True)
class Care:
    """What is measured of one patient."""

    practice: Practice
    ventilated: bool
    invasive: bool
    bedside: dict[str, float] = field(default_factory=dict)  # measure → chance each time
    panels: dict[str, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def drawn(cls, practice: Practice, random: Random) -> Care:
        """Drawn as the cohort's patients were cared for."""
        ventilated = random.random() < practice.ventilated
        care = cls(practice, ventilated, random.random() < practice.arterial_line)
        care.bedside = _each_time(practice.bedside, random)
        if ventilated:
            care.bedside["fio2"] = practice.bedside.measures["fio2"][1]
        for name, ordering in practice.panels.items():
            if random.random() < ordering.ever:
                care.panels[name] = _each_time(ordering, random)
        return care


def _each_time(ordering: Ordering, random: Random) -> dict[str, float]:
    return {
        name: each for name, (ever, each) in ordering.measures.items() if random.random() < ever
    }
