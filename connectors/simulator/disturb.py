"""What goes wrong on a real interface, at given rates and reproducibly.

Each disturbance keeps the truth recoverable: once everything has arrived, the patient's record
holds what an undisturbed feed would have left, but for results that were deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from connectors.replay.timed import Timed
from connectors.simulator.interface import Interface, Report, Row
from connectors.simulator.people import SimulatedPatient

_MINUTE, _HOUR = 60.0, 3600.0

Bystander = Callable[[SimulatedPatient], SimulatedPatient | None]


class Sending(NamedTuple):
    """A message that is made when its time has come."""

    at: float
    make: Callable[[float], Timed]


@dataclass(frozen=True)
class Rates:
    """Shares of reports."""

    disturbed: float = 0.02
    malformed: float = 0.003


# Of those disturbed.
_KINDS = {"duplicate": 30, "late": 30, "corrected": 20, "deleted": 10, "wrong patient": 10}


class Disturbances:
    """Turns a report into what is really sent."""

    def __init__(self, rates: Rates, interface: Interface, random: Random) -> None:
        self._rates = rates
        self._interface = interface
        self._random = random

    def send(self, report: Report, at: float, bystander: Bystander) -> Iterator[Sending]:
        """The messages for a final report due at `at`.

        `bystander` gives another present patient, under whom it may be filed by mistake.
        """
        chance = self._random.random()
        if chance < self._rates.malformed:
            yield from self._malformed(report, at)
        elif chance < self._rates.malformed + self._rates.disturbed:
            kind = self._random.choices(list(_KINDS), list(_KINDS.values()))[0]
            yield from self._disturbed(kind, report, at, bystander)
        else:
            yield self._plain(report, at)

    def _plain(self, report: Report, at: float, status: str = "F") -> Sending:
        return Sending(at, lambda t: self._interface.oru(report, t, status))

    def _disturbed(
        self, kind: str, report: Report, at: float, bystander: Bystander
    ) -> Iterator[Sending]:
        if kind == "late":
            yield self._plain(report, at + self._between(1, 6) * _HOUR)
        elif kind == "corrected":
            yield self._plain(self._mistyped(report), at)
            yield self._plain(report, at + self._between(20, 120) * _MINUTE, "C")
        elif kind == "deleted":
            yield self._plain(report, at)
            gone = report._replace(rows=[self._random.choice(report.rows)])
            later = at + self._between(20, 120) * _MINUTE
            yield Sending(later, lambda t: self._interface.oru(gone, t, "D", values=False))
        elif kind == "wrong patient" and (other := bystander(report.patient)) is not None:
            yield from self._misfiled(report, at, other)
        else:
            yield from self._duplicate(report, at)

    def _duplicate(self, report: Report, at: float) -> Iterator[Sending]:
        sent: list[Timed] = []

        def first(t: float) -> Timed:
            sent.append(self._interface.oru(report, t))
            return sent[0]

        yield Sending(at, first)
        # The same bytes again: the sender's own acknowledgement got lost.
        yield Sending(at + self._between(0.5, 15) * _MINUTE, lambda t: sent[0]._replace(time=t))

    def _misfiled(
        self, report: Report, at: float, bystander: SimulatedPatient
    ) -> Iterator[Sending]:
        misfiled = report._replace(patient=bystander)
        noticed = at + self._between(10, 60) * _MINUTE
        yield self._plain(misfiled, at)
        yield Sending(noticed, lambda t: self._interface.oru(misfiled, t, "W", values=False))
        yield self._plain(report, noticed + _MINUTE)

    def _malformed(self, report: Report, at: float) -> Iterator[Sending]:
        breaks = self._random.choice(_BREAKS)
        yield Sending(at, lambda t: _broken(self._interface.oru(report, t), breaks))
        # Someone at the interface engine notices, repairs and sends it again.
        yield self._plain(report, at + self._between(5, 30) * _MINUTE)

    def _mistyped(self, report: Report) -> Report:
        """One number with a digit too many."""
        wrong = self._random.randrange(len(report.rows))
        rows = [
            Row(row.code, row.value * 10 if isinstance(row.value, float) else row.value, row.unit)
            if n == wrong
            else row
            for n, row in enumerate(report.rows)
        ]
        return report._replace(rows=rows)

    def _between(self, low: float, high: float) -> float:
        return round(self._random.uniform(low, high), 2)


def _broken(message: Timed, breaks: Callable[[bytes], bytes]) -> Timed:
    return message._replace(raw=breaks(message.raw))


def _segments(raw: bytes) -> list[bytes]:
    return raw.split(b"\r")


def _without_patient(raw: bytes) -> bytes:
    return b"\r".join(s for s in _segments(raw) if not s.startswith(b"PID"))


def _cut_off(raw: bytes) -> bytes:
    header, pid, *_ = _segments(raw)
    return header + b"\r" + pid[:6]


def _not_a_number(raw: bytes) -> bytes:
    return b"\r".join(
        b"|".join([*fields[:5], b"see comment", *fields[6:]])
        if (fields := s.split(b"|"))[0] == b"OBX"
        else s
        for s in _segments(raw)
    )


def _impossible_date(raw: bytes) -> bytes:
    return b"\r".join(
        b"|".join([*fields[:7], b"20261341250000", *fields[8:]])
        if (fields := s.split(b"|"))[0] == b"OBR"
        else s
        for s in _segments(raw)
    )


def _unknown_type(raw: bytes) -> bytes:
    return raw.replace(b"ORU^R01^ORU_R01", b"ZQX^Z99^ZQX_Z99", 1)


def _not_text(raw: bytes) -> bytes:
    return raw.replace(b"^LN|", b"^\xff\xfe\xc0^LN|", 1)


_BREAKS = (_without_patient, _cut_off, _not_a_number, _impossible_date, _unknown_type, _not_text)
