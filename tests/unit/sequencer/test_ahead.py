"""While workers have enough to do, messages wait where they can still be put together."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.ahead import MOST_HELD_S, Ahead


class Workers:
    """What the store says, and how often it was asked."""

    def __init__(self) -> None:
        self.applied: dict[int, int] = {}
        self.asked = 0
        self.now = 100.0

    def positions(self, partitions: Iterable[int]) -> dict[int, int]:
        self.asked += 1
        return {p: self.applied[p] for p in partitions if p in self.applied}

    def clock(self) -> float:
        return self.now


def given(most: int = 100) -> tuple[Workers, Ahead]:
    workers = Workers()
    return workers, Ahead(most, workers.positions, workers.clock)


def test_what_the_workers_may_not_have_applied_counts_until_they_have() -> None:
    workers, ahead = given()
    ahead.wrote(0, 7, 60)
    ahead.wrote(1, 3, 60)
    assert ahead.too_far()
    workers.applied, workers.now = {0: 7, 1: 2}, 100.1
    assert not ahead.too_far()


def test_a_record_counts_until_it_is_applied_itself() -> None:
    workers, ahead = given()
    ahead.wrote(0, 7, 10)
    ahead.wrote(0, 8, 200)
    workers.applied = {0: 7}
    assert ahead.too_far()
    workers.applied, workers.now = {0: 8}, 100.1
    assert not ahead.too_far()


def test_a_moderate_rate_hardly_asks() -> None:
    workers, ahead = given()
    for offset in range(1_000):
        ahead.wrote(0, offset, 1)
        workers.applied = {0: offset}
        assert not ahead.too_far()
    assert workers.asked < 12


def test_while_messages_are_held_back_the_store_is_not_asked_all_the_time() -> None:
    workers, ahead = given()
    ahead.wrote(0, 0, 500)
    for _ in range(100):
        workers.now += 0.001
        assert ahead.too_far()
    assert workers.asked < 15


def test_a_worker_that_is_gone_does_not_stop_the_log() -> None:
    workers, ahead = given()
    ahead.wrote(0, 0, 500)
    assert ahead.too_far()
    workers.now += MOST_HELD_S
    assert not ahead.too_far()
    ahead.wrote(0, 1, 500)
    assert ahead.too_far()  # and so each batch waits once


def test_workers_that_are_slow_are_waited_for_as_long_as_they_come_nearer() -> None:
    """Otherwise an overload would pile up where nothing can be put together any more."""
    workers, ahead = given()
    for offset in range(20):
        ahead.wrote(0, offset, 100)
    for offset in range(18):
        workers.applied = {0: offset}
        workers.now += MOST_HELD_S * 0.9
        assert ahead.too_far()
    workers.applied, workers.now = {0: 18}, workers.now + 0.1
    assert not ahead.too_far()


def test_the_workers_are_waited_for_anew_after_they_came_near() -> None:
    workers, ahead = given()
    ahead.wrote(0, 0, 500)
    assert ahead.too_far()
    workers.applied, workers.now = {0: 0}, 100.4
    assert not ahead.too_far()
    ahead.wrote(0, 1, 500)
    workers.now = 100.6
    assert ahead.too_far()
