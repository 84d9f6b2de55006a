"""An event loop whose time passes only when nothing else is left to do: nobody waits for real."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Selector(selectors.DefaultSelector):
    """Advances the loop's clock instead of blocking."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found and timeout is not None and timeout > 0:
            self.loop.now += timeout
        elif not found and timeout is None:
            raise AssertionError("everything waits for something that will never happen")
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time in seconds since the loop was made."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def run(timeline: Coroutine[Any, Any, None]) -> None:
    """Run a test's timeline on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(timeline)


def now() -> float:
    """Virtual seconds."""
    return asyncio.get_running_loop().time()
