"""Detached processes: started in their own session, known by pid and start, stopped for sure.

A pid alone is not enough: it may belong to someone else after a reboot or a long time.
"""

from __future__ import annotations

import errno
import os
import random
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

# Below the ranges from which systems take the ports of outgoing connections: a port found free
# here stays free while its process restarts.
_PORTS = range(20_000, 32_000)
_given: set[int] = set()
_POLL_S = 0.05


class Pid(NamedTuple):
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Pid:
        """The process that has this number now. Raises `psutil.NoSuchProcess`."""
        return cls(pid, _started(pid))

    def alive(self) -> bool:
        """Whether it still runs. Collects its exit status when it is our child."""
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return _started(self.pid) == self.started
        except psutil.NoSuchProcess:
            return False


def _started(pid: int) -> str:
    """What tells this process from all others that had or will have its number.

    Linux: boot and clock ticks since boot, which a correction of the wall clock does not change.
    """
    stat = Path(f"/proc/{pid}/stat")
    boot = Path("/proc/sys/kernel/random/boot_id")
    if sys.platform == "linux" and boot.is_file():
        try:
            ticks = stat.read_text().rpartition(")")[2].split()[19]
        except (FileNotFoundError, ProcessLookupError):
            raise psutil.NoSuchProcess(pid) from None
        return f"{boot.read_text().strip()}:{ticks}"
    return f"{psutil.Process(pid).create_time():.2f}"


def spawn(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Pid:
    """Start a process that survives this one; its output is appended to `log`.

    Raises `OSError` when the program cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        command[0],
        list(command),
        dict(environment),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    try:
        return Pid.of(pid)
    except psutil.NoSuchProcess:  # it ended at once
        return Pid(pid, "ended")


def stop(processes: Sequence[Pid], grace_s: float = 10.0) -> list[Pid]:
    """End processes and their children: asked first, killed after `grace_s` seconds.

    Returns those that were alive. Processes that have taken over a recycled pid are left alone.
    """
    alive = [p for p in processes if p.alive()]
    family = [child for p in alive for child in _descendants(p)]
    for p in alive:
        _signal(p, kill=False)
    if not _gone(alive, grace_s):
        for p in alive:
            _signal(p, kill=True)
        _gone(alive, 5.0)
    for child in family:
        _signal(child, kill=True)
    return alive


def _descendants(parent: Pid) -> list[Pid]:
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(parent.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                found.append(Pid.of(child.pid))
    return found


def _signal(process: Pid, *, kill: bool) -> None:
    with suppress(psutil.NoSuchProcess):
        if process.alive():
            handle = psutil.Process(process.pid)
            handle.kill() if kill else handle.terminate()


def _gone(processes: Sequence[Pid], timeout_s: float) -> bool:
    end = time.monotonic() + timeout_s
    while any(p.alive() for p in processes):
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_S)
    return True


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do: connections that are still closing do not keep a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def free_port(preferred: int = 0, taken: frozenset[int] = frozenset()) -> int:
    """A free loopback port: the preferred one if it can be had.

    No other is given twice by one process: whoever got it first may not listen there yet.
    """
    if preferred and preferred not in taken and port_is_free(preferred):
        return preferred
    rng = random.SystemRandom()  # several runs on one machine should not try the same ports
    while True:
        port = rng.choice(_PORTS)
        if port not in taken and port not in _given and port_is_free(port):
            if len(_given) > len(_PORTS) // 2:
                _given.clear()
            _given.add(port)
            return port


def who_listens(port: int) -> str:
    """`name (pid N)` of the process that listens on a port, as far as this user may know."""
    with suppress(psutil.AccessDenied, psutil.NoSuchProcess):
        for connection in psutil.net_connections("tcp"):
            listening = connection.status == psutil.CONN_LISTEN
            if listening and connection.laddr[1:] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "another program"


def tail(log: Path, lines: int = 3) -> str:
    """The last lines of a log on one line, for an error message; empty when there are none."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4_000))
        text = file.read().decode(errors="replace")
    return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:])
