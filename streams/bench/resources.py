"""Processor time and memory of each process of a running Tocsin."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import psutil

from streams.local.state import read_running, read_state

LOAD = "load generator"  # this process: it shares the cores


def processes(home: Path) -> dict[str, psutil.Process]:
    """By name, the servers too."""
    pids = {name: pid.pid for name, pid in read_state(home).servers.items()}
    for name, running in read_running(home).items():
        if running.pid is not None:
            pids[name] = running.pid.pid
    return {name: psutil.Process(pid) for name, pid in pids.items()}


def cpu_seconds(home: Path) -> dict[str, float]:
    """User and system time since each process began."""
    found = {}
    for name, process in [*processes(home).items(), (LOAD, psutil.Process())]:
        times = process.cpu_times()
        found[name] = times.user + times.system
    return found


class Machine(NamedTuple):
    """Seconds of all cores together since the machine was started."""

    busy: float
    idle: float

    @staticmethod
    def now() -> Machine:
        """As of now."""
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # in user, too
        return Machine(sum(times) - idle - guests, idle)


def shares(before: Machine, after: Machine, ours: float) -> dict[str, float]:
    """Who had the cores between two moments: Tocsin with its servers, others, nobody."""
    busy, idle = after.busy - before.busy, after.idle - before.idle
    whole = max(1e-9, busy + idle)
    parts = {"tocsin": ours, "others": max(0.0, busy - ours), "idle": idle}
    return {name: round(seconds / whole, 3) for name, seconds in parts.items()}


def resident_mb(home: Path) -> dict[str, int]:
    """Resident memory, in megabytes."""
    return {n: round(p.memory_info().rss / 1e6) for n, p in processes(home).items()}
