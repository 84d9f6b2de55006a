"""Asks the archive about studies that are said to be available, and logs what it has.

Requests and answers are records of `tocsin.wire.imaging`: identifiers of studies stay there, and
what was fetched is in the log like anything that was sent. The place in the log is the memory: a
request is committed when it is done with, so that a fetcher that was killed goes on where it was.

    waiting ── the archive has the study ──→ fetched
       │ ── it has not (yet): again, after 10 s, 1 min, 10 min, 1 h ──→ quarantine, `not_in_archive`
       └── the archive is away: nothing is lost, all wait; tried in turn until it is back

To send such an item again is to ask again.

A study that is announced again is fetched again: repeated facts change nothing.
"""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from connectors import metrics, topics, wire
from connectors.clock import Clock
from connectors.imaging.archive import Archive, AwayError, UnusableError
from connectors.imaging.wire_log import WireLog
from connectors.interpretation import StudyToFetch
from connectors.journal import Journal
from connectors.quarantine import Reason
from connectors.settings import ArchiveSettings, KafkaSettings

log = logging.getLogger("tocsin.imaging")

GROUP: Final = "tocsin-archive"
AGAIN_S: Final = (10.0, 60.0, 600.0, 3_600.0)  # after this, a study that is not there is looked for
AWAY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)  # after this, an archive that is away is tried again
FETCHED: Final = "fetched"
_IDLE_S: Final = 0.2


class _Asked(NamedTuple):
    """One request under way; ordered by when it is due."""

    due: float
    place: tuple[int, int]  # partition and offset
    tries: int
    study: StudyToFetch
    raw: bytes  # the request as logged


class Fetcher:
    """One archive, one process. Any number may share the work: they are one consumer group."""

    def __init__(
        self, settings: ArchiveSettings, archive: Archive, journal: Journal, clock: Clock
    ) -> None:
        self._settings = settings
        self._archive = archive
        self._log = WireLog(journal, clock)
        self._clock = clock
        self._waiting: list[_Asked] = []
        self._next: dict[int, int] = {}  # partition → after the newest request that was read
        self._away = 0  # how often in a row the archive did not answer
        self._not_before = 0.0

    def run(
        self, kafka: KafkaSettings, stop: threading.Event, on_ready: Callable[[], None]
    ) -> None:
        """Until `stop`."""
        consumer = Consumer(
            kafka.client()
            | {
                "group.id": GROUP,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": 10_000,
                "max.poll.interval.ms": 600_000,  # one study may take its time
            }
        )
        consumer.subscribe([topics.WIRE_IMAGING], on_revoke=lambda *_: self._forget())
        on_ready()
        try:
            while not stop.is_set():
                message = consumer.poll(_IDLE_S)
                if message is not None:
                    error = message.error()
                    if error is None:
                        self._take(message)
                    elif error.fatal() or not error.retriable():
                        raise KafkaException(error)
                if self.step(stop):
                    self._commit(consumer)
        finally:
            consumer.close()

    def _take(self, message: Any) -> None:
        place = message.partition(), message.offset()
        self._next[place[0]] = place[1] + 1
        headers = dict(message.headers() or [])
        if headers.get(topics.HEADER_CONTENT_TYPE) == wire.FETCH.encode():
            self.ask(place, message.value() or b"")

    def ask(self, place: tuple[int, int], raw: bytes) -> None:
        """Note a request."""
        try:
            study = StudyToFetch(**msgspec.json.decode(raw, type=dict[str, str]))
        except (msgspec.MsgspecError, TypeError, UnicodeDecodeError):
            log.warning("a request that is none, at %s/%s", *place)
            return
        heapq.heappush(self._waiting, _Asked(self._clock(), place, 0, study, raw))

    def step(self, stop: threading.Event) -> bool:
        """Deal with the requests that are due; has the place in the log moved?"""
        if self._clock() < self._not_before:
            return False
        while self._waiting and self._waiting[0].due <= self._clock() and not stop.is_set():
            asked = self._waiting[0]
            try:
                outcome = self._fetch(asked.study)
            except AwayError as error:
                self._wait_for_archive(asked, error)
                return False
            self._away = 0
            heapq.heappop(self._waiting)
            if outcome != FETCHED and asked.tries < len(AGAIN_S):
                due = self._clock() + AGAIN_S[asked.tries]
                heapq.heappush(self._waiting, asked._replace(due=due, tries=asked.tries + 1))
                outcome = "again"
            elif outcome != FETCHED:
                self._give_up(asked, outcome)
                outcome = "absent"
            metrics.counter("tocsin_archive_requests").add(1, {"outcome": outcome})
        return True

    def _fetch(self, study: StudyToFetch) -> str:
        """`FETCHED`, or why not."""
        try:
            return self._fetched(study)
        except UnusableError as error:
            return f"the archive cannot give it: {error}"

    def _fetched(self, study: StudyToFetch) -> str:
        known = self._archive.study(study.study_uid)
        if known is None:
            return "the archive has nothing of it"
        source = self._settings.source
        self._log.append(f"{wire.DICOM_JSON}; event=study", known, source)
        for raw in self._archive.objects(study.study_uid):
            self._log.append(wire.DICOM, raw, source)
            metrics.counter("tocsin_archive_objects").add(1)
        return FETCHED

    def _give_up(self, asked: _Asked, why: str) -> None:
        """Somebody has to look: the study was said to be there."""
        partition, offset = asked.place
        wire_place = f"{topics.WIRE_IMAGING}/{partition}/{offset}"
        self._log.set_aside(
            Reason.NOT_IN_ARCHIVE, why, asked.raw, self._settings.source, wire_place
        )

    def _wait_for_archive(self, asked: _Asked, error: AwayError) -> None:
        """Whoever is due next goes first then: one study may be what the archive fails at."""
        if self._away == 0:
            log.warning("the archive is away (%s): %d studies wait", error, len(self._waiting))
        metrics.counter("tocsin_archive_requests").add(1, {"outcome": "away"})
        self._not_before = self._clock() + AWAY_S[min(self._away, len(AWAY_S) - 1)]
        self._away += 1
        heapq.heapreplace(self._waiting, asked._replace(due=self._not_before))

    # ── the place in the log ────────────────────────────────────────────────────────────────

    def places(self) -> dict[int, int]:
        """Partition → the oldest offset that is not done with."""
        found = dict(self._next)
        for asked in self._waiting:
            partition, offset = asked.place
            found[partition] = min(found.get(partition, offset), offset)
        return found

    def _commit(self, consumer: Consumer) -> None:
        offsets = [
            TopicPartition(topics.WIRE_IMAGING, partition, offset)
            for partition, offset in self.places().items()
        ]
        if offsets:
            consumer.commit(offsets=offsets, asynchronous=True)

    def _forget(self) -> None:
        """Partitions went to another fetcher, who reads their requests again."""
        self._waiting, self._next = [], {}
