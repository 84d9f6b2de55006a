"""A run of the tests that is killed leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from streams.local.process import Pid
from tests.conftest import ROOT

RUN = """
import os, signal, subprocess, sys
from tests import leftovers
watcher = leftovers.watch()
child = subprocess.Popen(
    [sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True
)
print(watcher.pid, child.pid, flush=True)
sys.stdin.readline()
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
child.kill()
child.wait()
leftovers.end(watcher)
"""


def run(how: str) -> tuple[int, Pid, Pid]:
    """The exit code, the watcher and what was started."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN, how],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        watcher, child = (Pid.of(int(pid)) for pid in process.stdout.readline().split())
        process.stdin.write("\n")
        process.stdin.flush()
        return process.wait(), watcher, child


def gone(*processes: Pid) -> bool:
    end = time.monotonic() + 150
    while any(p.alive() for p in processes):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_what_a_killed_run_has_started_ends_and_so_does_the_watcher() -> None:
    """Although it runs in a session of its own."""
    code, watcher, child = run("killed")
    assert code == -signal.SIGKILL
    assert gone(child, watcher)


def test_a_run_that_ends_takes_its_watcher_along() -> None:
    code, watcher, child = run("ends")
    assert code == 0
    assert gone(watcher, child)
