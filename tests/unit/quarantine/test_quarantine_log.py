"""Items, what became of them, and what sending again writes."""

from __future__ import annotations

import msgspec
import pytest
from confluent_kafka import KafkaException

from connectors import topics, wire
from connectors.facts import FactRecord, encode
from connectors.journal import LostError
from connectors.mllp.intake import KEPT_BYTES
from connectors.quarantine import Reason, quarantined
from connectors.quarantine_log import CannotSendError, Item, QuarantineLog, State
from tests.unit.quarantine.fakes import MESSAGE, NOW, RECEIVED, WHOLE, QuarantineJournal


@pytest.fixture
def journal() -> QuarantineJournal:
    return QuarantineJournal()


@pytest.fixture
def log(journal: QuarantineJournal) -> QuarantineLog:
    return QuarantineLog(journal, lambda: NOW)


def only(log: QuarantineLog) -> Item:
    (item,) = log.items()
    return item


def test_an_item_that_comes_back_is_open_whatever_the_clocks_say(
    journal: QuarantineJournal, log: QuarantineLog
) -> None:
    """The sequencer may refuse the message again before the audit record of sending is written."""
    record = journal.wired()
    item = only(log)
    journal.now = NOW + 5
    journal.refuse(record)  # refused again, and only then …
    journal.now = NOW + 10
    list(log.redrive([item], "ann", "mapped"))  # … it is noted that what was seen is sent
    assert only(log).state is State.OPEN
    assert only(log).times == 2

    list(log.redrive([only(log)], "ann", "once more"))
    journal.now = NOW - 1_000  # whoever reads sees the audit with an earlier time
    assert only(QuarantineLog(journal, lambda: NOW)).state is State.REDRIVEN


def test_both_partitions_of_an_item_count(journal: QuarantineJournal, log: QuarantineLog) -> None:
    record = journal.wired()
    log.discard(only(log), "ann", "a test")
    assert only(log).state is State.DISCARDED
    journal.refuse(record, partition=1)
    assert only(log).state is State.OPEN


def test_the_last_decision_is_told(journal: QuarantineJournal) -> None:
    clock = [NOW]
    log = QuarantineLog(journal, lambda: clock[0])
    journal.wired()
    list(log.redrive([only(log)], "ann", "mapped"))
    clock[0] += 1
    log.discard(only(log), "ann", "a test after all")
    assert only(log).state is State.DISCARDED


def test_what_is_new_is_read_and_nothing_twice(
    journal: QuarantineJournal, log: QuarantineLog
) -> None:
    journal.wired()
    assert [i.times for i in log.items()] == [1]
    assert [i.times for i in log.items()] == [1]
    journal.wired(WHOLE, Reason.BAD_VALUE)
    assert [i.record.reason for i in log.items()] == ["no_patient", "bad_value"]


def test_since_leaves_out_what_is_older_and_knows_what_was_handled(
    journal: QuarantineJournal,
) -> None:
    journal.wired(location="PID-3")
    twice = journal.wired(WHOLE, Reason.BAD_VALUE, "OBX[1]-5")
    journal.now = NOW + 100
    journal.refuse(twice)
    log = QuarantineLog(journal, lambda: NOW, since=NOW + 50)
    assert [(i.record.id, i.state) for i in log.items()] == [(twice.id, State.OPEN)]
    log.discard(only(log), "ann", "a test")
    assert only(QuarantineLog(journal, lambda: NOW, since=NOW + 50)).state is State.DISCARDED


def test_progress_is_told(journal: QuarantineJournal, log: QuarantineLog) -> None:
    journal.wired()
    told: list[tuple[int, int]] = []
    log.items(lambda done, total: told.append((done, total)))
    assert told == [(1, 1)]


def test_records_that_are_none_stop_nobody(journal: QuarantineJournal, log: QuarantineLog) -> None:
    for topic in (topics.QUARANTINE, topics.AUDIT):
        for value in (b"", b"{", b"[]", b"\xff", b'{"event":"names_read"}', b'{"id":1}'):
            journal.append(topic, value, [])
    journal.wired()
    assert only(log).state is State.OPEN
    assert log.unreadable == 6


# ── sending again ───────────────────────────────────────────────────────────────────────────


def test_a_message_is_sent_again_as_it_came(journal: QuarantineJournal, log: QuarantineLog) -> None:
    record = journal.wired(partition=1)
    list(log.redrive([only(log)], "ann", "mapped"))
    again = journal.records[topics.WIRE_HL7, 1][-1]
    assert again.value == MESSAGE
    assert dict(again.headers) == {
        topics.HEADER_SOURCE: b"LAB|HOSP",
        topics.HEADER_RECEIVED_AT: f"{RECEIVED:.6f}".encode(),
        topics.HEADER_REDRIVE_OF: record.id.encode(),
    }


def test_a_message_without_headers_is_heard_when_it_was_heard_first(
    journal: QuarantineJournal, log: QuarantineLog
) -> None:
    """An integration engine may write none; the new record has a timestamp of today."""
    journal.wired(headers=[])
    list(log.redrive([only(log)], "ann", "mapped"))
    headers = dict(journal.of(topics.WIRE_HL7)[-1].headers)
    assert headers[topics.HEADER_RECEIVED_AT] == f"{RECEIVED:.6f}".encode()
    assert topics.HEADER_SOURCE not in headers


def test_bytes_that_never_were_on_the_wire_keep_their_time(
    journal: QuarantineJournal, log: QuarantineLog
) -> None:
    record = journal.held(b"no message at all", Reason.NOT_HL7)
    list(log.redrive([only(log)], "ann", "t"))
    (sent,) = journal.of(topics.WIRE_HL7)
    assert sent.value == b"no message at all"
    assert dict(sent.headers) == {
        topics.HEADER_RECEIVED_AT: f"{RECEIVED:.6f}".encode(),
        topics.HEADER_SOURCE: b"LAB|HOSP",
        topics.HEADER_CONTENT_TYPE: wire.HL7.encode(),
        topics.HEADER_REDRIVE_OF: record.id.encode(),
    }


def test_several_items_of_one_message_send_it_once(
    journal: QuarantineJournal, log: QuarantineLog
) -> None:
    first = journal.wired()
    second = journal.wired(location="OBX[1]-5")
    journal.records[topics.WIRE_HL7, 0].pop()
    journal.records[topics.QUARANTINE, 0].pop()
    journal.refuse(msgspec.structs.replace(second, wire=first.wire))
    list(log.redrive(log.items(), "ann", "mapped"))
    assert len(journal.of(topics.WIRE_HL7)) == 2
    assert [a["event"] for a in journal.audit()] == ["quarantine_redriven"] * 2


def test_messages_go_again_in_the_order_in_which_they_came(
    journal: QuarantineJournal, log: QuarantineLog
) -> None:
    raws = [MESSAGE.replace(b"C1", f"C{n}".encode()) for n in range(12)]
    for raw in raws:
        journal.wired(raw)
    list(log.redrive(reversed(log.items()), "ann", "mapped"))
    assert [r.value for r in journal.of(topics.WIRE_HL7)] == raws + raws


def test_facts_are_never_sent_as_a_message(journal: QuarantineJournal, log: QuarantineLog) -> None:
    journal.wired(encode(FactRecord()), Reason.BAD_FACTS, "", topic=topics.FACTS)
    for mended in (None, WHOLE):
        with pytest.raises(CannotSendError, match=r"tocsin\.facts, which Tocsin wrote itself"):
            log.redrive([only(log)], "ann", "t", mended)
    assert len(journal.of(topics.FACTS)) == 1
    assert journal.of(topics.AUDIT) == []
    log.discard(only(log), "ann", "an old release")
    assert only(log).state is State.DISCARDED


@pytest.mark.parametrize("port", ["HTTP fhir", "DICOM"])
def test_what_another_port_refused_is_never_sent_as_hl7(
    journal: QuarantineJournal, log: QuarantineLog, port: str
) -> None:
    record = quarantined(
        Reason.BAD_FHIR, "no JSON", raw=b"{", received_at=0.0, source="LAB", message_type=port
    )
    journal.refuse(record)
    for mended in (None, WHOLE):
        with pytest.raises(CannotSendError, match="its sender has it"):
            log.redrive([only(log)], "ann", "t", mended)
    assert journal.of(topics.WIRE_HL7) == []


@pytest.mark.parametrize(
    ("reason", "raw"),
    [
        (Reason.OVERSIZED, MESSAGE),
        (Reason.TRUNCATED, MESSAGE[:40]),
        (Reason.BAD_HEADER, b"x" * KEPT_BYTES),
    ],
)
def test_a_head_is_not_sent_as_if_it_were_the_message(
    journal: QuarantineJournal, log: QuarantineLog, reason: Reason, raw: bytes
) -> None:
    journal.wired()
    journal.held(raw, reason)
    before = len(journal.of(topics.WIRE_HL7))
    with pytest.raises(CannotSendError, match="only the beginning"):
        log.redrive(log.items(), "ann", "t")
    assert len(journal.of(topics.WIRE_HL7)) == before  # not even the others: nothing is halved
    head = next(i for i in log.items() if i.record.reason == reason)
    list(log.redrive([head], "ann", "from the sender", WHOLE))
    assert journal.of(topics.WIRE_HL7)[-1].value == WHOLE


def test_almost_as_much_as_is_kept_is_whole(journal: QuarantineJournal, log: QuarantineLog) -> None:
    journal.held(b"x" * (KEPT_BYTES - 1), Reason.BAD_HEADER)
    assert log.obstacle(only(log)) == ""


def test_an_oversized_record_of_the_wire_is_whole(
    journal: QuarantineJournal, log: QuarantineLog
) -> None:
    journal.wired(reason=Reason.OVERSIZED)
    assert log.obstacle(only(log)) == ""


def test_bytes_that_are_gone_are_said_to_be(journal: QuarantineJournal, log: QuarantineLog) -> None:
    journal.wired()
    item = only(log)
    journal.records[topics.WIRE_HL7, 0].clear()
    with pytest.raises(LostError):
        log.kept(item)


def test_an_interrupted_redrive_is_seen_and_may_be_repeated(
    journal: QuarantineJournal, log: QuarantineLog
) -> None:
    for n in range(3):
        journal.wired(MESSAGE.replace(b"C1", f"C{n}".encode()))
    sending = log.redrive(log.items(), "ann", "t")
    next(sending)
    journal.away = True
    with pytest.raises(KafkaException):
        next(sending)
    journal.away = False
    again = QuarantineLog(journal, lambda: NOW)
    assert [i.state for i in again.items()] == [State.REDRIVEN, State.OPEN, State.OPEN]
    list(again.redrive([i for i in again.items() if i.state is State.OPEN], "ann", "t"))
    assert {i.state for i in again.items()} == {State.REDRIVEN}
    assert len(journal.of(topics.WIRE_HL7)) == 6


# ── the audit ───────────────────────────────────────────────────────────────────────────────


def test_the_audit_says_who_did_what_and_nothing_of_the_patient(
    journal: QuarantineJournal, log: QuarantineLog
) -> None:
    journal.wired()
    list(log.redrive([only(log)], "ann", "number lost", WHOLE))
    log.discard(only(log), "bob", "a test")
    log.note_unmasked(only(log), "cid", "to find the feed")
    keys = {"event", "who", "at", "item", "seen", "why", "was", "now"}
    assert [set(a) for a in journal.audit()] == [keys] * 3
    assert [a["who"] for a in journal.audit()] == ["ann", "bob", "cid"]
    text = b"".join(r.value for r in journal.of(topics.AUDIT)).decode()
    for secret in ("4711", "Doe", "Jane", "1950", "HOSP", "mmol"):
        assert secret not in text
    sent, *others = journal.audit()
    assert len(sent["was"]) == len(sent["now"]) == 64
    assert all((a["was"], a["now"]) == ("", "") for a in others)
