"""A year of a hospital with 500 beds, back-tested: `python -m tests.bench.backtest_year`.

Hourly scores of made-up stays (a random walk of log-odds, an event with the probability that the
last score gives). What is measured is time, not medicine. The page's part is measured on the same
year as records of `tocsin.scores`, without the broker: taken in once, then a threshold tried.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from connectors import contract, topics
from connectors.clock import iso
from connectors.journal import Progress, Stored
from models.risk import AlertRule
from streams.backtest.measure import by_part, measure
from streams.backtest.report import Options, compare
from streams.backtest.simulate import Question, simulate
from streams.backtest.stays import Stays
from streams.backtest_desk import RECORDED, BacktestDesk
from streams.console.api.examples import SCORE
from streams.policy.document import read
from streams.policy.rules import Rulebook
from tests.unit.journal import MemoryJournal

BEDS, HOURS, WARDS = 500, 24 * 365, 12
MEAN_STAY_H = 120
RISK = "deterioration"
QUESTION = Question(RISK, AlertRule(fire=0.3, clear=0.2, critical=0.6, version="shipped"), 86_400.0)
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


class YearJournal(MemoryJournal):
    """The year's scores as records of the log, in pieces; nothing else is in it."""

    def __init__(self, stays: Stays) -> None:
        super().__init__()
        self._stays, self.made_s = stays, 0.0

    def read(
        self,
        topic: str,
        start: dict[int, int],
        since: float | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Stored]:
        if topic != topics.SCORES or start:
            return
        head, _, rest = contract.encode(SCORE).partition(b'"as_of":')
        tail = rest.partition(b'"log_odds":')[2]
        before = time.process_time()
        for stay, patient in enumerate(self._stays.patients):
            first = head.replace(SCORE.patient.encode(), patient.encode())
            raws = []
            for at in range(self._stays.bounds[stay], self._stays.bounds[stay + 1]):
                told = f'"as_of":"{iso(self._stays.times[at])}","probability":'
                value = f"{self._stays.micros[at] / 1e6}"
                raws.append(first + f'{told}{value},"log_odds":'.encode() + tail)
            self.made_s += time.process_time() - before
            for raw in raws:
                yield Stored(topic, 0, 0, 0.0, raw, [])
            before = time.process_time()


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
    journal = YearJournal(stays)
    desk = BacktestDesk(journal, {RISK: QUESTION.shipped}, {RISK: 86_400.0}, {})
    trial = (RISK, RECORDED, Rulebook())
    timed(seconds, "page: the first trial", lambda: desk.trial(*trial, 0.4, None))
    seconds["page: the first trial"] = round(seconds["page: the first trial"] - journal.made_s, 2)
    timed(seconds, "page: another threshold", lambda: desk.trial(*trial, 0.45, None))
    found = {
        "megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "bytes_of_a_record": len(contract.encode(SCORE)),
        "stays": len(stays),
        "scores": len(stays.times),
        "alerts": {"as shipped": len(raised), "as proposed": len(after)},
        "cpu_s": seconds,
    }
    print(json.dumps(found, indent=1))  # noqa: T201 - its output


if __name__ == "__main__":
    sys.exit(main())
