"""Fetching: what is not there yet is looked for again, what is away is waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import msgspec

from connectors import contract, topics, wire
from connectors.imaging.archive import AwayError, UnusableError
from connectors.imaging.fetcher import AGAIN_S, AWAY_S, Fetcher
from connectors.imaging.wire_log import MOST_BYTES
from connectors.settings import ArchiveSettings
from tests.unit.journal import MemoryJournal

STOP = threading.Event()


class FakeArchive:
    def __init__(self) -> None:
        self.studies: dict[str, list[bytes]] = {}
        self.failing: dict[str, Exception] = {}
        self.away = False
        self.asked = 0

    def study(self, uid: str) -> bytes | None:
        self.asked += 1
        if self.away:
            raise AwayError("ConnectionError")
        if uid in self.failing:
            raise self.failing[uid]
        return b"{}" if uid in self.studies else None

    def objects(self, uid: str) -> Iterator[bytes]:
        yield from self.studies[uid]


def logged(journal: MemoryJournal) -> list[tuple[str, bytes]]:
    return [
        (dict(record.headers)[topics.HEADER_CONTENT_TYPE].decode(), record.value)
        for record in journal.of(topics.WIRE_IMAGING)
    ]


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def fetcher() -> tuple[Fetcher, FakeArchive, MemoryJournal, Clock]:
    archive, journal, clock = FakeArchive(), MemoryJournal(), Clock()
    return (
        Fetcher(ArchiveSettings(url="http://archive"), archive, journal, clock),
        archive,
        journal,
        clock,
    )


def request(uid: str) -> bytes:
    return msgspec.json.encode({"study_uid": uid})


def test_a_study_and_its_reports_are_logged() -> None:
    one, archive, journal, _ = fetcher()
    archive.studies["1"] = [b"a", b"b"]
    one.ask((0, 5), request("1"))
    assert one.step(STOP)
    assert logged(journal) == [
        (f"{wire.DICOM_JSON}; event=study", b"{}"),
        (wire.DICOM, b"a"),
        (wire.DICOM, b"b"),
    ]
    assert one.places() == {}


def test_a_report_that_no_record_can_hold_is_set_aside_and_the_rest_taken() -> None:
    """One object must not stop the fetcher for ever."""
    one, archive, journal, _ = fetcher()
    archive.studies["1"] = [bytes(MOST_BYTES + 1), b"b"]
    one.ask((0, 5), request("1"))
    assert one.step(STOP)
    assert [value for _, value in logged(journal)] == [b"{}", b"b"]
    (record,) = journal.of(topics.QUARANTINE)
    assert contract.decode_quarantined(record.value).reason == "oversized"


def test_what_is_not_there_is_looked_for_again_and_given_up_at_last() -> None:
    one, archive, journal, clock = fetcher()
    one.ask((0, 5), request("1"))
    for pause in AGAIN_S:
        assert one.step(STOP)
        assert one.places() == {0: 5}  # not committed
        clock.now += pause
    assert one.step(STOP)
    assert (one.places(), archive.asked, logged(journal)) == ({}, 1 + len(AGAIN_S), [])
    (item,) = [contract.decode_quarantined(r.value) for r in journal.of(topics.QUARANTINE)]
    assert (item.reason, item.wire) == ("not_in_archive", f"{topics.WIRE_IMAGING}/0/5")


def test_a_study_that_the_archive_cannot_give_holds_nobody_up() -> None:
    """A request that it calls wrong is given up in time, one that it fails at is tried in turn."""
    one, archive, journal, clock = fetcher()
    archive.studies = {"3": []}
    archive.failing = {"1": UnusableError("HTTP 400"), "2": AwayError("HTTP 500")}
    for offset, uid in enumerate("123"):
        one.ask((0, offset), request(uid))
    for _ in range(300):
        one.step(STOP)
        clock.now += AWAY_S[-1]
    assert len(logged(journal)) == 1
    assert one.places() == {0: 1}  # the one that it fails at is never given up
    (record,) = journal.of(topics.QUARANTINE)
    assert "HTTP 400" in contract.decode_quarantined(record.value).detail


def test_one_that_is_not_there_does_not_hold_up_the_others() -> None:
    one, archive, journal, _ = fetcher()
    archive.studies["2"] = []
    one.ask((0, 5), request("1"))
    one.ask((0, 6), request("2"))
    one.step(STOP)
    assert len(logged(journal)) == 1
    assert one.places() == {0: 5}


def test_with_the_archive_away_everything_waits_and_nothing_is_given_up() -> None:
    one, archive, journal, clock = fetcher()
    archive.away, archive.studies = True, {"1": [], "2": []}
    for offset, uid in enumerate("12"):
        one.ask((0, offset), request(uid))
    for _ in range(50):
        assert not one.step(STOP)
        clock.now += AWAY_S[-1]
    assert archive.asked == 50  # one request a time, not one for each that waits
    archive.away = False
    assert one.step(STOP)
    assert len(logged(journal)) == 2


def test_a_request_that_is_none_is_passed_over() -> None:
    one, _, journal, _ = fetcher()
    for raw in (b"", b"\xff", b"[]", b'{"uid": "1"}', b'{"study_uid": 7}'):
        one.ask((0, 1), raw)
    assert one.step(STOP)
    assert (one.places(), logged(journal)) == ({}, [])
