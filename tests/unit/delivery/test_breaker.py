"""The circuit breaker, as timelines."""

from __future__ import annotations

import asyncio

from streams.delivery.breaker import Breaker, Position
from tests.unit.delivery.virtual import now, run


def breaker(moves: list[tuple[float, Position]] | None = None) -> Breaker:
    """Opens after three failures, for ten seconds."""
    return Breaker(
        3, 10.0, now, lambda to: moves.append((now(), to)) if moves is not None else None
    )


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    """A success in between starts the count anew."""

    async def timeline() -> None:
        b = breaker()
        for outcome in (b.failed, b.failed, b.succeeded, b.failed, b.failed):
            await b.enter()
            outcome()
        assert b.position is Position.CLOSED
        await b.enter()
        b.failed()
        assert b.position is Position.OPEN

    run(timeline())


def test_after_the_pause_one_attempt_decides() -> None:
    """It fails: another pause. It succeeds: everyone goes on."""

    async def timeline() -> None:
        moves: list[tuple[float, Position]] = []
        b = breaker(moves)
        for _ in range(3):
            await b.enter()
            b.failed()
        await b.enter()
        assert now() == 10
        other = asyncio.create_task(b.enter())
        await asyncio.sleep(1)
        assert not other.done()
        b.failed()
        await other
        assert now() == 21
        third = asyncio.create_task(b.enter())
        await asyncio.sleep(0)
        b.succeeded()
        await third
        assert now() == 21
        assert [at for at, _ in moves] == [0, 10, 11, 21, 21]
        assert moves[-1][1] is Position.CLOSED

    run(timeline())


def test_an_attempt_that_is_broken_off_leaves_its_place_to_the_next() -> None:
    """Otherwise nobody would ever try again."""

    async def timeline() -> None:
        b = breaker()
        for _ in range(3):
            await b.enter()
            b.failed()
        await b.enter()
        waiting = asyncio.create_task(b.enter())
        await asyncio.sleep(0)
        b.left()
        await waiting
        assert b.position is Position.HALF_OPEN

    run(timeline())
