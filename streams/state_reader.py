"""`ports.Reader` on the workers' store: what a console asks costs what it shows, not what was.

All listed alerts are read when the console starts and again every `SCAN_S`; in between only those
that can have changed, which are the open ones. Whatever the feed brings is newer anyhow. What has
ended is remembered here for `KEPT_S`, also when the worker has packed it with its patient.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from redis import exceptions
from redis.asyncio import Redis

from connectors import contract, topics
from connectors.clock import from_iso
from connectors.contract import ENDED, Alert, Threshold
from models.record import Presence
from streams import codec, keys
from streams.codec import Summary
from streams.console.ports import PatientSummary, PatientView, Unavailable

SCAN_S: Final = 600.0
KEPT_S: Final = 32 * 86_400.0  # after its end an alert is kept in memory so long, by alerts' time
_AGAIN_S: Final = 1.0  # whoever asks sooner gets the same answer

_PRESENT: Final = frozenset({Presence.PRESENT, Presence.UNKNOWN})


class _Kept(NamedTuple):
    raw: int  # hash of the bytes that were decoded
    alert: Alert
    at: float


class RedisReader:
    """Reads what `streams.store` writes."""

    def __init__(
        self,
        redis: Redis,
        partitions: int,
        thresholds: dict[str, Threshold],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis, self._partitions = redis, partitions
        self._thresholds, self._clock = thresholds, clock
        self._kept: dict[str, _Kept] = {}
        self._summaries: list[tuple[int, Summary]] = []  # with their partitions
        self._looked = self._scanned = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    async def alerts(self, ended_within_s: float = 86_400.0) -> list[Alert]:
        """Open ones, and those that ended so long (at most `KEPT_S`) before the newest change."""
        async with self._one_at_a_time:
            await self._look()
        since = max((k.at for k in self._kept.values()), default=0.0) - ended_within_s
        return [k.alert for k in self._kept.values() if k.alert.state not in ENDED or k.at > since]

    async def find_alert(self, alert_id: str) -> Alert | None:
        """The newest revision of any alert that is kept."""
        found = await self._read(
            lambda pipe: [pipe.hget(keys.alerts(p), alert_id) for p in range(self._partitions)]
        )
        listed = next((contract.decode_alert(raw) for raw in found if raw is not None), None)
        kept = self._kept.get(alert_id)  # packed with its patient since
        return listed or (kept.alert if kept else None)

    async def patients(self) -> list[PatientSummary]:
        """Everybody in the hospital, or not known to have left it."""
        async with self._one_at_a_time:
            await self._look()
        return [_to_patient_summary(s) for _, s in self._summaries if s.presence in _PRESENT]

    async def patient(self, pseudonym: str) -> PatientView | None:
        """One patient, with the alerts that the patient's state names (the newest of each risk)."""
        partition = topics.partition_of(pseudonym, self._partitions)
        name = keys.patient(partition, pseudonym)
        (fields,) = await self._read(lambda pipe: [pipe.hgetall(name)])
        if not fields:
            return None
        fields, packed = codec.without_alerts(codec.unpacked(fields))
        state = codec.to_state(pseudonym, fields)
        ids = [told.alert_id for risk in state.risks.values() for told in risk.published]
        listed = await self._named(partition, [i for i in ids if i not in packed])
        return PatientView(
            record=state.record,
            scores=codec.to_scores(fields),
            history=state.trends,
            alerts=[*map(contract.decode_alert, packed.values()), *listed],
            thresholds=self._thresholds,
        )

    # ── reading ─────────────────────────────────────────────────────────────────────────────

    async def _look(self) -> None:
        now = self._clock()
        if now - self._looked < _AGAIN_S:
            return
        await self._read_summaries()
        if now - self._scanned >= SCAN_S:
            await self._scan()
            self._scanned = now
        else:
            await self._read_open()
        self._forget()
        self._looked = now

    async def _read_summaries(self) -> None:
        stored = await self._read(
            lambda pipe: [pipe.hvals(keys.summaries(p)) for p in range(self._partitions)]
        )
        self._summaries = [
            (partition, codec.decode_summary(raw))
            for partition, raws in enumerate(stored)
            for raw in raws
        ]

    async def _scan(self) -> None:
        """Everything, a partition at a time."""
        there: set[str] = set()
        for partition in range(self._partitions):
            name = keys.alerts(partition)
            (stored,) = await self._read(lambda pipe, name=name: [pipe.hgetall(name)])
            for raw_id, raw in stored.items():
                there.add(raw_id.decode())
                self._keep(raw_id.decode(), raw)
        for gone in self._kept.keys() - there:
            if self._kept[gone].alert.state not in ENDED:  # the store was emptied
                del self._kept[gone]

    async def _read_open(self) -> None:
        """Those that are open by the patients' summaries, and those that were when last seen."""
        named = {i: partition for partition, s in self._summaries for i in s.open_alerts}
        for alert_id, kept in self._kept.items():
            if kept.alert.state not in ENDED:
                place = topics.partition_of(kept.alert.patient, self._partitions)
                named.setdefault(alert_id, place)
        by_partition: dict[int, list[str]] = {}
        for alert_id, partition in named.items():
            by_partition.setdefault(partition, []).append(alert_id)
        for partition, ids in by_partition.items():
            name = keys.alerts(partition)
            (raws,) = await self._read(lambda pipe, name=name, ids=ids: [pipe.hmget(name, ids)])
            for alert_id, raw in zip(ids, raws, strict=True):
                if raw is None:
                    self._kept.pop(alert_id, None)
                else:
                    self._keep(alert_id, raw)

    def _keep(self, alert_id: str, raw: bytes) -> None:
        old = self._kept.get(alert_id)
        if old is None or old.raw != hash(raw):
            alert = contract.decode_alert(raw)
            self._kept[alert_id] = _Kept(hash(raw), alert, from_iso(alert.at))

    def _forget(self) -> None:
        since = max((k.at for k in self._kept.values()), default=0.0) - KEPT_S
        old = [i for i, k in self._kept.items() if k.alert.state in ENDED and k.at < since]
        for alert_id in old:
            del self._kept[alert_id]

    async def _named(self, partition: int, ids: list[str]) -> list[Alert]:
        if not ids:
            return []
        (raws,) = await self._read(lambda pipe: [pipe.hmget(keys.alerts(partition), ids)])
        return [contract.decode_alert(raw) for raw in raws if raw is not None]

    async def _read(self, ask: Callable[..., Iterable[object]]) -> list:  # type: ignore[type-arg]
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                list(ask(pipe))
                return list(await pipe.execute())
        except exceptions.RedisError as error:
            raise Unavailable("the state store does not answer") from error


def _to_patient_summary(summary: Summary) -> PatientSummary:
    return PatientSummary(
        pseudonym=summary.patient,
        ward=summary.ward,
        bed=summary.bed,
        probability=summary.probabilities,
        as_of=from_iso(summary.as_of) if summary.as_of else None,
        open_alerts=tuple(summary.open_alerts),
    )
