"""While workers have enough to do, messages wait where they can still be put together."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from connectors.ahead import AGAIN_S, LEAST, STANDING_S, Ahead

HEARD = 1_767_268_800.0


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
    ahead.wrote(0, 7, 60, HEARD)
    ahead.wrote(1, 3, 60, HEARD)
    assert ahead.too_far()
    workers.applied, workers.now = {0: 7, 1: 2}, 100.1
    assert not ahead.too_far()


def test_a_record_counts_until_it_is_applied_itself() -> None:
    workers, ahead = given()
    ahead.wrote(0, 7, 10, HEARD)
    ahead.wrote(0, 8, 200, HEARD)
    workers.applied = {0: 7}
    assert ahead.too_far()
    workers.applied, workers.now = {0: 8}, 100.1
    assert not ahead.too_far()


def test_a_moderate_rate_hardly_asks() -> None:
    workers, ahead = given()
    for offset in range(1_000):
        ahead.wrote(0, offset, 1, HEARD)
        workers.applied = {0: offset}
        workers.now += 0.001
        assert not ahead.too_far()
    assert workers.asked <= 20  # in a second


def test_while_little_waits_the_store_is_hardly_asked() -> None:
    workers, ahead = given(4_000)
    for offset in range(1_000):
        ahead.wrote(0, offset, 1, HEARD)
        workers.applied = {0: offset}
        workers.now += 0.01
        assert not ahead.too_far()
    assert workers.asked <= 20  # in ten seconds


def test_while_messages_are_held_back_the_store_is_not_asked_all_the_time() -> None:
    workers, ahead = given()
    ahead.wrote(0, 0, 500, HEARD)
    for _ in range(100):
        workers.now += 0.001
        assert ahead.too_far()
    assert workers.asked < 15


def test_a_worker_that_is_gone_does_not_stop_the_log() -> None:
    workers, ahead = given()
    ahead.wrote(0, 0, 500, HEARD)
    workers.now += STANDING_S * 0.9
    assert ahead.too_far()  # it may just be replaced
    workers.now += STANDING_S * 0.2
    assert not ahead.too_far()
    ahead.wrote(0, 1, 500, HEARD)
    assert ahead.too_far()  # so that the next batch is large, too
    workers.now += AGAIN_S
    assert not ahead.too_far()
    assert ahead.batch == 200
    assert ahead.messages == 1_000  # nothing is forgotten
    workers.applied, workers.now = {0: 0}, workers.now + 0.1
    ahead.wrote(0, 2, 500, HEARD)
    assert ahead.too_far()  # somebody is there again


def test_workers_that_are_slow_are_waited_for_as_long_as_they_come_nearer() -> None:
    """Otherwise an overload would pile up where nothing can be put together any more."""
    workers, ahead = given()
    for offset in range(20):
        ahead.wrote(0, offset, 100, HEARD)
    for offset in range(18):
        workers.applied = {0: offset}
        workers.now += STANDING_S * 0.9
        assert ahead.too_far()
    workers.applied, workers.now = {0: 18}, workers.now + 0.1
    assert not ahead.too_far()


def test_workers_that_still_apply_what_somebody_else_wrote_are_not_taken_for_dead() -> None:
    """As after a restart of the sequencer, with many records of the one before it in the log."""
    workers, ahead = given()
    ahead.wrote(0, 1_000, 500, HEARD)
    for offset in range(50):
        workers.applied = {0: offset}
        workers.now += 1.0
        assert ahead.too_far()
        assert not ahead.standing


def test_the_workers_are_waited_for_anew_after_they_came_near() -> None:
    workers, ahead = given()
    ahead.wrote(0, 0, 500, HEARD)
    assert ahead.too_far()
    workers.applied, workers.now = {0: 0}, 100.4
    assert not ahead.too_far()
    ahead.wrote(0, 1, 500, HEARD)
    workers.now = 100.6
    assert ahead.too_far()


def busy(most: int, rate: int, seconds: float) -> tuple[Workers, Ahead]:
    """Workers that were brought twice what they can for a while, and then did the rest."""
    workers, ahead = given(most)
    workers.applied = {0: -1}
    records = round(seconds * 10)
    for offset in range(2 * records):
        if offset < records:
            ahead.wrote(0, offset, rate // 5, HEARD + offset)
        workers.applied = {0: offset // 2}
        workers.now += 0.1
        ahead.look()
    workers.now += 0.5
    ahead.look()
    assert ahead.messages == 0
    return workers, ahead


def test_the_rate_is_what_workers_do_when_they_have_enough_to_do() -> None:
    _, ahead = busy(4_000, 2_000, 10.0)
    assert ahead.rate == pytest.approx(2_000, rel=0.15)


def test_they_are_given_the_work_of_less_than_a_second_and_urgent_messages_go_twice_as_far() -> (
    None
):
    for rate, most in ((2_000, 1_400), (20_000, 4_000), (100, LEAST)):
        _, ahead = busy(4_000, rate, 10.0)
        ahead.wrote(0, 10_001, int(most * 0.8), HEARD)
        assert not ahead.too_far()
        ahead.wrote(0, 10_002, int(most * 0.5), HEARD)
        assert ahead.too_far()
        assert not ahead.too_far(urgent=True)
        ahead.wrote(0, 10_003, most, HEARD)
        assert ahead.too_far(urgent=True)


def test_workers_that_become_slower_are_given_less_and_idle_ones_are_not_thought_slow() -> None:
    workers, ahead = busy(4_000, 2_000, 10.0)
    workers.now += 3_600.0
    ahead.wrote(0, 10_001, 1, HEARD)
    workers.now += 0.5
    ahead.look()
    assert ahead.rate == pytest.approx(2_000, rel=0.15)
    for offset in range(10_002, 10_502):
        ahead.wrote(0, offset, 100, HEARD)
        if offset % 5 == 0:
            workers.applied = {0: 10_001 + (offset - 10_001) // 5}
        workers.now += 0.1
        ahead.look()
    assert ahead.rate == pytest.approx(200, rel=0.3)


def test_the_oldest_that_waits_is_known() -> None:
    workers, ahead = given()
    assert ahead.oldest is None
    ahead.wrote(0, 7, 1, HEARD + 3.0)
    ahead.wrote(1, 3, 1, HEARD + 1.0)
    ahead.wrote(1, 4, 1, HEARD + 2.0)
    assert ahead.oldest == HEARD + 1.0
    workers.applied, workers.now = {1: 3}, 100.5
    ahead.look()
    assert ahead.oldest == HEARD + 2.0
    workers.applied, workers.now = {0: 7, 1: 4}, 101.0
    ahead.look()
    assert ahead.oldest is None


def test_that_nobody_scores_is_said_after_some_seconds_and_no_more_when_somebody_does() -> None:
    workers, ahead = given()
    workers.now += 3_600.0
    ahead.wrote(0, 1, 10, HEARD)
    ahead.wrote(0, 2, 10, HEARD)
    workers.now += STANDING_S * 0.9
    ahead.look()
    assert not ahead.standing
    workers.now += STANDING_S * 0.2
    ahead.look()
    assert ahead.standing
    workers.applied = {0: 1}
    workers.now += 0.5
    ahead.look()
    assert not ahead.standing


def test_what_is_remembered_is_bounded_while_nobody_scores() -> None:
    workers, ahead = given(4_000)
    for offset in range(30_000):
        ahead.wrote(0, offset, 1, HEARD)
    assert ahead.messages == 30_000
    workers.applied, workers.now = {0: 29_999}, 100.1
    ahead.look()
    assert ahead.messages == 0
