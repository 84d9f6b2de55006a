"""How many alerts each receiver was told of lately, counted from `tocsin.deliveries`."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Final, NamedTuple

from connectors.clock import from_iso
from connectors.sinks.deliveries import Delivery, Outcome

WINDOW_S: Final = 86_400
_HOUR_S: Final = 3_600
_COUNTED: Final = frozenset({Outcome.DELIVERED, Outcome.SUPERSEDED})


class Told(NamedTuple):
    """One receiver's last day, to the hour."""

    delivered: int
    superseded: int  # a newer revision was told in their place
    newest: float  # when it was told last, epoch seconds; 0 for never


class Tally:
    """Counts by receiver, outcome and hour; what is older than the window is forgotten."""

    def __init__(self) -> None:
        self._hours: defaultdict[str, Counter[tuple[Outcome, int]]] = defaultdict(Counter)
        self._newest: dict[str, float] = {}

    def add(self, step: Delivery) -> None:
        """One record of the log."""
        if step.outcome not in _COUNTED:
            return
        at = from_iso(step.at)
        self._hours[step.receiver][step.outcome, int(at // _HOUR_S)] += 1
        if step.outcome is Outcome.DELIVERED:
            self._newest[step.receiver] = max(at, self._newest.get(step.receiver, 0.0))

    def read(self, now: float) -> dict[str, Told]:
        """By receiver, of the hours that begin within the window before `now`."""
        first = int((now - WINDOW_S) // _HOUR_S) + 1
        for receiver, hours in self._hours.items():
            for key in [k for k in hours if k[1] < first]:
                del hours[key]
            self._newest.setdefault(receiver, 0.0)
        return {name: self._told(name) for name in sorted(self._hours)}

    def _told(self, receiver: str) -> Told:
        sums: Counter[Outcome] = Counter()
        for (outcome, _), count in self._hours[receiver].items():
            sums[outcome] += count
        newest = self._newest[receiver]
        return Told(sums[Outcome.DELIVERED], sums[Outcome.SUPERSEDED], newest)
