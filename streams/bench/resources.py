"""Processor time and memory of each process of a running Tocsin."""

from __future__ import annotations

from pathlib import Path

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


def resident_mb(home: Path) -> dict[str, int]:
    """Resident memory, in megabytes."""
    return {n: round(p.memory_info().rss / 1e6) for n, p in processes(home).items()}
