"""Dead letters for the page; the desk is that of `tocsin sinks dead`."""

from __future__ import annotations

from confluent_kafka import KafkaException

from connectors.sinks.deliveries import Delivery
from streams.console.room import Room
from streams.delivery.dead_letters import DeadLetters
from streams.errors import UserError


class DeadLetterRoom(Room[list[Delivery]]):
    """Those that nobody has decided about, as read last."""

    def __init__(self, desk: DeadLetters) -> None:
        super().__init__(self._items)
        self._desk = desk

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
