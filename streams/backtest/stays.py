"""Recorded trajectories, by column: every stay's probabilities over time, and what became of it."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streams.errors import UserError
from streams.policy.rules import MICRO
from streams.trajectory import ABSTAINED

HOUR_S = 3_600.0
UNKNOWN = -1  # label of a stay whose end nobody has told
_NEEDED = frozenset({"id", "as_of", "probability"})
_OWN = _NEEDED | {"label", "event_h", "ward", "log_odds", "abstained"}
GAP_S = 12 * HOUR_S  # between two scores: nobody watched meanwhile


@dataclass(slots=True)
class Stays:
    """N stays with P points in all. Times in seconds, since admission or UTC epoch (`absolute`)."""

    patients: list[str]
    bounds: NDArray[np.int64]  # (N + 1,) where each stay's points begin and end
    times: NDArray[np.float64]  # (P,) ascending within a stay
    micros: NDArray[np.int32]  # (P,) probability in millionths; ABSTAINED where there is none
    wards: list[str]
    labels: NDArray[np.int8]  # (N,) 1: the event happened, 0: it did not, UNKNOWN
    events: NDArray[np.float64]  # (N,) when it happened; NaN where only whether is known
    absolute: bool = False
    subgroups: dict[str, list[str]] = field(default_factory=dict)  # name → value of each stay

    def __len__(self) -> int:
        return len(self.patients)

    def watched_s(self) -> NDArray[np.float64]:
        """Seconds of each stay in which scores followed one another."""
        gaps = np.diff(self.times, prepend=self.times[:1])
        gaps[self.bounds[:-1][self.bounds[:-1] < len(gaps)]] = 0.0
        gaps[gaps > GAP_S] = 0.0
        return np.add.reduceat(np.append(gaps, 0.0), self.bounds[:-1])


class Rows:
    """Points in any order of stays, to be put together."""

    def __init__(self) -> None:
        self.stays: dict[str, list[tuple[float, int]]] = {}
        self.wards: dict[str, str] = {}
        self.labels: dict[str, int] = {}
        self.events: dict[str, float] = {}
        self.subgroups: dict[str, dict[str, str]] = {}

    def add(self, stay: str, time: float, micro: int) -> None:
        """One point."""
        self.stays.setdefault(stay, []).append((time, micro))

    def to_stays(self, *, absolute: bool, patient_of: Callable[[str], str] = str) -> Stays:
        """Sorted by time within each stay; of two points at one time the later one counts."""
        names = list(self.stays)
        times: list[float] = []
        micros: list[int] = []
        bounds = [0]
        for name in names:
            points = dict(self.stays[name])
            ordered = sorted(points)
            times += ordered
            micros += [points[time] for time in ordered]
            bounds.append(len(times))
        return Stays(
            patients=[patient_of(name) for name in names],
            bounds=np.array(bounds, dtype=np.int64),
            times=np.array(times, dtype=np.float64),
            micros=np.array(micros, dtype=np.int32),
            wards=[self.wards.get(name, "") for name in names],
            labels=np.array([self.labels.get(name, UNKNOWN) for name in names], dtype=np.int8),
            events=np.array([self.events.get(name, math.nan) for name in names]),
            absolute=absolute,
            subgroups={
                group: [values.get(name, "") for name in names]
                for group, values in self.subgroups.items()
            },
        )


# ── predictions of a labelled cohort ────────────────────────────────────────────────────────────


def from_predictions(file: Path) -> Stays:
    """`predictions.csv` of `tocsin evaluate`: a row for each patient and time.

    `as_of` is in hours since admission. `label` says whether the event happens; where it changes
    from 0 to 1 within a patient, that is when it happens, unless `event_h` says it (hours since
    admission). `ward` is optional, every other column is a subgroup. Raises `UserError`.
    """
    rows = Rows()
    try:
        with file.open(newline="") as text:
            reader = csv.DictReader(text)
            columns = set(reader.fieldnames or ())
            if not columns >= _NEEDED:
                raise UserError(f"{file} lacks {', '.join(sorted(_NEEDED - columns))}.")
            groups = sorted(columns - _OWN)
            for number, row in enumerate(reader, 2):
                _take(rows, row, groups, f"{file} line {number}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file} cannot be read ({type(error).__name__}).") from None
    if not rows.stays:
        raise UserError(f"{file} holds no predictions.")
    for group in list(rows.subgroups):  # numbers that differ from row to row say nothing of a stay
        if len(set(rows.subgroups[group].values())) > _MOST_VALUES:
            del rows.subgroups[group]
    return rows.to_stays(absolute=False)


_MOST_VALUES = 20  # of a subgroup


def _take(rows: Rows, row: Mapping[str, str], groups: Sequence[str], place: str) -> None:
    try:
        name, time = row["id"], float(row["as_of"]) * HOUR_S
        said = row["probability"]
        micro = round(float(said) * MICRO) if said and not row.get("abstained") else ABSTAINED
        label = int(float(row["label"])) if row.get("label") else UNKNOWN
        event = row.get("event_h")
        if event:
            rows.events[name] = float(event) * HOUR_S
    except (ValueError, TypeError):
        raise UserError(f"{place} cannot be read: a number is none.") from None
    if micro > MICRO or not math.isfinite(time):
        raise UserError(f"{place}: a probability above 1, or a time that is none.")
    rows.add(name, time, micro)
    before = rows.labels.get(name, label)
    if (before, label) == (0, 1) and not event:
        rows.events.setdefault(name, time)
    rows.labels[name] = max(before, label)
    rows.wards[name] = row.get("ward", "") or ""
    for group in groups:
        rows.subgroups.setdefault(group, {})[name] = row[group]
