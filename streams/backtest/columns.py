"""Scores of a running system as columns: what a back-test needs of each, in about twenty bytes.

They are added as they are read, so that a score is decoded once, and a year of a hospital fits
into memory. What is older than `WINDOW_S` before the newest is forgotten.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import numpy as np

from connectors.clock import from_iso
from streams.backtest.stays import GAP_S, UNKNOWN, Stays
from streams.policy.rules import MICRO
from streams.trajectory import ABSTAINED

WINDOW_S: Final = 366 * 86_400.0
_SLACK: Final = 1.2  # columns are put in order again when so much more lies in them than counts


class _Told(msgspec.Struct):
    """What is read of a score."""

    patient: str
    risk: str
    as_of: str
    probability: float | None
    ward: str = ""
    shadow: bool = False  # of a model on trial beside the one that alerts


_told = msgspec.json.Decoder(_Told)


class _Columns:
    """One risk: points in the order in which they were told, and the stays that they belong to."""

    def __init__(self) -> None:
        self.stay, self.time, self.micro = array("i"), array("d"), array("i")
        self.patients: list[str] = []  # by stay
        self.wards: list[str] = []
        self.newest_of: dict[str, tuple[float, int]] = {}  # patient → newest time, stay
        self.newest = float("-inf")
        self.ordered = 0  # points when they were last put in order

    def add(self, score: _Told) -> None:
        time = from_iso(score.as_of)
        newest, stay = self.newest_of.get(score.patient, (float("-inf"), -1))
        if time - newest > GAP_S:
            stay = len(self.patients)
            self.patients.append(score.patient)
            self.wards.append("")
        self.wards[stay] = score.ward
        self.newest_of[score.patient] = (max(time, newest), stay)
        self.newest = max(time, self.newest)
        self.stay.append(stay)
        self.time.append(time)
        p = score.probability
        self.micro.append(ABSTAINED if p is None else round(p * MICRO))

    def forget(self, before: float) -> None:
        """Drop points before that time, and stays that have none left."""
        time = np.array(self.time)
        keep = time >= before
        stays, numbers = np.unique(np.array(self.stay)[keep], return_inverse=True)
        renamed = {int(old): new for new, old in enumerate(stays)}
        self.stay = array("i", numbers.astype(np.int32).tobytes())
        self.time = array("d", time[keep].tobytes())
        self.micro = array("i", np.array(self.micro)[keep].tobytes())
        self.patients = [self.patients[old] for old in renamed]
        self.wards = [self.wards[old] for old in renamed]
        self.newest_of = {
            who: (at, renamed[stay])
            for who, (at, stay) in self.newest_of.items()
            if stay in renamed
        }
        self.ordered = len(self.time)

    def to_stays(self, outcomes: Mapping[str, int]) -> Stays:
        """By stay and time; of two points at one time the one that was told later counts."""
        stay, time = np.array(self.stay), np.array(self.time)
        order = np.lexsort((time, stay))  # stable
        stay, time = stay[order], time[order]
        last = np.append((stay[1:] != stay[:-1]) | (time[1:] != time[:-1]), True)[: len(stay)]
        stay = stay[last]
        return Stays(
            patients=list(self.patients),
            bounds=np.searchsorted(stay, np.arange(len(self.patients) + 1)).astype(np.int64),
            times=time[last],
            micros=np.array(self.micro, dtype=np.int32)[order][last],
            wards=list(self.wards),
            labels=np.array([outcomes.get(p, UNKNOWN) for p in self.patients], dtype=np.int8),
            events=np.full(len(self.patients), np.nan),
            absolute=True,
        )


class Scores:
    """Records of `tocsin.scores`, by risk."""

    def __init__(self) -> None:
        self._risks: dict[str, _Columns] = {}
        self.taken = 0  # records, those included that say nothing

    def add(self, raw: bytes) -> None:
        """One record. What is no score, or of a model on trial, is passed over."""
        self.taken += 1
        try:
            score = _told.decode(raw)
        except msgspec.MsgspecError:
            return
        if score.shadow:
            return
        columns = self._risks.get(score.risk)
        if columns is None:
            columns = self._risks[score.risk] = _Columns()
        columns.add(score)

    def extend(self, raws: Iterable[bytes]) -> None:
        """Records in the order of the log."""
        for raw in raws:
            self.add(raw)

    def stays(self, risk: str, outcomes: Mapping[str, int]) -> Stays:
        """What was told of a risk then, late corrections included where they came.

        `outcomes` are labels by patient. A patient whose scores pause for more than twelve hours is
        counted as another stay.
        """
        columns = self._risks.get(risk, _Columns())
        if len(columns.time) > _SLACK * columns.ordered:
            columns.forget(columns.newest - WINDOW_S)
        return columns.to_stays(outcomes)
