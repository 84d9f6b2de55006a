"""What waits for a server for ever still ends when it is asked to."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import stamina
from redis import exceptions

from streams.patience import passes

patiently = stamina.retry(
    on=passes(exceptions.ConnectionError), attempts=None, timeout=None, wait_initial=0.001
)


class Server:
    """Away for some calls. A caller who is cancelled while it waits is told of a lost line instead.

    So does `asyncio.wait_for` on Python 3.11 when both happen in the same turn of the loop.
    """

    def __init__(self, away: int) -> None:
        self.away, self.called = away, asyncio.Event()

    @patiently
    async def ask(self) -> str:
        self.called.set()
        self.away -= 1
        if self.away < 0:
            return "an answer"
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.001)
        raise exceptions.ConnectionError


def test_a_server_that_is_away_is_waited_for() -> None:
    async def run() -> str:
        return await Server(away=3).ask()

    assert asyncio.run(run()) == "an answer"


def test_a_cancellation_that_the_client_loses_ends_the_waiting_all_the_same() -> None:
    async def run() -> asyncio.Task[str]:
        server = Server(away=10**9)
        task = asyncio.create_task(server.ask())
        await server.called.wait()
        task.cancel()
        await asyncio.wait({task}, timeout=20)
        return task

    assert asyncio.run(run()).cancelled()


def test_an_error_that_does_not_pass_is_not_waited_out() -> None:
    @patiently
    async def ask() -> None:
        raise exceptions.ResponseError

    with pytest.raises(exceptions.ResponseError):
        asyncio.run(ask())
