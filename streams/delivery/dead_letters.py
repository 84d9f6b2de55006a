"""Alerts that could not be told: what people see of them, and what they decide.

All is in `tocsin.deliveries`: a dead letter is one whose newest step is `dead`.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from connectors import topics
from connectors.clock import Clock, iso
from connectors.journal import Journal, Progress
from connectors.sinks import deliveries
from connectors.sinks.deliveries import Delivery, Outcome
from streams.delivery.tally import Tally
from streams.errors import UserError


class DeadLetterDecided(msgspec.Struct, frozen=True, kw_only=True):
    """A record of `tocsin.audit`: who decided what about a dead letter."""

    event: str  # "dead_letter_retried", "dead_letter_discarded"
    who: str
    at: str
    item: str
    receiver: str
    alert_id: str
    why: str


class DeadLetters:
    """Reads what is new since it was asked last. Raises `KafkaException`."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal, self._clock = journal, clock
        self._newest: dict[str, Delivery] = {}
        self._next: dict[int, int] = {}
        self.tally = Tally()  # of all that `items` has read

    def items(self, progress: Progress | None = None) -> list[Delivery]:
        """Those that nobody has decided about, oldest first."""
        for stored in self._journal.read(topics.DELIVERIES, self._next, None, progress):
            self._next[stored.partition] = stored.offset + 1
            try:
                step = deliveries.decode(stored.value)
            except msgspec.MsgspecError:  # `tocsin sinks` puts it into quarantine
                continue
            self.tally.add(step)
            self._newest.pop(step.id, None)  # the newest of them stands last
            if step.outcome is Outcome.DEAD:
                self._newest[step.id] = step
        return list(self._newest.values())

    def find(self, start: str) -> Delivery:
        """The one whose id begins like that. Raises `UserError`."""
        found = [item for item in self.items() if item.id.startswith(start)]
        if len(found) != 1:
            raise UserError(
                f"{'Several dead letters begin' if found else 'No dead letter begins'} with "
                f"{start}: `tocsin sinks dead list` shows them."
            )
        return found[0]

    def retry(self, items: Iterable[Delivery], *, who: str, why: str) -> int:
        """Ask `tocsin sinks` for another try of each; how many."""
        return self._decide(items, Outcome.RETRIED, "dead_letter_retried", who, why)

    def discard(self, items: Iterable[Delivery], *, who: str, why: str) -> int:
        """Nobody needs to be told of these any more; how many."""
        return self._decide(items, Outcome.DISCARDED, "dead_letter_discarded", who, why)

    def _decide(
        self, items: Iterable[Delivery], outcome: Outcome, event: str, who: str, why: str
    ) -> int:
        if not why:
            raise UserError("Give the reason: --why 'what was mended'.")
        count = 0
        for item in items:
            at = iso(self._clock())
            step = msgspec.structs.replace(
                item,
                outcome=outcome,
                at=at,
                who=who,
                why=why,
                alert=item.alert if outcome is Outcome.RETRIED else None,
            )
            decided = DeadLetterDecided(
                event=event,
                who=who,
                at=at,
                item=item.id,
                receiver=item.receiver,
                alert_id=item.alert_id,
                why=why,
            )
            self._journal.append(topics.AUDIT, msgspec.json.encode(decided), [])
            self._journal.append(topics.DELIVERIES, deliveries.encode(step), [], key=item.alert_id)
            count += 1
        return count
