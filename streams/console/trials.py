"""Back-tests for pages: one computes at a time, in a thread."""

from __future__ import annotations

import asyncio
from typing import Any

from streams.backtest_desk import BacktestDesk
from streams.policy.rules import Rulebook


class Trials:
    """The desk, as pages may use it."""

    def __init__(self, desk: BacktestDesk) -> None:
        self._desk = desk
        self._one_at_a_time = asyncio.Lock()

    @property
    def risks(self) -> list[str]:
        """Those that can be tried."""
        return self._desk.risks

    def cohort(self, risk: str) -> str:
        """The name of the labelled cohort that is set for a risk; "" for none."""
        file = self._desk.cohorts.get(risk)
        return f"{file.parent.name}/{file.name}" if file else ""

    def fire(self, risk: str, book: Rulebook) -> float:
        """Where the risk fires by that book."""
        return self._desk.rule(risk, book)

    async def trial(
        self, risk: str, source: str, book: Rulebook, fire: float, horizon_s: float | None
    ) -> dict[str, Any]:
        """See `BacktestDesk.trial`."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._desk.trial, risk, source, book, fire, horizon_s)
