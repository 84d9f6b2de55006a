"""Deliveries for the page: what waits, what was told, and the dead letters, whose desk is that of
`tocsin sinks dead`."""

from __future__ import annotations

from typing import NamedTuple

from confluent_kafka import KafkaException

from connectors.clock import Clock
from connectors.sinks.deliveries import Delivery
from streams.console.room import Room
from streams.delivery.dead_letters import DeadLetters
from streams.delivery.standing import Standing, Standings
from streams.delivery.tally import Told
from streams.errors import UserError

NOTHING = Told(0, 0, 0.0)


class ReceiverView(NamedTuple):
    """One receiver."""

    name: str
    standing: Standing | None  # None: no process says so
    told: Told
    dead: int


class DeliveriesView(NamedTuple):
    """All that the page shows."""

    receivers: list[ReceiverView]
    letters: list[Delivery]  # that nobody has decided about, oldest first
    spoken: bool  # does `tocsin sinks` say what waits?


class DeliveriesRoom(Room[DeliveriesView]):
    """As read last."""

    def __init__(self, desk: DeadLetters, standings: Standings | None, clock: Clock) -> None:
        super().__init__(self._view)
        self._desk, self._standings, self._clock = desk, standings, clock

    def _view(self) -> DeliveriesView:
        letters, now = self._items(), self._clock()
        standings = self._standings.read(now) if self._standings else None
        by_name = {s.receiver: s for s in standings or ()}
        told = self._desk.tally.read(now)
        names = sorted({*by_name, *told, *(letter.receiver for letter in letters)})
        receivers = [
            ReceiverView(
                name,
                by_name.get(name),
                told.get(name, NOTHING),
                sum(letter.receiver == name for letter in letters),
            )
            for name in names
        ]
        return DeliveriesView(receivers, letters, standings is not None)

    def _items(self) -> list[Delivery]:
        try:
            return self._desk.items()
        except KafkaException as error:
            raise UserError(f"Kafka does not answer ({error.args[0].str()}).") from None

    async def decide(self, letter: Delivery, *, who: str, why: str, again: bool) -> None:
        """Try again, or nobody needs to be told any more. Raises `UserError`."""

        def step() -> None:
            if letter.id not in {open_.id for open_ in self._items()}:
                raise UserError("Somebody else has decided about it already.")
            decision = self._desk.retry if again else self._desk.discard
            try:
                decision([letter], who=who, why=why)
            except KafkaException as error:
                raise UserError(f"Kafka does not answer ({error.args[0].str()}).") from None

        await self.step(step)
