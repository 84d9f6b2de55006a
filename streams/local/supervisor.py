"""Keeps Tocsin's processes running: `python -m streams.local.supervisor HOME`.

SIGTERM ends it and them; SIGHUP gives those another chance that died too often. One that takes
over from a supervisor that was killed adopts what still runs.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from streams.local.process import Pid, spawn, stop
from streams.local.state import (
    Plan,
    Planned,
    Running,
    log_folder,
    read_plan,
    read_running,
    run_folder,
    write_running,
)

METRICS_PORT_VARIABLE = "TOCSIN_TELEMETRY__METRICS_PORT"
LOG_LIMIT = 20_000_000  # bytes; one older part of the same size is kept
_LOOK_S = 0.2
_LOGS_S = 5.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
# One that died too often is tried again, if seldom: its broker may have been away for an hour, and
# nobody is there at night to run `tocsin up`.
_RESCUE_S = 60.0
# A process that ran this long had started well: its next death is a new story.
_STEADY_S = 60.0
QUICK_DEATHS = 5


class Keeper:
    """One process: started, watched, started again."""

    def __init__(
        self, planned: Planned, log: Path, environment: dict[str, str], before: Running | None
    ) -> None:
        self._planned = planned
        self._log = log
        self._environment = environment | {METRICS_PORT_VARIABLE: str(planned.metrics_port)}
        self.running = before or Running()
        self._deaths = 0
        self._next_start = 0.0
        self._started = 0.0

    def look(self, now: float) -> bool:
        """Start it when it should run and does not. True when something has changed.

        `now` is in monotonic seconds.
        """
        if self.running.pid is not None:
            if self.running.pid.alive():
                if self.running.status == "running":
                    self._deaths = 0 if now - self._started > _STEADY_S else self._deaths
                    return False
                return self._note("running")
            return self._died(now)
        if now < self._next_start:
            return False
        return self._start(now)

    def retry(self) -> None:
        """Another chance after giving up."""
        if self.running.status == "gave up":
            self._deaths, self._next_start = 0, 0.0
            self._note("waiting")

    def _start(self, now: float) -> bool:
        self._started = now
        try:
            self.running.pid = spawn(self._planned.argv, self._log, self._environment)
        except OSError as error:
            with self._log.open("a") as log:
                log.write(f"could not be started: {error}\n")
            return self._died(now)
        return self._note("running")

    def _died(self, now: float) -> bool:
        self.running.pid = None
        self._deaths += 1
        if self._deaths >= QUICK_DEATHS:
            self._next_start = now + _RESCUE_S
            return self._note("gave up")
        self.running.restarts += 1
        pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (self._deaths - 1))
        self._next_start = now + pause
        return self._note("waiting")

    def _note(self, status: str) -> bool:
        self.running = Running(status, self.running.pid, self.running.restarts, time.time())  # type: ignore[arg-type]
        return True


def limit_log(file: Path, limit: int = LOG_LIMIT) -> None:
    """Keep a log that a process has open from filling the disk: copy it aside and empty it.

    The process appends, so it goes on at the new end; a line written in between may be lost.
    """
    if file.stat().st_size > limit:
        shutil.copyfile(file, file.with_suffix(".log.1"))
        os.truncate(file, 0)


def supervise(
    home: Path, plan: Plan, stopping: Callable[[], bool], hup: Callable[[], bool]
) -> None:
    """Keep the plan's processes running until `stopping()`, then stop them.

    Ends as well when the working folder is removed: nobody could stop the processes then.
    """
    before = read_running(home)
    environment = dict(os.environ) | plan.variables
    keepers = {
        p.name: Keeper(p, log_folder(home) / f"{p.name}.log", environment, before.get(p.name))
        for p in plan.processes
    }
    next_logs = 0.0
    while not stopping() and run_folder(home).is_dir():
        now = time.monotonic()
        if hup():
            for keeper in keepers.values():
                keeper.retry()
        changes = [keeper.look(now) for keeper in keepers.values()]
        if any(changes):
            write_running(home, {name: k.running for name, k in keepers.items()})
        if now >= next_logs:
            next_logs = now + _LOGS_S
            for file in log_folder(home).glob("*.log"):
                limit_log(file)
        time.sleep(_LOOK_S)
    pids = [k.running.pid for k in keepers.values() if k.running.pid is not None]
    stop([pid for pid in pids if isinstance(pid, Pid)])


def main(arguments: list[str]) -> int:
    """Run until SIGTERM."""
    home = Path(arguments[0])
    plan = read_plan(home)
    if plan is None:
        return 0
    wanted = {"stop": False, "retry": False}

    def taken() -> bool:
        retry, wanted["retry"] = wanted["retry"], False
        return retry

    signal.signal(signal.SIGTERM, lambda *_: wanted.update(stop=True))
    signal.signal(signal.SIGHUP, lambda *_: wanted.update(retry=True))
    supervise(home, plan, lambda: wanted["stop"], taken)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
