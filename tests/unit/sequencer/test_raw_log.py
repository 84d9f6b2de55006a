"""Reading as a member of a group: nothing that was not mapped ever counts as done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from connectors import lanes as lanes_module
from connectors.lanes import Lanes
from connectors.raw_log import RawLog
from tests.unit.sequencer.messages import Read

MESSAGES = 100  # of each partition


class Group:
    """A consumer of two partitions, whose group takes partitions away in the middle of a read."""

    def __init__(self) -> None:
        self.committed = {0: 0, 1: 0}
        self.position: dict[int, int] = {}
        self.in_the_middle: Callable[[], None] | None = None
        self.paused: set[int] = set()
        self.polls = 0
        self._on_assign: Any = None
        self._on_revoke: Any = None

    def subscribe(self, names: list[str], on_assign: Any, on_revoke: Any) -> None:
        self._on_assign, self._on_revoke = on_assign, on_revoke

    def give(self, *partitions: int) -> None:
        self._on_assign(self, [TopicPartition("wire", p) for p in partitions])

    def take(self) -> None:
        gone = [TopicPartition("wire", p) for p in self.position]
        self.position = {}
        self._on_revoke(self, gone)

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.position = {p.partition: self.committed[p.partition] for p in partitions}

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition("wire", p) for p in self.position]

    def commit(self, offsets: list[TopicPartition], *, asynchronous: bool) -> None:
        for place in offsets:
            self.committed[place.partition] = place.offset

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.paused |= {p.partition for p in partitions}

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.paused -= {p.partition for p in partitions}

    def poll(self, timeout: float) -> Message | None:
        self.polls += 1
        for partition in self.position.keys() - self.paused:
            for message in self._of(partition, 1):
                return message
        return None

    def consume(self, most: int, timeout: float) -> list[Message]:
        before = self._read(min(most, 6))
        if self.in_the_middle is not None:
            self.in_the_middle()
            self.in_the_middle = None
        return before + self._read(min(most, 6))

    def _read(self, most: int) -> list[Message]:
        return [message for p in self.position for message in self._of(p, most // 2)]

    def _of(self, partition: int, most: int) -> list[Message]:
        at = self.position[partition]
        self.position[partition] = end = min(MESSAGES, at + most)
        return cast(list[Message], [Read(partition, offset) for offset in range(at, end)])


def reading(group: Group) -> tuple[RawLog, Lanes]:
    lanes = Lanes(lambda message, crowded: False)
    log = RawLog(cast(Consumer, group), lanes, 50, lambda _: None, lambda _: None)
    log.subscribe(["wire"])
    return log, lanes


def process(log: RawLog, lanes: Lanes, most: int, done: set[tuple[int, int]]) -> None:
    """Map some, and commit."""
    done.update(cast(Any, message).name for message in lanes.take(most))
    log.processed()
    log.commit_when_due(at_once=True)


def nothing_is_left_out(group: Group, done: set[tuple[int, int]]) -> bool:
    """Whoever starts now, and reads from the last commits on."""
    return all((p, o) in done for p, end in group.committed.items() for o in range(end))


def test_what_waits_is_not_committed() -> None:
    group, done = Group(), set[tuple[int, int]]()
    log, lanes = reading(group)
    group.give(0, 1)
    log.read(lambda: True)
    process(log, lanes, 5, done)
    assert sum(group.committed.values()) == 5
    assert nothing_is_left_out(group, done)


def test_partitions_that_go_and_come_back_in_the_middle_of_a_read_are_read_again() -> None:
    group, done = Group(), set[tuple[int, int]]()
    log, lanes = reading(group)
    group.give(0, 1)
    log.read(lambda: True)
    process(log, lanes, 3, done)

    def rebalance() -> None:
        group.take()
        group.give(1, 0)

    group.in_the_middle = rebalance
    log.read(lambda: True)
    for _ in range(10 * MESSAGES):
        process(log, lanes, 1, done)
        assert nothing_is_left_out(group, done)
        log.read(lambda: True)
    assert len(done) == 2 * MESSAGES


def test_partitions_that_go_to_somebody_else_are_neither_mapped_nor_committed() -> None:
    group, done = Group(), set[tuple[int, int]]()
    log, lanes = reading(group)
    group.give(0, 1)
    log.read(lambda: True)

    def rebalance() -> None:
        group.take()
        group.give(1)

    group.in_the_middle = rebalance
    log.read(lambda: True)
    for _ in range(10 * MESSAGES):
        process(log, lanes, 1, done)
        log.read(lambda: True)
    assert group.committed == {0: 0, 1: MESSAGES}
    assert done == {(1, offset) for offset in range(MESSAGES)}


def test_between_losing_partitions_and_getting_others_nothing_is_committed() -> None:
    group, done = Group(), set[tuple[int, int]]()
    log, lanes = reading(group)
    group.give(0, 1)
    log.read(lambda: True)
    group.in_the_middle = group.take
    log.read(lambda: True)
    process(log, lanes, 5, done)
    assert group.committed == {0: 0, 1: 0}
    assert done == set()


def test_while_the_lanes_are_full_nothing_is_fetched_and_the_group_is_listened_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A member that does not poll holds a rebalance up, and is put out in the end."""
    monkeypatch.setattr(lanes_module, "MOST", 5)
    group, done = Group(), set[tuple[int, int]]()
    log, lanes = reading(group)
    group.give(0, 1)
    log.read(lambda: True)
    assert lanes.full
    before, polls = len(lanes), group.polls
    for _ in range(3):
        log.read(lambda: True)
    assert (len(lanes), group.polls, group.paused) == (before, polls + 3, {0, 1})
    group.take()
    group.paused = set()  # a partition that comes is fetched from
    group.give(1)
    while lanes.full:
        process(log, lanes, 1, done)
    log.read(lambda: True)
    assert group.paused == set()
    for _ in range(10 * MESSAGES):
        process(log, lanes, 1, done)
        log.read(lambda: True)
    assert group.committed[1] == MESSAGES
    assert nothing_is_left_out(group, done)
