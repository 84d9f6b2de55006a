"""What a sink is given to tell, and what it may answer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from connectors.contract import Alert
from connectors.identity import Identity


class Notice(NamedTuple):
    """One or more alerts for one receiver, each in one revision. Equal for every attempt."""

    receiver: str
    alerts: tuple[Alert, ...]  # never empty; no alert twice
    at: float  # when it became known that there is something to tell, epoch seconds
    told_before: frozenset[str] = frozenset()  # alert ids that this receiver has heard of
    repeat: int = 0  # a reminder: which
    test: bool = False  # somebody tries the receiver out: nobody is in danger
    people: Mapping[str, Identity] = MappingProxyType({})  # by pseudonym; for whoever may know

    @property
    def key(self) -> str:
        """The idempotency key: the same whenever the same is told."""
        return "+".join(key_of(a, self.receiver, self.repeat) for a in self.alerts)


def key_of(alert: Alert, receiver: str, repeat: int = 0) -> str:
    """What one alert told to one receiver is known by."""
    key = f"{alert.alert_id}/{alert.revision}/{receiver}"
    return f"{key}/{repeat}" if repeat else key


def short(key: str, length: int = 32) -> str:
    """A key as an identifier of that many hex digits."""
    return hashlib.sha256(key.encode()).hexdigest()[:length]


class SinkError(Exception):
    """Not told. The text is for people and holds neither secrets nor patient data."""


class UnavailableError(SinkError):
    """Not now: worth another attempt, not before `retry_after_s` if that is said."""

    def __init__(self, text: str, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class RefusedError(SinkError):
    """The receiver does not want this: another attempt would end the same way."""


class Sink(Protocol):
    """A way to tell."""

    async def send(self, notice: Notice) -> None:
        """Return when the receiver has it. Raises `UnavailableError`, `RefusedError`."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
