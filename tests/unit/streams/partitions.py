"""What stands around a partition in tests: the log as a list, a world that keeps what it hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from connectors import contract, facts, topics
from connectors.facts import FactRecord
from streams.partition import Output


class ListLog:
    """`tocsin.facts` as a list."""

    def __init__(self, records: Sequence[FactRecord]) -> None:
        self.raw = [facts.encode(record) for record in records]

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[tuple[int, bytes]]:
        for offset in range(start, min(end, len(self.raw))):
            yield offset, self.raw[offset]


class Told:
    """A publisher that keeps what it was given; confirms at once unless it is `away`."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.away = False

    def publish(self, partition: int, outputs: Sequence[Output]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self.away:
            self.outputs += outputs
            future.set_result(None)
        return future

    def alerts(self) -> list[contract.Alert]:
        """As a consumer sees them: each revision once, and never with two contents."""
        seen: dict[tuple[str, int], bytes] = {}
        for output in self.outputs:
            if output.topic == topics.ALERTS:
                alert = contract.decode_alert(output.value)
                assert (
                    seen.setdefault((alert.alert_id, alert.revision), output.value) == output.value
                )
        return [contract.decode_alert(raw) for raw in seen.values()]
