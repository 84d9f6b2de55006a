"""What the console reads from. `streams.state_reader` and
`streams.reading` implement these on Redis, Kafka and the vault."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from connectors.contract import Alert, FeedbackAnswer, Score, Threshold
from connectors.identity import Identifier, Identity
from models.record import PatientRecord


class Unavailable(Exception):  # noqa: N818 - a state of the port, not a fault in it
    """A port cannot answer now (its server is away); the message names it, without patient data.

    The console keeps the picture that it has, says how old it is, and asks again.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientSummary:
    """One line of the list of patients."""

    pseudonym: str
    ward: str
    bed: str
    probability: dict[str, float | None]  # latest by risk; None where the model abstained
    as_of: float | None  # the patient's clock, epoch seconds
    open_alerts: tuple[str, ...] = ()  # ids


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientView:
    """Everything that the patient page shows."""

    record: PatientRecord
    scores: dict[str, Score]  # newest by risk
    history: dict[str, list[tuple[float, float]]]  # by risk: (as_of epoch seconds, log-odds)
    alerts: list[Alert]  # every revision known, any order
    thresholds: dict[str, Threshold] = field(default_factory=dict)  # in force, by risk


class Reader(Protocol):
    """State as the workers left it. Every method may raise `Unavailable`."""

    async def alerts(self, ended_within_s: float = 86_400.0) -> list[Alert]:
        """The newest revision of each alert that is open, or ended within that time."""
        ...

    async def patients(self) -> list[PatientSummary]:
        """Everybody in the hospital."""
        ...

    async def find_alert(self, alert_id: str) -> Alert | None:
        """The newest revision of any alert that is kept; None when there is none of that id."""
        ...

    async def patient(self, pseudonym: str) -> PatientView | None:
        """One patient; None when there is none of that pseudonym."""
        ...


class Names(Protocol):
    """The identity vault. Each look-up is audited with the pseudonyms and `who`."""

    async def names(self, pseudonyms: Sequence[str], *, who: str) -> dict[str, Identity]:
        """Those that the vault knows. May raise `Unavailable`."""
        ...

    async def resolve(self, identifier: Identifier, *, who: str) -> str | None:
        """The pseudonym of whom a number belongs to; None for nobody. May raise `Unavailable`."""
        ...


class Audit(Protocol):
    """`tocsin.audit`."""

    async def note(self, event: str, who: str, more: Mapping[str, Any]) -> None:
        """Write a record; returns when the broker has it. Raises `Unavailable`."""
        ...


class Feed(Protocol):
    """Live records of `tocsin.alerts` and `tocsin.scores`, and what became of people's actions."""

    def subscribe(self) -> AsyncIterator[Alert | Score | FeedbackAnswer]:
        """Records from now on; ends, or raises `Unavailable`, when the feed must be reopened."""
        ...

    @property
    def age(self) -> float:
        """Seconds since anything arrived; a tick of the log's clock counts."""
        ...


class PlaceError(ValueError):
    """A text that names no place in the log."""


@dataclass(frozen=True, slots=True)
class Event:
    """One record of the log for those who follow it from afar."""

    id: str  # the place behind it: `EventLog.events` goes on from there
    kind: str  # "alert", "score"; "gap": the log no longer holds all since the place asked for
    data: bytes  # the record as it is in the log, JSON


class EventLog(Protocol):
    """`tocsin.alerts` and `tocsin.scores` from any place on."""

    def events(self, after: str) -> AsyncIterator[Event | None]:
        """Records behind a place, or from now on (""); None now and then while there are none.

        Raises `PlaceError` at once; ends when the log cannot be read any more.
        """
        ...
