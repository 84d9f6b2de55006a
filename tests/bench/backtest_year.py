"""A year of a hospital with 500 beds, back-tested: `python -m tests.bench.backtest_year`.

Hourly scores of made-up stays (a random walk of log-odds, an event with the probability that the
last score gives). What is measured is time, not medicine.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from models.risk import AlertRule
from streams.backtest.measure import by_part, measure
from streams.backtest.report import Options, compare
from streams.backtest.simulate import Question, simulate
from streams.backtest.stays import Stays
from streams.policy.document import read
from streams.policy.rules import Rulebook

BEDS, HOURS, WARDS = 500, 24 * 365, 12
MEAN_STAY_H = 120
QUESTION = Question(
    "deterioration", AlertRule(fire=0.3, clear=0.2, critical=0.6, version="shipped"), 86_400.0
)
POLICY = """
risks: {deterioration: {confirm: {scores: 2, of: 3}, refractory: 4h}}
escalation: [{steps: [{after: 15m, to: charge nurse}, {after: 15m, to: registrar}]}]
quiet_hours: [{name: night, from: 22:00, until: 06:00, time_zone: Europe/Vienna}]
"""
T = TypeVar("T")


def ward_year(seed: int) -> Stays:
    """The stays."""
    chance = np.random.default_rng(seed)
    lengths = chance.geometric(1 / MEAN_STAY_H, size=2 * BEDS * HOURS // MEAN_STAY_H) + 5
    lengths = lengths[: int(np.searchsorted(np.cumsum(lengths), BEDS * HOURS)) + 1]
    n, points = len(lengths), int(lengths.sum())
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    hour = np.arange(points) - np.repeat(bounds[:-1], lengths)
    times = 1.76e9 + np.repeat(chance.uniform(0, 3.1e7, n), lengths) + 3_600.0 * hour
    walk = np.cumsum(chance.normal(0, 0.25, points))
    walk -= np.repeat(walk[bounds[:-1]], lengths)
    log_odds = walk + np.repeat(chance.normal(-3, 1, n), lengths)
    probability = 1 / (1 + np.exp(-log_odds))
    last = bounds[1:] - 1
    labels = (chance.random(n) < probability[last]).astype(np.int8)
    return Stays(
        patients=[f"p-{i}" for i in range(n)],
        bounds=bounds,
        times=times,
        micros=np.round(1e6 * probability).astype(np.int32),
        wards=[f"W{i % WARDS}" for i in range(n)],
        labels=labels,
        events=np.where(labels == 1, times[last] + 3_600.0, np.nan),
        absolute=True,
        subgroups={"sex": ["FM"[i % 2] for i in range(n)]},
    )


def timed(found: dict[str, float], name: str, step: Callable[[], T]) -> T:
    """CPU seconds of one step."""
    before = time.process_time()
    value = step()
    found[name] = round(time.process_time() - before, 2)
    return value


def main() -> None:
    """Print CPU seconds as JSON."""
    stays = ward_year(1)
    proposed = Rulebook(read(POLICY), "proposed")
    seconds: dict[str, float] = {}
    raised = timed(seconds, "walk as shipped", lambda: simulate(stays, QUESTION, Rulebook()))
    after = timed(seconds, "walk as proposed", lambda: simulate(stays, QUESTION, proposed))
    timed(seconds, "figures with intervals", lambda: measure(stays, after))
    timed(seconds, "figures by part", lambda: by_part(stays, after, draws=300))
    timed(
        seconds,
        "whole report with its curve",
        lambda: compare(stays, QUESTION, Rulebook(), proposed, Options()),
    )
    found = {
        "stays": len(stays),
        "scores": len(stays.times),
        "alerts": {"as shipped": len(raised), "as proposed": len(after)},
        "cpu_s": seconds,
    }
    print(json.dumps(found, indent=1))  # noqa: T201 - its output


if __name__ == "__main__":
    sys.exit(main())
