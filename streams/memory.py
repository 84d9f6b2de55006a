"""The patients of one partition in a worker's memory, and how the others lie in the store.

Those heard of last are kept ready. Of whom nothing was heard for `rest_s` on the log's clock is let
go, and lies packed in the store: one compressed field in place of hundreds, with the same content.
When the patient is heard of again, all fields are written back with the first commit. Alerts of
theirs that have ended are packed with them and come back with them, and so does their line in the
list when they have left. So what the worker holds, and what the store lists, grows with those who
are in the hospital, nothing is thrown away, and no score can change.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection, Iterator

from streams import codec, keys
from streams.state import PatientState
from streams.store import Fields, Store, Write

MOST_AT_ONCE = 20  # patients packed with one tick: a tick must not take long


class Patients:
    """See the module."""

    def __init__(self, partition: int, store: Store, most: int, rest_s: float = math.inf) -> None:
        """`most` are kept ready; more only where one pass names more."""
        self._partition, self._store = partition, store
        self._most, self._rest_s = most, rest_s
        self._ready: OrderedDict[str, PatientState] = OrderedDict()  # used last at the end
        self._let_go: OrderedDict[str, float] = OrderedDict()  # not packed yet → heard of last
        self._unpacked: dict[str, Fields] = {}  # lie packed in the store, and are ready here

    def clear(self) -> None:
        """The store is not what it was: nothing that is known of it holds."""
        self._ready.clear()
        self._let_go.clear()
        self._unpacked.clear()

    async def states(self, names: set[str]) -> dict[str, PatientState]:
        """From memory, otherwise from the store."""
        unknown = sorted(names - self._ready.keys())
        if unknown:
            for name, fields in (await self._store.load(self._partition, unknown)).items():
                self._ready[name] = codec.to_state(name, self._take(name, fields))
        states = {}
        for name in names:
            self._ready.move_to_end(name)
            states[name] = self._ready[name]
        while len(self._ready) > max(self._most, len(names)):
            name, state = self._ready.popitem(last=False)
            if self._unpacked.pop(name, None) is None:
                self._let_go[name] = state.logged
        return states

    def _take(self, name: str, fields: Fields) -> Fields:
        self._let_go.pop(name, None)
        if keys.PACKED_FIELD in fields:
            fields = self._unpacked[name] = codec.unpacked(fields)
        return fields

    def unpack(self, write: Write) -> None:
        """Have all fields written back of those who lay packed and are written again."""
        for name in write.patients.keys() & self._unpacked.keys():
            before, alerts = codec.without_alerts(self._unpacked[name])
            write.alerts = alerts | write.alerts
            forgotten = write.forgotten.setdefault(name, [])
            kept = {f: raw for f, raw in before.items() if f not in forgotten}
            write.patients[name] = kept | write.patients[name]
            forgotten.append(keys.PACKED_FIELD)

    async def pack(self, write: Write, now: float) -> None:
        """Have those packed of whom nothing was heard for long, some of them with each tick."""
        names = [name for name in self._resting(now) if name not in write.patients]
        loaded = await self._store.load(self._partition, names)
        lying = {n: f for n, f in loaded.items() if f and keys.PACKED_FIELD not in f}
        ended = {name: codec.ended_alerts(fields) for name, fields in lying.items()}
        alerts, summaries = await self._store.listed(
            self._partition, [a for some in ended.values() for a in some], list(lying)
        )
        for name, fields in lying.items():
            own = {alert: alerts[alert] for alert in ended[name] if alert in alerts}
            write.patients[name] = codec.packed(fields | codec.alert_fields(own))
            write.forgotten[name] = list(fields)
            write.gone_alerts += own
        write.gone_summaries += [n for n, line in summaries.items() if codec.has_left(line)]
        for name in names:
            for known in (self._ready, self._let_go, self._unpacked):
                known.pop(name, None)

    def _resting(self, now: float) -> list[str]:
        found: list[str] = []
        for name, heard in self._by_time():
            if heard > now - self._rest_s or len(found) == MOST_AT_ONCE:
                break
            found.append(name)
        return found

    def _by_time(self) -> Iterator[tuple[str, float]]:
        """Those let go, then those ready: the longest not used first."""
        yield from self._let_go.items()
        for name, state in self._ready.items():
            yield name, state.logged

    def stored(self, names: Collection[str]) -> None:
        """A commit that holds these patients stands."""
        for name in names:
            self._unpacked.pop(name, None)
