"""One engine for all partitions of a worker.

At a moderate rate each partition has a record or two to apply at a time, and most of what a pass
costs is the same for one patient as for many. So what the partitions ask for within a few turns of
the event loop is scored in one batch. Where few messages are asked for, as when the sequencer's
records arrive one partition after the other, a batch may wait some milliseconds for more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from models.risk import RiskModel
from streams.engine import AskedModel, Effects, Engine, Step
from streams.state import PatientState

MOST_MESSAGES = 1_000  # in one batch, where one request alone has not more
FEW = 16  # messages: a batch of fewer waits for more, where it may wait
_TURNS = 2  # of the event loop, in which others may join


class _Asked(NamedTuple):
    patients: Mapping[str, PatientState]
    steps: Sequence[Step]
    answer: asyncio.Future[list[Effects]]

    @property
    def messages(self) -> int:
        return sum(len(step.record.messages) for step in self.steps)


class Together:
    """`Engine.apply_all` for several callers whose patients are different ones."""

    def __init__(
        self,
        engine: Engine,
        linger_s: float = 0.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`linger_s`: how long a batch of few messages waits to fill."""
        self._engine, self._linger_s, self._sleep = engine, linger_s, sleep
        self._asked: list[_Asked] = []
        self._running: asyncio.Task[None] | None = None

    @property
    def models(self) -> tuple[RiskModel, ...]:
        """The engine's."""
        return self._engine.models

    def asked(self) -> list[AskedModel]:
        """As `Engine.asked`."""
        return self._engine.asked()

    def down(self) -> list[AskedModel]:
        """As `Engine.down`."""
        return self._engine.down()

    async def apply_all(
        self, patients: Mapping[str, PatientState], steps: Sequence[Step]
    ) -> list[Effects]:
        """As `Engine.apply_all`."""
        answer: asyncio.Future[list[Effects]] = asyncio.get_running_loop().create_future()
        self._asked.append(_Asked(patients, steps, answer))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        while self._asked:
            await self._gather()
            self._apply(self._take())
        self._running = None

    async def _gather(self) -> None:
        if self._linger_s and sum(asked.messages for asked in self._asked) < FEW:
            await self._sleep(self._linger_s)
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def _take(self) -> list[_Asked]:
        """Those that come first, as many as fit."""
        taken, messages = [self._asked.pop(0)], 0
        messages = taken[0].messages
        while self._asked and messages + self._asked[0].messages <= MOST_MESSAGES:
            messages += self._asked[0].messages
            taken.append(self._asked.pop(0))
        return taken

    def _apply(self, asked: Sequence[_Asked]) -> None:
        patients = {name: state for one in asked for name, state in one.patients.items()}
        try:
            effects = self._engine.apply_all(patients, [s for one in asked for s in one.steps])
        except Exception as error:  # noqa: BLE001  # each caller has to hear of it, and stops
            for one in asked:
                if not one.answer.done():
                    one.answer.set_exception(error)
            return
        at = 0
        for one in asked:
            if not one.answer.done():  # cancelled meanwhile
                one.answer.set_result(effects[at : at + len(one.steps)])
            at += len(one.steps)
