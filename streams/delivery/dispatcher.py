"""From a record of the log to the queues of those who have to be told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import msgspec

from connectors import contract, topics
from connectors.clock import Clock, iso
from connectors.contract import Alert, AlertReason, Quarantined
from connectors.quarantine import Reason, quarantined
from connectors.sinks import deliveries
from connectors.sinks.deliveries import DeadReason, Delivery, Outcome
from connectors.sinks.notice import key_of, short
from streams.delivery.items import UNTAKEN, Ending, Item
from streams.delivery.ledger import Ledger
from streams.delivery.progress import Progress
from streams.delivery.queue import ReceiverQueue
from streams.delivery.routing import Routing, Told, who

log = logging.getLogger("tocsin.sinks")


class Record(NamedTuple):
    """A record of `tocsin.alerts` or `tocsin.deliveries`."""

    topic: str
    partition: int
    offset: int
    at: float  # epoch seconds: the record's timestamp
    value: bytes


class Writer(Protocol):
    """Writes to the log; returns when the broker has the record."""

    async def write(self, topic: str, key: str, value: bytes) -> None:
        """Append a record."""
        ...


class Dispatcher:
    """Decides who is told, and keeps account of what has been dealt with."""

    def __init__(
        self,
        queues: Mapping[str, ReceiverQueue],
        routing: Callable[[], Routing],
        ledger: Ledger,
        writer: Writer,
        clock: Clock,
    ) -> None:
        self._queues, self._routing, self._ledger = queues, routing, ledger
        self._writer, self._clock = writer, clock
        self.progress = Progress()

    async def take(self, record: Record) -> None:
        """One record of the log. Returns when it is queued, not when it is told."""
        handle = self._alert if record.topic == topics.ALERTS else self._delivery
        await handle(record)

    async def _alert(self, record: Record) -> None:
        """A revision: whoever the routes name, and whoever was named for an earlier one."""
        try:
            alert = contract.decode_alert(record.value)
        except msgspec.MsgspecError as error:
            await self._quarantine(record, str(error))
            return
        named = {told.receiver: told for told in who(self._routing(), alert)}
        for receiver in await self._of_the_call(alert):
            named.setdefault(receiver, Told(receiver))
        before = await self._ledger.note(alert, named)
        for receiver, first in before.named.items():
            # Whoever was told is told how it goes on, wherever the patient is now.
            if first < alert.revision and self._wants(receiver, alert):
                named.setdefault(receiver, Told(receiver))
        await self._queue(record, alert, list(named.values()))

    async def _of_the_call(self, alert: Alert) -> list[str]:
        """Whoever was told of the call that an alert joins is told of this one too."""
        if alert.reason not in (AlertReason.JOINED, AlertReason.COVERED):
            return []
        call = await self._ledger.known(alert.joined)
        return [receiver for receiver in call.named if self._wants(receiver, alert)]

    def _wants(self, receiver: str, alert: Alert) -> bool:
        queue = self._queues.get(receiver)
        return queue is not None and queue.wants(alert)

    async def _delivery(self, record: Record) -> None:
        """Of all that is written down, only a wish to try a dead letter again concerns us."""
        try:
            delivery = deliveries.decode(record.value)
        except msgspec.MsgspecError as error:
            await self._quarantine(record, str(error))
            return
        if delivery.outcome is not Outcome.RETRIED or delivery.alert is None:
            self._begin(record, 0)
            return
        await self._queue(record, delivery.alert, [Told(delivery.receiver)], retry=True)

    async def _queue(
        self, record: Record, alert: Alert, told: list[Told], *, retry: bool = False
    ) -> None:
        self._begin(record, len(told))
        place = (record.topic, record.partition)

        def done() -> None:
            self.progress.finish(place, record.offset)

        for one in told:
            item = Item(alert, one, record.at, done, retry=retry)
            queue = self._queues.get(one.receiver)
            if queue is not None:
                await queue.put(item)
                continue
            detail = "sinks.receivers has no such section"
            await self.record(Ending(item, Outcome.DEAD, DeadReason.UNKNOWN_RECEIVER, detail))
            log.error("the routing names %s: %s", one.receiver, detail)
            done()

    async def remind(self) -> None:
        """Queue the reminders that are due."""
        for alert_id, receiver in await self._ledger.due(self._clock()):
            known = await self._ledger.known(alert_id)
            queue = self._queues.get(receiver)
            if queue is None or known.newest is None or known.newest.state not in UNTAKEN:
                await self._ledger.remind_no_more(alert_id, receiver)
                continue
            told = Told(receiver, repeat_s=known.every_s.get(receiver, 0.0))
            count = known.reminded.get(receiver, 0) + 1
            await queue.put(Item(known.newest, told, self._clock(), _nothing, repeat=count))

    async def record(self, ending: Ending) -> None:
        """Write down what became of an item."""
        item = ending.item
        key = key_of(item.alert, item.told.receiver, item.repeat)
        delivery = Delivery(
            id=short(key),
            receiver=item.told.receiver,
            alert_id=item.alert.alert_id,
            revision=item.alert.revision,
            patient=item.alert.patient,
            risk=item.alert.risk,
            state=item.alert.state,
            outcome=ending.outcome,
            at=iso(self._clock()),
            reason=ending.reason,
            detail=ending.detail,
            attempts=item.attempts,
            repeat=item.repeat,
            identity=ending.identity,
            alert=item.alert if ending.outcome is Outcome.DEAD else None,
        )
        await self._writer.write(topics.DELIVERIES, delivery.alert_id, deliveries.encode(delivery))

    async def _quarantine(self, record: Record, detail: str) -> None:
        item: Quarantined = quarantined(
            Reason.BAD_ALERT,
            detail,
            raw=record.value,
            received_at=record.at,
            source=record.topic,
            wire=f"{record.topic}/{record.partition}/{record.offset}",
        )
        await self._writer.write(topics.QUARANTINE, item.id, contract.encode(item))
        self._begin(record, 0)

    def _begin(self, record: Record, parts: int) -> None:
        self.progress.begin((record.topic, record.partition), record.offset, parts)


def _nothing() -> None:
    """A reminder stands in no log."""
