"""What waits to be told, what became of it, and what a receiver's queue needs from elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from connectors.clock import Clock
from connectors.contract import Alert, AlertState
from connectors.identity import Identity
from connectors.sinks.deliveries import Outcome
from streams.delivery.ledger import Ledger
from streams.delivery.routing import Told

# Of these somebody may be reminded: nobody has taken them.
UNTAKEN: Final = frozenset({AlertState.FIRING, AlertState.ESCALATED})


@dataclass(slots=True, eq=False)
class Item:
    """One alert revision for one receiver."""

    alert: Alert
    told: Told
    at: float  # when it became known, epoch seconds
    done: Callable[[], None]  # it has been dealt with, one way or the other
    repeat: int = 0
    retry: bool = False  # somebody asked for another try of a dead letter
    attempts: int = 0
    under_way: bool = False  # an attempt is being made, or what followed is being written down

    @property
    def what(self) -> tuple[str, int, int]:
        """What is told, apart from where the wish to tell it came from."""
        return self.alert.alert_id, self.alert.revision, self.repeat


class Ending(NamedTuple):
    """What became of an item."""

    item: Item
    outcome: Outcome
    reason: str = ""
    detail: str = ""
    identity: bool = False


class Outside(NamedTuple):
    """What a queue needs from elsewhere."""

    ledger: Ledger
    record: Callable[[Ending], Awaitable[None]]  # written down for good when it returns
    # Names behind pseudonyms for a receiver that may know them, after the audit has it. Raises
    # `UnavailableError`.
    people: Callable[[str, Sequence[Alert]], Awaitable[Mapping[str, Identity]]]
    clock: Clock
