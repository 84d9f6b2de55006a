"""A process that dies is started again; one that dies again and again, less and less often."""

from __future__ import annotations

import time
from pathlib import Path

from streams.local.state import Planned
from streams.local.supervisor import QUICK_DEATHS, Keeper


def keeper(tmp_path: Path) -> Keeper:
    planned = Planned(
        "weak", ("/bin/sh", "-c", f"echo started >> {tmp_path / 'starts'}; exit 1"), 0
    )
    return Keeper(planned, tmp_path / "log", {}, None)


def wait_for_its_end(one: Keeper) -> None:
    end = time.monotonic() + 60.0
    while one.running.pid is not None and one.running.pid.alive() and time.monotonic() < end:
        time.sleep(0.005)


def lives(one: Keeper, start: float, seconds: int) -> float:
    """So many seconds go by, on a clock of the test."""
    for tick in range(seconds):
        one.look(start + tick)
        wait_for_its_end(one)
    return start + seconds


def starts(tmp_path: Path) -> int:
    return len((tmp_path / "starts").read_text().splitlines())


def test_a_server_that_is_away_for_an_hour_leaves_nobody_down(tmp_path: Path) -> None:
    """It gives up, says so, and tries once a minute all the same."""
    one = keeper(tmp_path)
    now = lives(one, 1_000.0, 40)
    assert one.running.status == "gave up"
    assert starts(tmp_path) == QUICK_DEATHS
    lives(one, now, 300)
    assert starts(tmp_path) - QUICK_DEATHS in (4, 5)
    assert one.running.status == "gave up"


def test_one_that_was_given_up_is_started_at_once_when_asked_to(tmp_path: Path) -> None:
    one = keeper(tmp_path)
    now = lives(one, 1_000.0, 40)
    one.retry()
    assert one.running.status == "waiting"
    one.look(now)
    assert starts(tmp_path) >= QUICK_DEATHS
    assert one.running.status == "running"
