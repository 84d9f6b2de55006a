"""A clock that is set wrong for a moment brings no tomorrow; one that is set right is followed."""

from __future__ import annotations

import itertools

import pytest

from connectors.steady import PATIENCE_S, SteadyClock


class Clocks:
    """A wall clock that can be set, and the time that passes."""

    def __init__(self) -> None:
        self.passed, self.wrong = 50.0, 0.0

    def wall(self) -> float:
        return 1_780_000_000.0 + self.passed + self.wrong

    def running(self) -> float:
        return self.passed

    def steady(self) -> SteadyClock:
        return SteadyClock(self.wall, self.running)


@pytest.mark.parametrize("step", [86_400.0, -3_600.0, 5.0])
def test_a_step_that_is_taken_back_changes_nothing(step: float) -> None:
    clocks = Clocks()
    clock = clocks.steady()
    seen = [clock()]
    for second in range(200):
        clocks.passed += 1.0
        clocks.wrong = step if 50 <= second < 110 else 0.0
        seen.append(clock())
    assert {after - before for before, after in itertools.pairwise(seen)} == {1.0}


@pytest.mark.parametrize("step", [86_400.0, -3_600.0])
def test_a_step_that_lasts_is_followed(step: float) -> None:
    clocks = Clocks()
    clock = clocks.steady()
    clocks.wrong = step
    clock()
    clocks.passed += PATIENCE_S - 1.0
    assert clock() == clocks.wall() - step
    clocks.passed += 1.0
    assert clock() == clocks.wall()


def test_a_clock_that_jumps_about_is_not_followed() -> None:
    clocks = Clocks()
    clock = clocks.steady()
    for turn in range(20):
        clocks.wrong = 1_000.0 * (1 + turn % 2)
        clocks.passed += 60.0
        assert clock() == clocks.wall() - clocks.wrong


def test_slow_corrections_are_followed_at_once() -> None:
    clocks = Clocks()
    clock = clocks.steady()
    for _ in range(1_000):
        clocks.passed += 1.0
        clocks.wrong += 0.0005  # as fast as the kernel slews
        assert clock() == clocks.wall()
