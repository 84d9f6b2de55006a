"""Stops servers whose owner was killed: `python -m streams.local.guard HOME PID STARTED`.

For `start_servers`: a test run that is killed cannot stop its servers itself.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from streams.local.process import Pid, spawn, stop
from streams.local.state import log_folder, read_state

_LOOK_S = 1.0
_ROOT = str(Path(__file__).resolve().parents[2])


def start(home: Path) -> Pid:
    """Start a guard of the servers in `home` for this process."""
    owner = Pid.of(os.getpid())
    command = [sys.executable, "-m", "streams.local.guard", str(home), str(owner.pid)]
    environment = os.environ | {"PYTHONPATH": _ROOT}
    return spawn([*command, owner.started], log_folder(home) / "guard.log", environment)


def watch(home: Path, owner: Pid) -> None:
    """Wait until the owner has ended, then stop the servers that it had noted."""
    while owner.alive():
        time.sleep(_LOOK_S)
    stop(list(read_state(home).servers.values()), grace_s=30.0)


if __name__ == "__main__":
    watch(Path(sys.argv[1]), Pid(int(sys.argv[2]), sys.argv[3]))
