"""A log in memory that implements the port of the real one, with delays and failures on demand."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from connectors.kafka import AppendError, Confirmed, Headers


class Record(NamedTuple):
    """What was appended."""

    topic: str
    value: bytes
    headers: dict[str, str]


class FakeLog:
    """Confirms at once, or when told to."""

    def __init__(self, *, largest: int = 1_000_000) -> None:
        self.records: list[Record] = []  # confirmed: what a consumer would see
        self.waiting: list[tuple[Record, Confirmed]] = []
        self.most_waiting = 0
        self.largest = largest
        self._holding = False

    def append(self, topic: str, value: bytes, headers: Headers, confirmed: Confirmed) -> None:
        """Take a record."""
        text = {k: v if isinstance(v, str) else v.decode() for k, v in headers}
        self.waiting.append((Record(topic, value, text), confirmed))
        self.most_waiting = max(self.most_waiting, len(self.waiting))
        if not self._holding:
            asyncio.get_running_loop().call_soon(self.confirm, 1)

    def hold(self) -> None:
        """From now on nothing is confirmed."""
        self._holding = True

    def release(self) -> None:
        """Confirm what waits, and everything from now on."""
        self._holding = False
        self.confirm(len(self.waiting))

    def confirm(self, count: int, *, last_first: bool = False) -> None:
        """Confirm the oldest (or the newest) of those that wait."""
        for _ in range(min(count, len(self.waiting))):
            record, confirmed = self.waiting.pop(-1 if last_first else 0)
            if len(record.value) > self.largest:
                confirmed(AppendError("record too large", too_large=True))
                continue
            self.records.append(record)
            confirmed(None)

    def fail(self, index: int) -> None:
        """One record is lost for good."""
        _, confirmed = self.waiting.pop(index)
        confirmed(AppendError("topic is gone"))

    async def flush(self, timeout_s: float) -> bool:
        """Wait until everything is confirmed."""
        end = asyncio.get_running_loop().time() + timeout_s
        # ASYNC110: tests confirm by hand, so there is no event to wait for
        while self.waiting and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        return not self.waiting
