"""What waits is handed on together, in order, as soon as can be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from streams.queueing import Queues


class Hands:
    """Takes what is handed on; busy until it is let go."""

    def __init__(
        self,
        most_at_once: int = 100,
        most_under_way: int = 1_000,
        size: Callable[[int], int] = lambda _: 1,
    ) -> None:
        self.got: list[tuple[int, list[int]]] = []
        self.free = asyncio.Event()
        self.free.set()
        self.errors: list[BaseException] = []
        self.queues: Queues[int] = Queues(
            self.apply, self.errors.append, most_at_once, most_under_way, size
        )

    async def apply(self, partition: int, items: list[int]) -> None:
        self.got.append((partition, items))
        await self.free.wait()
        if -1 in items:
            raise ArithmeticError("a bug")


async def turns(number: int = 20) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_one_that_comes_alone_is_handed_on_at_once() -> None:
    hands = Hands()
    await hands.queues.put(3, 7)
    await turns()
    assert hands.got == [(3, [7])]


async def test_those_that_come_one_after_the_other_without_a_pause_go_together() -> None:
    hands = Hands()
    for n in range(10):
        await hands.queues.put(0, n)
        await asyncio.sleep(0)
    await turns()
    assert hands.got == [(0, list(range(10)))]


async def test_what_comes_meanwhile_waits_for_the_next_time_and_keeps_its_order() -> None:
    hands = Hands(most_at_once=4)
    hands.free.clear()
    await hands.queues.put(0, 0)
    await turns()
    for n in range(1, 8):
        await hands.queues.put(0, n)
    await hands.queues.put(1, 100)  # another partition does not wait for this one
    await turns()
    assert hands.got == [(0, [0]), (1, [100])]
    hands.free.set()
    await turns(60)
    assert hands.got[2:] == [(0, [1, 2, 3, 4]), (0, [5, 6, 7])]


async def test_whoever_brings_too_much_waits_until_something_is_done_with() -> None:
    hands = Hands(most_under_way=2)
    await hands.queues.put(0, 1)
    await hands.queues.put(0, 2)
    third = asyncio.create_task(hands.queues.put(0, 3))
    await turns()
    assert hands.got == [(0, [1, 2])]
    assert not third.done()
    hands.queues.done([1])
    await turns()
    assert third.done()
    assert hands.got[-1] == (0, [3])


async def test_large_items_count_by_their_size_and_one_that_is_too_large_goes_alone() -> None:
    hands = Hands(most_under_way=10, size=lambda item: item)
    await hands.queues.put(0, 4)
    await hands.queues.put(0, 6)
    third = asyncio.create_task(hands.queues.put(0, 30))
    await turns()
    hands.queues.done([4])
    await turns()
    assert not third.done()
    hands.queues.done([6])
    await turns()
    assert hands.got == [(0, [4, 6]), (0, [30])]


async def test_what_is_dropped_is_not_handed_on_and_makes_room() -> None:
    hands = Hands(most_under_way=3)
    hands.free.clear()
    await hands.queues.put(0, 1)
    await turns()
    await hands.queues.put(0, 2)
    await hands.queues.put(0, 3)
    hands.queues.drop(0)
    hands.queues.drop(5)  # of which nothing ever waited
    hands.free.set()
    await asyncio.wait_for(hands.queues.put(0, 4), 60.0)
    await turns()
    assert hands.got == [(0, [1]), (0, [4])]


async def test_nothing_behind_a_failure_is_handed_on() -> None:
    hands = Hands()
    await hands.queues.put(0, -1)
    await turns()
    await hands.queues.put(0, 1)
    await hands.queues.put(1, 2)
    await turns()
    assert [type(error) for error in hands.errors] == [ArithmeticError]
    assert hands.got == [(0, [-1]), (1, [2])]


async def test_closing_ends_what_is_under_way() -> None:
    hands = Hands()
    hands.free.clear()
    await hands.queues.put(0, 1)
    await turns()
    await hands.queues.close()
    await hands.queues.put(0, 2)
    await hands.queues.close()
    assert hands.got == [(0, [1])]
    assert hands.errors == []
