"""Stops what a run of the tests left behind when it was killed: `python -m tests.leftovers PID
STARTED`.

A process that is killed cannot stop what it started, and servers run in sessions of their own.
They know whose they are: the environment that they inherit names the run.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import psutil

from streams.local.process import Pid, spawn, stop

_MARK = "STARTED_BY_TESTS_OF"
_LOOK_S = 1.0
_ROOT = Path(__file__).resolve().parents[1]


def watch() -> Pid:
    """Mark what this process starts from now on, and start a watcher that outlives it."""
    owner = Pid.of(os.getpid())
    os.environ.pop(_MARK, None)  # the watcher itself is none of it
    command = [sys.executable, "-m", "tests.leftovers", str(owner.pid), owner.started]
    watcher = spawn(command, _log(owner.pid), os.environ | {"PYTHONPATH": str(_ROOT)})
    os.environ[_MARK] = _name(owner)
    return watcher


def end(watcher: Pid) -> None:
    """The run ends by itself: its fixtures have stopped everything."""
    stop([watcher])
    _log(os.getpid()).unlink(missing_ok=True)


def marked(owner: Pid) -> list[Pid]:
    """All processes that a run has started and that are still there."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == _name(owner) and process.pid != owner.pid:
                found.append(Pid.of(process.pid))
        except (psutil.Error, OSError):
            continue  # somebody else's, or gone
    return found


def _log(pid: int) -> Path:
    return Path(tempfile.gettempdir()) / f"tocsin-leftovers-{pid}.log"


def _name(owner: Pid) -> str:
    return f"{owner.pid} {owner.started}"


def _wait(owner: Pid) -> None:
    while owner.alive():
        time.sleep(_LOOK_S)
    while left := marked(owner):  # a supervisor may start something anew meanwhile
        stop(left, grace_s=20.0)
    _log(owner.pid).unlink(missing_ok=True)


if __name__ == "__main__":
    _wait(Pid(int(sys.argv[1]), sys.argv[2]))
