"""Runs the simulated hospital against a live MLLP port.

Hospital time never passes the wall clock: receivers refuse what lies in the future. A run of a
known length at speed S therefore begins S times that length ago. An endless one begins S times
twelve hours ago and, when it has caught up, goes on at the speed of life.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from connectors.clock import Clock, wall_clock
from connectors.replay.deliver import Counts, Pace, send_all
from connectors.simulator.disturb import Rates
from connectors.simulator.hospital import Hospital

_ENDLESS_S = 12 * 3600.0
_AS_FAST_AS_POSSIBLE_S = 365 * 86_400.0  # of hospital time to come, when there is no speed


@dataclass(frozen=True, slots=True)
class Run:
    """What is simulated, and how fast."""

    patients: int = 40
    seed: int = 1
    speed: float | None = 60.0  # hospital seconds per second; None: as fast as answers come
    rate: float | None = None  # most messages per second
    duration: float | None = None  # seconds, after the history has been sent
    connections: int = 4
    rates: Rates = field(default_factory=Rates)

    def start(self, now: float) -> float:
        """Hospital time at which the run begins, the history of the first patients before it."""
        if self.speed is None:
            return now - _AS_FAST_AS_POSSIBLE_S
        return now - self.speed * (_ENDLESS_S if self.duration is None else self.duration)


async def run(
    what: Run,
    host: str,
    port: int,
    *,
    progress: Callable[[Counts], None] | None = None,
    counts: Counts | None = None,
    clock: Clock = wall_clock,
) -> Counts:
    """Send the hospital's messages until the duration is over; for ever without one.

    The first patients' history is sent at once. Cancelling ends it; `counts` may be handed in to be
    read meanwhile. Raises `MllpUnreachableError`.
    """
    start = what.start(clock())
    hospital = Hospital(what.seed, start, what.patients, rates=what.rates)
    pace = Pace(speed=what.speed, rate=what.rate, begin=start, duration=what.duration, clock=clock)
    return await send_all(
        hospital.messages(),
        host,
        port,
        connections=what.connections,
        pace=pace,
        progress=progress,
        counts=counts,
    )
