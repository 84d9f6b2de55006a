"""Detached processes: identity, stopping, ports, log tails."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import pytest

from streams.local.process import Pid, free_port, port_is_free, spawn, stop, tail, who_listens

STUBBORN = (
    "import signal, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('up', flush=True)\n"
    "time.sleep(60)\n"
)
PARENT = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(60)\n"
)


def start(code: str, log: Path) -> Pid:
    pid = spawn([sys.executable, "-c", code], log, os.environ)
    end = time.monotonic() + 60
    while not tail(log):
        assert time.monotonic() < end, "it said nothing"
        time.sleep(0.02)
    return pid


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    """The number alone does not count."""
    here = Pid.of(os.getpid())
    assert here.alive()
    assert not Pid(here.pid, "another boot:1").alive()


def test_an_ended_child_is_not_alive(tmp_path: Path) -> None:
    """Not even while nobody has asked for its exit status."""
    pid = start("print('done')", tmp_path / "log")
    end = time.monotonic() + 60
    while pid.alive():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_stubborn_process_is_killed_after_the_grace(tmp_path: Path) -> None:
    """SIGTERM first, then SIGKILL."""
    pid = start(STUBBORN, tmp_path / "log")
    assert stop([pid], grace_s=0.2) == [pid]
    assert not pid.alive()
    assert stop([pid]) == []


def test_children_are_stopped_with_their_parent(tmp_path: Path) -> None:
    """A process may have started others."""
    parent = start(PARENT, tmp_path / "log")
    child = Pid.of(int(tail(tmp_path / "log")))
    stop([parent])
    end = time.monotonic() + 60
    while child.alive():
        assert time.monotonic() < end, "the child was left behind"
        time.sleep(0.02)


def test_output_is_appended(tmp_path: Path) -> None:
    """A restart does not erase why it was needed."""
    log = tmp_path / "folder" / "log"
    for word in ("one", "two"):
        pid = spawn([sys.executable, "-c", f"print({word!r})"], log, os.environ)
        while pid.alive():
            time.sleep(0.02)
    assert tail(log) == "one | two"
    assert log.stat().st_mode & 0o077 == 0


def test_a_used_port_is_seen_with_its_owner() -> None:
    """And is not handed out, even when preferred."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert not port_is_free(port)
        assert f"(pid {os.getpid()})" in who_listens(port)
        assert free_port(port) != port


def test_a_free_port_is_kept_when_preferred_unless_taken() -> None:
    """Addresses stay the same from run to run."""
    port = free_port()
    assert free_port(port) == port
    assert free_port(port, frozenset({port})) != port


def test_no_port_is_given_twice_before_anybody_listens_there() -> None:
    """Two servers that start at once would otherwise meet, one time in some thousand."""
    assert len({free_port() for _ in range(300)}) == 300


@pytest.mark.parametrize(("text", "expected"), [("", ""), ("a\n\nb\nc\n", "b | c")])
def test_tail_gives_the_last_lines_on_one(tmp_path: Path, text: str, expected: str) -> None:
    """For an error message."""
    (tmp_path / "log").write_text(text)
    assert tail(tmp_path / "log", 2) == expected
    assert tail(tmp_path / "none") == ""
