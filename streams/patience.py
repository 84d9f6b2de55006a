"""Waiting for a server that is away, for as long as it takes, and yet ending when asked to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def end_if_asked() -> None:
    """Between two tries: end a task whose cancellation was lost (`asyncio.CancelledError`).

    On Python 3.11 `asyncio.wait_for`, which the Redis client writes through, loses a cancellation
    that comes together with the end of the connection. Tried again for ever, such a task would
    never end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def passes(*kinds: type[Exception]) -> Callable[[Exception], bool]:
    """What `stamina.retry(on=…)` asks of an error in asynchronous code: is it worth waiting out?"""

    def worth_waiting(error: Exception) -> bool:
        end_if_asked()
        return isinstance(error, kinds)

    return worth_waiting
