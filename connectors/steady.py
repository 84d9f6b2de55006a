"""The wall clock without its steps, for what must not happen because a clock was set wrong.

Ticks of the log end evidence and start escalations, and none of that can be taken back. A clock
that jumps to tomorrow for a minute must not bring tomorrow. So a step is followed only when it has
lasted for some minutes; until then time goes on as before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from connectors.clock import Clock, wall_clock

_log = logging.getLogger("tocsin.clock")

STEP_S = 2.0  # a larger change at once is a step; what NTP slews stays far below
PATIENCE_S = 300.0  # as long a step has to last


def _running() -> float:
    """Seconds that have passed, those of a suspended machine included where it can tell."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class SteadyClock:
    """A `Clock`. One that is started while the wall clock is wrong knows no better."""

    def __init__(self, wall: Clock = wall_clock, running: Callable[[], float] = _running) -> None:
        self._wall, self._running = wall, running
        self._offset = wall() - running()  # the wall clock's, ours
        self._stepped: tuple[float, float] | None = None  # (offset, since when) of a step

    def __call__(self) -> float:
        """UTC epoch seconds."""
        passed = self._running()
        offset = self._wall() - passed
        if abs(offset - self._offset) <= STEP_S:
            self._offset, self._stepped = offset, None
        elif self._stepped is None or abs(offset - self._stepped[0]) > STEP_S:
            _log.warning("the clock was set by %+.1f s: not followed yet", offset - self._offset)
            self._stepped = (offset, passed)
        elif passed - self._stepped[1] >= PATIENCE_S:
            _log.warning("the clock was set by %+.1f s: followed now", offset - self._offset)
            self._offset, self._stepped = offset, None
        return passed + self._offset
