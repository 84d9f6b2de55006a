"""A ledger in memory, receivers that do as they are told, and a log that keeps what is written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from connectors import topics
from connectors.contract import Alert
from connectors.identity import Identity
from connectors.sinks import deliveries
from connectors.sinks.deliveries import Delivery, Outcome
from connectors.sinks.notice import Notice, UnavailableError
from connectors.sinks.settings import WebhookReceiver
from streams.delivery.dispatcher import Dispatcher, Record
from streams.delivery.items import Outside
from streams.delivery.ledger import Known
from streams.delivery.queue import ReceiverQueue
from streams.delivery.routing import Routing, parse
from tests.unit.delivery.virtual import now
from tests.unit.sinks.alerts import AT, PERSON
from tests.unit.sinks.peers import SECRET

LEASE_S = 120.0


class FakeLedger:
    """`Ledger` in memory; `tests/integration/delivery/test_ledger_contract.py` holds it to that."""

    def __init__(self) -> None:
        self._newest: dict[str, Alert] = {}
        self._named: dict[str, dict[str, int]] = {}
        self._told: dict[str, dict[str, tuple[int, int, float]]] = {}
        self._reminders: dict[tuple[str, str], float] = {}

    async def known(self, alert_id: str) -> Known:
        await asyncio.sleep(0)
        told = self._told.get(alert_id, {})
        return Known(
            self._newest.get(alert_id),
            dict(self._named.get(alert_id, {})),
            {name: revision for name, (revision, _, _) in told.items()},
            {name: count for name, (_, count, _) in told.items()},
            {name: every for name, (_, _, every) in told.items()},
        )

    async def note(self, alert: Alert, receivers: Iterable[str]) -> Known:
        before = await self.known(alert.alert_id)
        if before.newest is None or before.newest.revision < alert.revision:
            self._newest[alert.alert_id] = alert
        named = self._named.setdefault(alert.alert_id, {})
        for receiver in receivers:
            named.setdefault(receiver, alert.revision)
        return before

    async def told(
        self, alert: Alert, receiver: str, now: float, *, repeat_s: float = 0, repeat: int = 0
    ) -> None:
        await asyncio.sleep(0)
        told = self._told.setdefault(alert.alert_id, {})
        told[receiver] = (alert.revision, repeat, repeat_s)
        if repeat_s:
            self._reminders[alert.alert_id, receiver] = now + repeat_s
        else:
            self._reminders.pop((alert.alert_id, receiver), None)

    async def due(self, now: float) -> list[tuple[str, str]]:
        await asyncio.sleep(0)
        found = [pair for pair, at in self._reminders.items() if at <= now]
        for pair in found:
            self._reminders[pair] = now + LEASE_S
        return found

    async def remind_no_more(self, alert_id: str, receiver: str) -> None:
        await asyncio.sleep(0)
        self._reminders.pop((alert_id, receiver), None)


class FakeSink:
    """Takes notices; `answers` are raised one after the other before that."""

    def __init__(self) -> None:
        self.got: list[Notice] = []
        self.at: list[float] = []
        self.tried = 0
        self.answers: list[Exception] = []
        self.down = False
        self.takes_s = 0.0
        self.closed = False

    async def send(self, notice: Notice) -> None:
        self.tried += 1
        await asyncio.sleep(self.takes_s)
        if self.down:
            raise UnavailableError("is down")
        if self.answers:
            raise self.answers.pop(0)
        self.got.append(notice)
        self.at.append(now())

    async def close(self) -> None:
        self.closed = True

    @property
    def revisions(self) -> list[tuple[str, int]]:
        """Alert id and revision of everything told, in order."""
        return [(a.alert_id, a.revision) for n in self.got for a in n.alerts]


class FakeWriter:
    """Keeps records, by topic."""

    def __init__(self) -> None:
        self.records: dict[str, list[bytes]] = {}

    async def write(self, topic: str, key: str, value: bytes) -> None:
        await asyncio.sleep(0)
        self.records.setdefault(topic, []).append(value)

    @property
    def deliveries(self) -> list[Delivery]:
        """What was written down of telling."""
        return [deliveries.decode(raw) for raw in self.records.get(topics.DELIVERIES, [])]

    def outcomes(self, receiver: str) -> list[tuple[int, Outcome]]:
        """Revision and outcome, in order."""
        return [(d.revision, d.outcome) for d in self.deliveries if d.receiver == receiver]


def receiver(**changes: object) -> WebhookReceiver:
    """Settings of one; what kind it is makes no difference to a queue."""
    return WebhookReceiver.model_validate(
        {"kind": "webhook", "url": "https://h/x", "secret": SECRET, "parallel": 4, **changes}
    )


@dataclass
class Desk:
    """A dispatcher with receivers, all of them fakes. Made in a running loop."""

    routing: Routing
    settings: dict[str, WebhookReceiver] = field(default_factory=dict)
    ledger: FakeLedger = field(default_factory=FakeLedger)
    writer: FakeWriter = field(default_factory=FakeWriter)
    sinks: dict[str, FakeSink] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.queues: dict[str, ReceiverQueue] = {}
        self.dispatcher = Dispatcher(
            self.queues, lambda: self.routing, self.ledger, self.writer, self.clock
        )
        outside = Outside(self.ledger, self.dispatcher.record, people, self.clock)
        for name in [r.name for r in self.routing.receivers]:
            sink = self.sinks.setdefault(name, FakeSink())
            settings = self.settings.get(name, receiver())
            self.queues[name] = ReceiverQueue(name, settings, sink, outside)
        self._offset = 0

    @staticmethod
    def clock() -> float:
        """Virtual time as epoch seconds."""
        return AT + now()

    async def take(self, value: bytes, topic: str = topics.ALERTS) -> None:
        """A record of the log, at the next offset."""
        record = Record(topic, 0, self._offset, self.clock(), value)
        self._offset += 1
        await self.dispatcher.take(record)

    def restarted(self) -> Desk:
        """Another process, with the same ledger, log and receivers."""
        return Desk(self.routing, self.settings, self.ledger, self.writer, self.sinks)

    async def settle(self) -> None:
        """Until nothing waits any more."""
        for queue in self.queues.values():
            await queue.settle(100_000.0)


async def people(name: str, alerts: Sequence[Alert]) -> Mapping[str, Identity]:
    """Everyone is the same person."""
    return {alert.patient: PERSON for alert in alerts}


def routes(*names: str, **more: object) -> Routing:
    """Everyone is told of everything; `more` are keys of the root."""
    return parse(
        {
            "receivers": [{"name": n} for n in names],
            "route": {
                "receiver": names[0],
                "routes": [{"receiver": n, "continue": True} for n in names],
                **more,
            },
        },
        "test",
    )
