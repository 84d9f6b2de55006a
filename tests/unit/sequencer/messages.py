"""Messages of the raw log, as far as they are asked for anything."""

from __future__ import annotations

from typing import Any, cast

from confluent_kafka import Message


class Read:
    """What is asked of a message of the raw log."""

    def __init__(
        self, partition: int, offset: int, *, urgent: bool = False, size: int = 10
    ) -> None:
        self._partition, self._offset, self.urgent = partition, offset, urgent
        self._value = b"x" * size

    def topic(self) -> str:
        return "wire"

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes:
        return self._value

    def error(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, self._offset

    @property
    def name(self) -> tuple[int, int]:
        return self._partition, self._offset


def read(*messages: Read) -> list[Message]:
    return cast(list[Message], list(messages))


def names(taken: list[Message]) -> list[tuple[int, int]]:
    return [cast(Any, message).name for message in taken]
