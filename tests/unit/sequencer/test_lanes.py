"""Urgent messages overtake, and nothing that waits counts as done."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import lanes
from connectors.lanes import Lanes
from tests.unit.sequencer.messages import Read, names, read


def new() -> Lanes:
    return Lanes(lambda message, crowded: crowded and cast(Any, message).urgent)


def test_an_urgent_message_goes_first_where_others_wait() -> None:
    waiting = new()
    waiting.put(read(Read(0, 1), Read(0, 2)), held=True)
    waiting.put(read(Read(0, 3, urgent=True)), held=True)
    assert names(waiting.take(10, urgent_only=True)) == [(0, 3)]
    assert names(waiting.take(10)) == [(0, 1), (0, 2)]


def test_a_few_others_come_along() -> None:
    waiting = new()
    waiting.put(read(Read(0, 1), Read(0, 2, urgent=True)), held=True)
    assert names(waiting.take(10)) == [(0, 2), (0, 1)]


def test_many_others_do_not_hold_the_urgent_ones_up() -> None:
    waiting = new()
    waiting.put(read(*(Read(0, n, urgent=n % 100 == 7) for n in range(1_000))), held=False)
    assert names(waiting.take(1_000)) == [(0, n) for n in range(7, 1_000, 100)]
    assert len(waiting.take(1_000)) == 990


def test_a_stream_of_urgent_messages_does_not_keep_the_others_waiting_for_ever() -> None:
    now = [0.0]
    waiting = Lanes(lambda message, crowded: cast(Any, message).urgent, lambda: now[0])
    waiting.put(read(*(Read(0, n) for n in range(1_000))), held=False)
    others = 0
    for step in range(300):
        now[0] += 0.01
        waiting.put(read(*(Read(1, 10 * step + n, urgent=True) for n in range(10))), held=False)
        others += sum(name[0] == 0 for name in names(waiting.take(10)))
        assert step < 90 or step > 110 or others <= 2  # a second of urgent ones alone
    assert others >= 4


def test_where_nothing_can_be_overtaken_order_is_kept() -> None:
    waiting = new()
    waiting.put(read(Read(0, 1), Read(0, 2, urgent=True)), held=False)
    assert names(waiting.take(10)) == [(0, 1), (0, 2)]


def test_what_waits_is_not_done_nor_is_what_lies_behind_it() -> None:
    waiting = new()
    waiting.put(read(Read(0, 5), Read(0, 6, urgent=True), Read(1, 9, urgent=True)), held=True)
    waiting.take(10, urgent_only=True)
    assert waiting.done() == {("wire", 0): 5, ("wire", 1): 10}
    waiting.take(10)
    assert waiting.done() == {("wire", 0): 7, ("wire", 1): 10}


def test_a_partition_that_is_somebody_elses_is_forgotten() -> None:
    waiting = new()
    waiting.put(read(Read(0, 5), Read(1, 6), Read(1, 7, urgent=True)), held=True)
    waiting.forget([("wire", 1)])
    assert waiting.done() == {("wire", 0): 5}
    assert names(waiting.take(10)) == [(0, 5)]
    waiting.put(read(Read(1, 6)), held=True)  # it comes back, from its last commit on
    assert waiting.done() == {("wire", 0): 6, ("wire", 1): 6}


def test_reading_ahead_is_bounded_by_number_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "MOST", 3)
    waiting = new()
    waiting.put(read(Read(0, 1), Read(0, 2)), held=True)
    assert not waiting.full
    waiting.put(read(Read(0, 3)), held=True)
    assert waiting.full
    waiting.take(1)
    assert not waiting.full
    waiting.put(read(Read(0, 4, size=lanes.MOST_BYTES)), held=True)
    assert waiting.full


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=60), st.integers(1, 7))
def test_everything_is_taken_once_and_after_a_restart_nothing_is_missing(
    story: list[tuple[int, bool]], most: int
) -> None:
    """Whenever it stops, what was taken and what is read again are together everything."""
    waiting = new()
    offsets = [0, 0, 0]
    messages = []
    for partition, urgent in story:
        messages.append(Read(partition, offsets[partition], urgent=urgent))
        offsets[partition] += 1
    waiting.put(read(*messages), held=True)
    taken: set[tuple[int, int]] = set()
    while len(waiting):
        some = names(waiting.take(most))
        assert taken.isdisjoint(some)
        taken.update(some)
        done = waiting.done()
        again = {m.name for m in messages if m.offset() >= done[("wire", m.partition())]}
        assert taken | again == {m.name for m in messages}
    assert waiting.done() == {("wire", p): end for p, end in enumerate(offsets) if end}
