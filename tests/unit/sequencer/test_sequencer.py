"""Batches of raw messages become records of facts, quarantine and identities."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from connectors import contract, facts, topics
from connectors.hl7 import build
from connectors.hl7.interpret import Profile
from connectors.identity import IdentityKey
from connectors.sequencer import MOST_FACTS, Sequencer, WireMessage, headers_of, to_heard

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
    [("1767268700.5", NOW - 99.5), ("rubbish", NOW - 5), ("nan", NOW), ("9e99", NOW)],
)
def test_when_a_message_was_heard(header: str, expected: float) -> None:
    """A header that cannot be true does not become a time."""
    assert to_heard({topics.HEADER_RECEIVED_AT: header}, NOW - 5, NOW) == expected


def test_headers_that_are_no_text_are_left_out() -> None:
    assert headers_of([("source", b"LAB"), ("x", b"\xff"), ("y", None)]) == {
        "source": "LAB",
        "y": "",
    }
