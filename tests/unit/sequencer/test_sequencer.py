"""Batches of raw messages become records of facts, quarantine and identities."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from connectors import contract, facts, topics
from connectors import wire as wire_types
from connectors.hl7 import build
from connectors.hl7.interpret import Profile
from connectors.identity import IdentityKey
from connectors.sequencer import MOST_FACTS, Sequencer, WireMessage, headers_of, to_heard
from connectors.trace import checked

NOW = 1_767_268_800.0
PARTITIONS = 4
RATE = ("8867-4", "Heart rate", "LN")


def sequencer(record_messages: int = 50) -> Sequencer:
    return Sequencer(IdentityKey(bytes(32)), Profile(), PARTITIONS, record_messages, lambda: NOW)


def vitals(patient: str, values: Sequence[float], control: str = "1") -> bytes:
    segments = build.message("ORU^R01", control, NOW - 60)
    segments += [build.pid([(patient, "HOSP", "MR")], family="X"), build.obr(RATE, filler=control)]
    segments += [
        build.obx(RATE, value, set_id=i, sub_id=str(i), unit="/min", observed=NOW - 60)
        for i, value in enumerate(values, 1)
    ]
    return build.join(segments)


def wire(raw: bytes, offset: int = 0) -> WireMessage:
    return WireMessage(raw, f"{topics.WIRE_HL7}/0/{offset}", NOW, "FEED", "")


def test_each_patient_goes_to_the_partition_that_the_contract_names() -> None:
    out = sequencer().sequence(wire(vitals(str(i), [80.0])) for i in range(20))
    for partition, records in out.records.items():
        for record in records:
            for message in record.messages:
                assert topics.partition_of(message.patient, PARTITIONS) == partition
    assert sum(len(r.messages) for rs in out.records.values() for r in rs) == 20
    assert set(out.identities) == {
        m.patient for rs in out.records.values() for r in rs for m in r.messages
    }


def test_records_hold_no_more_messages_than_asked() -> None:
    batch = [wire(vitals("1", [80.0], str(i)), i) for i in range(7)]
    records = next(iter(sequencer(3).sequence(batch).records.values()))
    assert [len(r.messages) for r in records] == [3, 3, 1]
    assert [m.wire for r in records for m in r.messages] == [w.position for w in batch]


def test_a_huge_message_is_written_in_parts_that_fit_a_record() -> None:
    out = sequencer().sequence([wire(vitals("1", [80.0] * (2 * MOST_FACTS + 5)))])
    records = next(iter(out.records.values()))
    assert [len(m.facts) for r in records for m in r.messages] == [MOST_FACTS, MOST_FACTS, 5]
    assert max(len(facts.encode(r)) for r in records) < 1_000_000


def test_each_message_is_accounted_for() -> None:
    batch = [wire(vitals("1", [80.0])), wire(b"rubbish"), wire(b"")]
    out = sequencer().sequence(batch)
    assert out.outcomes == {
        ("facts", ""): 1, ("quarantine", "not_hl7"): 1, ("quarantine", "empty_frame"): 1,
    }  # fmt: skip
    assert [contract.decode_quarantined(v).reason for _, v in out.quarantine] == [
        "not_hl7",
        "empty_frame",
    ]


def test_a_message_that_is_partly_understood_gives_facts_and_a_quarantine_record() -> None:
    bad = vitals("1", [80.0, 81.0]).replace(b"|81|", b"|fast|")
    out = sequencer().sequence([wire(bad)])
    record = contract.decode_quarantined(out.quarantine[0][1])
    assert (record.reason, record.partial, record.location) == ("not_a_number", True, "OBX[2]-5")
    assert record.raw_base64 == ""  # the bytes are in the wire log
    assert record.wire == f"{topics.WIRE_HL7}/0/0"
    assert out.facts == 1


def test_the_trace_of_the_socket_is_carried_on_and_one_is_made_where_there_is_none() -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    traced = wire(vitals("1", [80.0]))._replace(trace=given)
    out = sequencer().sequence([traced, wire(vitals("1", [81.0], "2"))])
    first, second = next(iter(out.records.values()))[0].messages
    assert first.trace == given
    assert second.trace.endswith("-00")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("1767268700.5", NOW - 99.5),
        ("rubbish", NOW - 5),
        ("nan", NOW - 5),
        ("9e99", NOW - 5),
        ("1", NOW - 5),
    ],
)
def test_when_a_message_was_heard(header: str, expected: float) -> None:
    """A header that cannot be true does not become a time."""
    assert to_heard({topics.HEADER_RECEIVED_AT: header}, NOW - 5, NOW) == expected


def test_headers_that_are_no_text_are_left_out() -> None:
    assert headers_of([("source", b"LAB"), ("x", b"\xff"), ("y", None)]) == {
        "source": "LAB",
        "y": "",
    }


def test_a_time_that_nobody_can_know_is_now() -> None:
    assert to_heard({}, 1.0, NOW) == NOW


def test_records_are_cut_by_size() -> None:
    """Fifty large reports for one partition do not become a record that no broker takes."""
    batch = [wire(vitals("1", [80.0] * 400, str(i)), i) for i in range(50)]
    records = next(iter(sequencer().sequence(batch).records.values()))
    assert len(records) > 1
    assert max(len(facts.encode(r)) for r in records) < 1_000_000
    assert sum(len(r.messages) for r in records) == 50


def test_narrative_stays_in_the_wire_log() -> None:
    """However long it is, and whoever is named in it."""
    segments = build.message("ORU^R01", "1", NOW - 60)
    segments += [build.pid([("1", "HOSP", "MR")]), build.obr(RATE, filler="1", observed=NOW - 60)]
    letter = "Dear Mrs Miller " + "x" * 600_000
    segments += [build.obx(("X", "Letter", "L"), letter, type="TX")]
    segments += [build.obx(("Y", "Note", "L"), letter, set_id=2, type="ST")]
    out = sequencer().sequence([wire(build.join(segments))])
    written = b"".join(facts.encode(r) for rs in out.records.values() for r in rs)
    assert b"Miller" not in written
    assert b"[TX, 600016 characters]" in written
    assert b"[ST, 600016 characters]" in written


def test_a_message_whose_facts_fit_no_record_goes_to_quarantine() -> None:
    raw = vitals("1", [80.0]).replace(b"/min", b"u" * 1_000_000)
    out = sequencer().sequence([wire(raw), wire(vitals("1", [81.0], "2"))])
    assert [contract.decode_quarantined(v).reason for _, v in out.quarantine] == ["oversized_facts"]
    assert out.facts == 1


def test_a_traceparent_that_is_none_is_not_carried_on() -> None:
    assert checked("Zzyxname leaks here") == ""
    assert checked("00-" + "0" * 32 + "-b7ad6b7169203331-01") == ""
    assert checked("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


def test_each_outcome_is_told_of_its_source() -> None:
    """So that a feed that goes wrong is noticed; what is sent again says nothing of the feed."""
    again = wire(b"rubbish")._replace(redriven=True)
    out = sequencer().sequence([wire(vitals("1", [80.0])), wire(b"rubbish"), again, wire(b"")])
    assert out.of_sources == [("FEED", False), ("FEED", True), ("FEED", True)]


def test_a_request_to_the_archive_is_not_a_message() -> None:
    """The sequencer writes these itself, on a topic that it reads."""
    asked = wire(b'{"study_uid":"1.2"}')._replace(content_type=wire_types.FETCH)
    out = sequencer().sequence([asked])
    assert (out.outcomes, out.quarantine, out.records) == ({}, [], {})


def test_what_nobody_reads_goes_to_quarantine() -> None:
    out = sequencer().sequence([wire(b"x")._replace(content_type="text/plain")])
    assert out.outcomes == {("quarantine", "unsupported_content"): 1}


def test_records_are_no_larger_than_the_broker_takes() -> None:
    batch = [wire(vitals("1", [80.0] * 20, str(i)), i) for i in range(12)]
    whole = sequencer().sequence(batch).records
    one = len(facts.encode(next(iter(whole.values()))[0])) // 12
    small = Sequencer(IdentityKey(bytes(32)), Profile(), PARTITIONS, 50, lambda: NOW, 3 * one)
    records = next(iter(small.sequence(batch).records.values()))
    assert len(records) > 3
    assert max(len(facts.encode(r)) for r in records) < 3 * one + 200
    assert [m.wire for r in records for m in r.messages] == [w.position for w in batch]
