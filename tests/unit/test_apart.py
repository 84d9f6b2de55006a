"""A process for what may break: it breaks alone, and does not outlive whoever started it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from connectors.apart import Apart, BrokeError


def test_a_function_that_dies_or_hangs_takes_nothing_with_it() -> None:
    apart = Apart(longest_s=60.0)
    with pytest.raises(BrokeError):
        apart.run(os._exit, 1)
    assert apart.run(len, "abc") == 3
    hanging = Apart(longest_s=0.5)
    with pytest.raises(BrokeError):
        hanging.run(time.sleep, 60)
    apart.end()
    assert apart.run(len, "abcd") == 4
    apart.end()


def test_what_a_function_raises_comes_back() -> None:
    apart = Apart(longest_s=60.0)
    with pytest.raises(ValueError, match="invalid literal"):
        apart.run(int, "x")
    apart.end()


def test_it_ends_with_whoever_started_it() -> None:
    """Killed with -9, a process cannot end its own."""
    program = (
        "from connectors.apart import Apart; import os, time\n"
        "if __name__ == '__main__':\n"
        "    print(Apart(60.0).run(os.getpid), flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        apart = psutil.Process(int(starter.stdout.readline()))
        starter.kill()
    psutil.wait_procs([apart], timeout=60)
    assert not apart.is_running() or apart.status() == psutil.STATUS_ZOMBIE
