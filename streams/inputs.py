"""Do the inputs of the models look as they did? Counted by the hour, from `tocsin.facts`.

Values are those that a model sees: in its unit, or refused with a reason. The last day is compared
with the days before it: how the values are distributed (PSI over tenths of the first ones seen),
their mean, and how many could not be used. What a sender changes (a unit, a code, a calibration)
shows here before it shows in the scores.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from connectors import facts
from connectors.facts import Observation
from models.units import Rejection, canonical
from models.variables import BY_CODE, BY_NAME
from streams.stability import DAY_S, beyond_chance

HOUR_S: Final = 3_600
_TENTHS: Final = 10
_FIRST: Final = 200  # values that the bins are made of
_FEW: Final = 200  # fewer say nothing of a distribution, …
_MOST_OF_RECORD: Final = 20  # messages that are looked at, twice as many at most
_FEW_REFUSED: Final = 20  # … and fewer nothing of a share


@dataclass(frozen=True, slots=True)
class InputDrift:
    """One variable: the last day against those before. Pairs are (before, now)."""

    name: str
    unit: str
    values: tuple[int, int]
    psi: float | None  # None: there are too few
    mean: tuple[float, float] | None
    refused: tuple[float, float]  # shares of what came
    why: str  # the reason of most of those refused now; "" for none


@dataclass(slots=True)
class _Hour:
    """Values of one variable."""

    bins: list[int]
    total: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, other: _Hour) -> None:
        self.bins = [a + b for a, b in zip(self.bins, other.bins, strict=True)]
        self.total += other.total
        self.refused += other.refused


class Inputs:
    """Counts; see the module."""

    def __init__(self) -> None:
        self._edges: dict[str, list[float]] = {}
        self._first: dict[str, list[tuple[int, float | Rejection]]] = {}  # until there are bins
        self._hours: dict[str, dict[int, _Hour]] = {}

    def take(self, raw: bytes) -> None:
        """One record of `tocsin.facts`."""
        try:
            record = facts.decode(raw)
        except msgspec.MsgspecError:
            return
        # A record of a busy partition holds hundreds of messages: a few of them will do.
        apart = max(1, len(record.messages) // _MOST_OF_RECORD)
        for message in record.messages[::apart]:
            hour = int(message.sent) // HOUR_S
            for fact in message.facts:
                if isinstance(fact, Observation) and not fact.removed and fact.code in BY_CODE:
                    variable = BY_CODE[fact.code]
                    self._take(variable.name, hour, canonical(variable, fact))

    def _take(self, name: str, hour: int, value: float | Rejection) -> None:
        if name in self._edges:
            self._count(name, hour, value)
            return
        first = self._first.setdefault(name, [])
        first.append((hour, value))
        used = sorted(v for _, v in first if not isinstance(v, Rejection))
        if len(used) < _FIRST:
            return
        tenths = (used[len(used) * n // _TENTHS] for n in range(1, _TENTHS))
        self._edges[name] = sorted(set(tenths))
        for earlier, seen in self._first.pop(name):
            self._count(name, earlier, seen)

    def _count(self, name: str, hour: int, value: float | Rejection) -> None:
        edges = self._edges[name]
        hours = self._hours.setdefault(name, {})
        counted = hours.get(hour)
        if counted is None:
            counted = hours[hour] = _Hour([0] * (len(edges) + 1))
        if isinstance(value, Rejection):
            counted.refused[value] += 1
        else:
            counted.bins[bisect_right(edges, value)] += 1
            counted.total += value

    def forget(self, kept_s: float) -> None:
        """What is older than that, before the newest."""
        newest = self._newest()
        for hours in self._hours.values():
            for old in [hour for hour in hours if hour <= newest - int(kept_s) // HOUR_S]:
                del hours[old]

    def _newest(self) -> int:
        return max((max(hours) for hours in self._hours.values() if hours), default=0)

    def report(self) -> list[InputDrift]:
        """Most changed first; those of which too little is known last."""
        border = self._newest() - int(DAY_S) // HOUR_S
        found = [_of(name, hours, border) for name, hours in self._hours.items() if hours]
        return sorted(found, key=lambda one: (-_worst(one), one.name))


def _of(name: str, hours: dict[int, _Hour], border: int) -> InputDrift:
    before = _total(counted for hour, counted in hours.items() if hour <= border)
    now = _total(counted for hour, counted in hours.items() if hour > border)
    first, last = (sum(one.bins) if one else 0 for one in (before, now))
    enough = before is not None and now is not None and min(first, last) >= _FEW
    variable = BY_NAME[name]
    return InputDrift(
        name=variable.display,
        unit=variable.unit,
        values=(first, last),
        psi=round(beyond_chance(before.bins, now.bins), 4) if before and now and enough else None,
        mean=(before.total / first, now.total / last) if before and now and enough else None,
        refused=(_share(before), _share(now)),
        why=now.refused.most_common(1)[0][0] if now and now.refused else "",
    )


def _total(some: Iterable[_Hour]) -> _Hour | None:
    found: _Hour | None = None
    for one in some:
        found = found or _Hour([0] * len(one.bins))
        found.add(one)
    return found


def _share(hour: _Hour | None) -> float:
    if hour is None:
        return 0.0
    refused = sum(hour.refused.values())
    came = refused + sum(hour.bins)
    return refused / came if came >= _FEW_REFUSED else 0.0


def _worst(one: InputDrift) -> float:
    """How much somebody should look."""
    if one.psi is None:
        return one.refused[1] - one.refused[0] - 1.0
    return max(one.psi, one.refused[1] - one.refused[0])
