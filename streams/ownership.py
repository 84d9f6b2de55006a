"""The partitions of one worker: which are its own, and what happens when one is taken from it.

Two judges say whose a partition is. The consumer group decides, and a worker may hear of it late:
one that was paused believes for a moment that nothing has changed. The store's fence decides who
may write, and whoever takes a lease fences the one before. So a worker that wakes up can take the
lease from its successor, before the group tells it that the partition has moved on. The successor
then must not let go for good: nobody else would go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from connectors import metrics
from streams.partition import Applied, PartitionOwner
from streams.passes import Numbered
from streams.store import FencedError

log = logging.getLogger("tocsin.worker")


class Ownership:
    """Hands records to the owner of their partition.

    `take` gets a lease and publishes its outbox. `hearing_s`: how long the group may need to tell a
    worker that a partition is not its own any more (its session timeout).
    """

    def __init__(
        self,
        take: Callable[[int], Awaitable[PartitionOwner]],
        hearing_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._take, self._hearing_s, self._sleep = take, hearing_s, sleep
        self._owners: dict[int, PartitionOwner] = {}
        self._assigned: set[int] = set()

    def assigned(self, partitions: set[int]) -> None:
        """These are ours now."""
        self._assigned = set(partitions)

    def revoked(self, partitions: set[int]) -> None:
        """These belong to others now."""
        self._assigned -= partitions
        for partition in partitions:
            self._owners.pop(partition, None)

    async def handle(
        self, partition: int, records: Callable[[], Awaitable[Sequence[Numbered]]]
    ) -> list[Applied] | None:
        """None when the partition is not ours any more: no lease may be taken for it then.

        A worker that is fenced waits until the group must have told it, if it was to lose the
        partition. If it still has it then, it takes the lease back and applies the same records.
        """
        fenced: PartitionOwner | None = None
        while partition in self._assigned:
            try:
                owner = self._owners.get(partition)
                if owner is None:
                    owner = self._owners[partition] = await self._take(partition)
                    if fenced is not None:
                        owner.go_on_for(fenced)
                return await owner.handle_all(await records())
            except FencedError:
                log.warning("partition %d was taken over by another worker", partition)
                metrics.counter("tocsin_worker_fenced").add(1)
                fenced = self._owners.pop(partition, None) or fenced
                await self._sleep(self._hearing_s)
        return None
