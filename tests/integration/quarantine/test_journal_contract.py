"""What tools rely on in a journal: the fake keeps it, and so does Kafka."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from connectors.journal import Journal, KafkaJournal, LostError
from connectors.settings import KafkaSettings
from streams.sampling import Sample
from tests.integration.mllp.reading import create_topics
from tests.unit.journal import MemoryJournal


@dataclass
class Case:
    """A journal with a topic of two partitions, and a clock that it stamps records by."""

    journal: Journal
    topic: str

    def later(self) -> float:
        """A time after all records so far, and before all that follow."""
        if isinstance(self.journal, MemoryJournal):
            self.journal.now += 2
            return self.journal.now - 1
        time.sleep(0.02)
        between = time.time()
        time.sleep(0.02)
        return between

    def values(self, start: dict[int, int] | None = None, since: float | None = None) -> list[str]:
        return sorted(
            r.value.decode() for r in self.journal.read(self.topic, start or {}, since=since)
        )


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def case(request: pytest.FixtureRequest, topic_prefix: str) -> Iterator[Case]:
    topic = f"{topic_prefix}quarantine"
    if request.param == "memory":
        yield Case(MemoryJournal(), topic)
        return
    bootstrap: str = request.getfixturevalue("kafka")
    create_topics(bootstrap, [topic])
    journal = KafkaJournal(KafkaSettings(bootstrap=bootstrap))
    yield Case(journal, topic)
    journal.close()


def test_nothing_is_read_of_an_empty_topic(case: Case) -> None:
    assert case.values() == []
    assert case.values(since=0.0) == []


def test_a_topic_is_read_from_where_it_was_left(case: Case) -> None:
    for n in range(4):
        case.journal.append(case.topic, f"{n}".encode(), [], partition=n % 2)
    assert case.values() == ["0", "1", "2", "3"]
    assert case.values({0: 1}) == ["1", "2", "3"]
    assert case.values({0: 2, 1: 2}) == []


def test_since_leaves_out_what_is_older_in_every_partition(case: Case) -> None:
    case.journal.append(case.topic, b"old 0", [], partition=0)
    case.journal.append(case.topic, b"old 1", [], partition=1)
    between = case.later()
    case.journal.append(case.topic, b"new 0", [], partition=0)
    assert case.values(since=between) == ["new 0"]
    case.journal.append(case.topic, b"new 1", [], partition=1)
    assert case.values(since=between) == ["new 0", "new 1"]
    assert case.values(since=case.later()) == []


def test_an_offset_says_more_than_since(case: Case) -> None:
    """Whoever has read a partition before goes on there, whatever the time."""
    case.journal.append(case.topic, b"old 0", [], partition=0)
    case.journal.append(case.topic, b"old 1", [], partition=1)
    assert case.values({0: 0}, since=case.later()) == ["old 0"]


def test_progress_ends_at_the_number_of_records(case: Case) -> None:
    for n in range(3):
        case.journal.append(case.topic, b"x", [], partition=n % 2)
    seen: list[tuple[int, int]] = []
    list(case.journal.read(case.topic, {}, progress=lambda done, total: seen.append((done, total))))
    assert seen[-1] == (3, 3)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_one_record_is_found_with_its_headers_or_said_to_be_gone(case: Case) -> None:
    case.journal.append(case.topic, bytes(range(256)), [("n", b"\xff")], partition=1)
    found = case.journal.at(case.topic, 1, 0)
    assert (found.partition, found.offset, found.value) == (1, 0, bytes(range(256)))
    assert found.headers == [("n", b"\xff")]
    with pytest.raises(LostError):
        case.journal.at(case.topic, 1, 1)


def test_spans_say_what_would_be_read(case: Case) -> None:
    assert case.journal.spans(case.topic, {}) == {}
    for n in range(6):
        case.journal.append(case.topic, f"{n}".encode(), [], partition=n % 2)
    assert case.journal.spans(case.topic, {}) == {0: (0, 3), 1: (0, 3)}
    assert case.journal.spans(case.topic, {0: 2, 1: 3}) == {0: (2, 3)}
    between = case.later()
    case.journal.append(case.topic, b"6", [], partition=1)
    assert case.journal.spans(case.topic, {}, since=between) == {1: (3, 4)}


def test_a_sample_is_read_once_and_evenly(case: Case) -> None:
    sample = Sample(case.journal, case.topic, most=20, stretches=5)
    for n in range(100):
        case.journal.append(case.topic, f"{n}".encode(), [], partition=n % 2)
    offsets = [stored.offset for stored in sample.read(0.0)]
    assert len(offsets) == 20
    assert max(offsets) >= 40
    case.journal.append(case.topic, b"100", [], partition=0)
    assert [stored.value for stored in sample.read(0.0)] == [b"100"]
