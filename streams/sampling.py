"""A topic, read on from where it was read to, and thinned where that is too much.

Distributions need thousands of records, not the millions that two weeks of a hospital are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from connectors.journal import Journal, Stored

MOST: Final = 50_000  # records of one reading
STRETCHES: Final = 100  # that they are taken from, evenly over what there is

_Spans = Mapping[int, tuple[int, int]]  # of each partition: first offset, end


class Sample:
    """See the module. Raises `KafkaException`."""

    def __init__(
        self, journal: Journal, topic: str, most: int = MOST, stretches: int = STRETCHES
    ) -> None:
        self._journal, self._topic = journal, topic
        self._most, self._stretches = most, stretches
        self._next: dict[int, int] = {}

    def read(self, since: float) -> Iterator[Stored]:
        """What has come since the last reading, the first time since a time."""
        spans = self._journal.spans(self._topic, self._next, since)
        count = sum(end - first for first, end in spans.values())
        if count <= self._most:
            yield from self._within(spans, since)
        else:
            yield from self._thinned(spans, since)
        self._next.update({partition: end for partition, (_, end) in spans.items()})

    def _within(self, spans: _Spans, since: float) -> Iterator[Stored]:
        """All of it; what comes meanwhile is for the next time."""
        if not spans:
            return
        starts = self._next | {partition: first for partition, (first, _) in spans.items()}
        for stored in self._journal.read(self._topic, starts, since):
            if stored.partition in spans and stored.offset < spans[stored.partition][1]:
                yield stored

    def _thinned(self, spans: _Spans, since: float) -> Iterator[Stored]:
        for stretch in range(self._stretches):
            starts = self._next | {
                partition: first + (end - first) * stretch // self._stretches
                for partition, (first, end) in spans.items()
            }
            read = self._journal.read(self._topic, starts, since)
            yield from islice(read, self._most // self._stretches)
