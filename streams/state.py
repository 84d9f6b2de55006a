"""What a worker knows of one patient, and a patient's part of one record."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from models.compartment import Meta
from models.patient import Patient
from models.record import PatientRecord
from streams.alerting import RiskState
from streams.trajectory import Trajectory


@dataclass(slots=True)
class PatientState:
    """What a worker knows of one patient."""

    patient: Patient
    ahead: float | None = None  # most that a sender's clock was ahead of ours, seconds
    ticked: float | None = None  # the patient's time that a tick brought: it never goes back
    trace: str = ""
    risks: dict[str, RiskState] = field(default_factory=dict)
    trends: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # as_of, log-odds
    sources: list[str] = field(default_factory=list)  # feeds that spoke of the patient, sorted
    walks: dict[str, Trajectory] = field(default_factory=dict)  # by risk
    logged: float = 0.0  # Tocsin's clock, as the records of this patient have it: never goes back

    @property
    def record(self) -> PatientRecord:
        """What is known of the patient today."""
        return self.patient.record

    def now(self) -> float:
        """The patient's time: the newest message's, or what a tick has brought since."""
        return self.record.clock if self.ticked is None else max(self.record.clock, self.ticked)

    def at_tick(self, tick: float) -> float:
        """The patient's time at a tick: as far ahead of our clock as its newest sender was."""
        return max(self.now(), tick + (self.ahead or 0.0))

    def due(self, at: float) -> float:
        """The tick at which the patient's time reaches `at`."""
        return at - (self.ahead or 0.0)


@dataclass(slots=True)
class Touched:
    """A patient's part of one record."""

    state: PatientState
    slots: list[str] = field(default_factory=list)
    parts: set[tuple[str, str]] = field(default_factory=set)  # (compartment, slot) to store
    dropped: set[tuple[str, str]] = field(default_factory=set)  # … to forget
    caused_by: list[str] = field(default_factory=list)
    since: float | None = None
    heard: float = 0.0
    trends: set[str] = field(default_factory=set)  # risks whose trend has a new point
    gone_alerts: list[str] = field(default_factory=list)  # that the state no longer remembers

    def followed_by(self, later: Touched) -> Touched:
        """What is to be stored after this part of a record and a later one of the same patient."""
        return Touched(
            state=later.state,
            slots=list(dict.fromkeys([*self.slots, *later.slots])),
            parts=(self.parts - later.dropped) | later.parts,
            dropped=(self.dropped - later.parts) | later.dropped,
            trends=self.trends | later.trends,
            gone_alerts=[*self.gone_alerts, *later.gone_alerts],
        )


class Remembered(msgspec.Struct, omit_defaults=True):
    """A patient's state beside the facts and the trends, as the store keeps it."""

    clock: float | None  # of own messages; None without one
    ahead: float | None = None
    ticked: float | None = None
    trace: str = ""
    risks: dict[str, RiskState] = {}
    sources: list[str] = []
    parts: dict[str, Meta] = {}
    logged: float = 0.0
