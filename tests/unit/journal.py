"""The log in memory, under the port that tools have to it (`connectors.journal.Journal`)."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import KafkaError, KafkaException

from connectors.journal import Headers, LostError, Progress, Stored

NOW = 1_795_435_200.0  # 2026-11-23 12:00 UTC


class MemoryJournal:
    """`connectors.journal.Journal` with two partitions a topic."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], list[Stored]] = {}
        self.now = NOW
        self.away = False
        self.reads = 0

    def read(
        self,
        topic: str,
        start: dict[int, int],
        since: float | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Stored]:
        self._reachable()
        self.reads += 1
        begin = dict(start)
        found = [
            record
            for partition in (0, 1)
            for record in self.records.get((topic, partition), [])
            if record.offset >= begin.get(partition, 0)
            and (partition in begin or since is None or record.at >= since)
        ]
        for done, record in enumerate(found, 1):
            if progress is not None:
                progress(done, len(found))
            yield record

    def spans(
        self, topic: str, start: dict[int, int], since: float | None = None
    ) -> dict[int, tuple[int, int]]:
        found: dict[int, tuple[int, int]] = {}
        for stored in self.read(topic, start, since):
            first, _ = found.get(stored.partition, (stored.offset, 0))
            found[stored.partition] = (first, stored.offset + 1)
        return found

    def at(self, topic: str, partition: int, offset: int) -> Stored:
        self._reachable()
        for record in self.records.get((topic, partition), []):
            if record.offset == offset:
                return record
        raise LostError(f"{topic} no longer holds offset {offset} of partition {partition}")

    def append(
        self,
        topic: str,
        value: bytes,
        headers: Headers,
        partition: int = -1,
        *,
        key: str | None = None,
    ) -> None:
        self._reachable()
        place = (topic, max(partition, 0))
        log = self.records.setdefault(place, [])
        offset = log[-1].offset + 1 if log else 0
        log.append(Stored(topic, place[1], offset, self.now, value, headers))

    def _reachable(self) -> None:
        if self.away:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    # ── what tests look at, and make happen ─────────────────────────────────────────────────

    def of(self, topic: str) -> list[Stored]:
        return [r for (name, _), log in sorted(self.records.items()) if name == topic for r in log]
