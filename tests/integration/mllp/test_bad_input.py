"""Whatever comes to the socket: a clear answer, nothing lost, and the next message works.

Each test runs against the fake log and against a real broker.
"""

from __future__ import annotations

import asyncio
import base64

import pytest

from connectors.contract import Quarantined, decode_quarantined
from connectors.mllp.frames import HEAD_BYTES, wrap
from connectors.mllp.intake import KEPT_BYTES
from connectors.settings import MllpSettings
from tests.integration.mllp.conftest import Journal
from tests.unit.mllp.running import CLOSED, Sender, message, server_on

SETTINGS = MllpSettings(max_message_bytes=1_000_000)


def quarantine(journal: Journal) -> list[Quarantined]:
    return [decode_quarantined(r.value) for r in journal.read(journal.to.quarantine)]


def wire(journal: Journal) -> list[bytes]:
    return [r.value for r in journal.read(journal.to.wire)]


# name, payload, answer code, MSA-2, table 0357 code, quarantine reason
REFUSED = [
    ("text", b"hello", "AR", "", "100", "not_hl7"),
    ("binary", bytes(b for b in range(256) if b not in (0x0B, 0x1C)), "AR", "", "100", "not_hl7"),
    ("empty", b"", "AR", "", "100", "empty_frame"),
    ("no MSH first", b"PID|1||4711\rMSH|^~\\&|A\r", "AR", "", "100", "not_hl7"),
    ("MSH alone", b"MSH", "AR", "", "101", "bad_header"),
    ("no delimiters", b"MSHELLO|A|B|C", "AR", "", "101", "bad_header"),
    ("no type", b"MSH|^~\\&|A|B|C|D|2026|||n1|P|2.5\r", "AR", "n1", "101", "bad_header"),
    ("no version", b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|n2|P\r", "AR", "n2", "101", "bad_header"),
    ("UTF-16", message("u").decode().encode("utf-16"), "AR", "", "102", "bad_charset"),
    ("UTF-16 bare", message("u").decode().encode("utf-16-le"), "AR", "", "102", "bad_charset"),
    (
        "bad header, enhanced mode",
        b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|n3|P||||AL|AL\r",
        "CR",
        "n3",
        "101",
        "bad_header",
    ),
]


@pytest.mark.parametrize(
    ("payload", "code", "control_id", "error", "reason"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
async def test_what_is_not_hl7_is_refused_and_kept(
    journal: Journal, payload: bytes, code: str, control_id: str, error: str, reason: str
) -> None:
    async with (
        server_on(journal.log, SETTINGS, journal.to) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        answer = await sender.ask(payload)
        assert (answer.code, answer.control_id) == (code, control_id)
        assert answer.text
        assert await sender.ask(message("next")) == ("AA", "next", "")
    (record,) = quarantine(journal)
    assert record.reason == reason
    assert base64.b64decode(record.raw_base64) == payload
    assert wire(journal) == [message("next")]


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(
            message("1", body="PID|1||47\xe4".encode("latin-1").decode("latin-1")), id="8-bit"
        ),
        pytest.param(message("1").replace(b"4711", b"\xff\xfe\x00\x80"), id="no text"),
        pytest.param(message("1").replace(b"ORU^R01", b"XYZ^Q99"), id="unknown type"),
        pytest.param(message("1").replace(b"\r", b"\n"), id="line feeds"),
        pytest.param(message("1").replace(b"\r", b"\r\n"), id="CRLF"),
        pytest.param(message("1") + b"\x1c" * 3 + b"x", id="0x1C within"),
        pytest.param(message("1", body="x" * 900_000), id="large"),
        pytest.param(message("1", body=""), id="header only"),
        pytest.param(b"BHS|^~\\&|LAB|HOSP|||2026||||1\r" + message("x"), id="batch"),
    ],
)
async def test_what_has_a_header_goes_to_the_log_as_sent(journal: Journal, payload: bytes) -> None:
    """Its meaning is the sequencer's affair: the log is the truth."""
    async with (
        server_on(journal.log, SETTINGS, journal.to) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        assert await sender.ask(payload) == ("AA", "1", "")
        assert await sender.ask(message("next")) == ("AA", "next", "")
    assert sorted(wire(journal)) == sorted([payload, message("next")])
    assert quarantine(journal) == []


async def test_an_oversized_message_is_refused_by_its_id_and_its_head_is_kept(
    journal: Journal,
) -> None:
    big = message("big", body="x" * 3_000_000)
    async with (
        server_on(journal.log, SETTINGS, journal.to) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        answer = await sender.ask(big)
        assert (answer.code, answer.control_id) == ("AR", "big")
        assert "max_message_bytes (1000000)" in answer.text
        assert await sender.ask(message("next")) == ("AA", "next", "")
    (record,) = quarantine(journal)
    assert (record.reason, record.control_id) == ("oversized", "big")
    assert base64.b64decode(record.raw_base64) == big[:HEAD_BYTES]
    assert f"{len(big)} bytes" in record.detail
    assert wire(journal) == [message("next")]


async def test_a_large_frame_that_is_not_hl7_fits_into_quarantine(journal: Journal) -> None:
    raw = b"%PDF" + b"x" * 999_000
    async with (
        server_on(journal.log, SETTINGS, journal.to) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        assert (await sender.ask(raw)).code == "AR"
        assert await sender.ask(message("next")) == ("AA", "next", "")
    (record,) = quarantine(journal)
    assert base64.b64decode(record.raw_base64) == raw[:KEPT_BYTES]
    assert "the first" in record.detail


async def test_bytes_outside_frames_are_kept_and_the_frames_answered(journal: Journal) -> None:
    async with (
        server_on(journal.log, SETTINGS, journal.to) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        await sender.write(
            b"GET / HTTP/1.1\r\n" + wrap(message("a")) + b"\n\0 " + wrap(message("b"))
        )
        assert await sender.answer() == ("AA", "a", "")
        assert await sender.answer() == ("AA", "b", "")
    (record,) = quarantine(journal)
    assert (record.reason, base64.b64decode(record.raw_base64)) == (
        "not_hl7",
        b"GET / HTTP/1.1\r\n",
    )


async def test_a_frame_whose_end_got_lost_is_kept_and_the_next_one_answered(
    journal: Journal,
) -> None:
    async with (
        server_on(journal.log, SETTINGS, journal.to) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        await sender.write(wrap(message("lost"))[:-7] + wrap(message("next")))
        assert await sender.answer() == ("AA", "next", "")
    (record,) = quarantine(journal)
    assert (record.reason, record.control_id) == ("truncated", "lost")


async def test_a_connection_dropped_in_the_middle_is_noted_and_a_new_one_works(
    journal: Journal,
) -> None:
    async with server_on(journal.log, SETTINGS, journal.to) as (host, port, _):
        async with Sender.to(host, port) as sender:
            assert await sender.ask(message("a")) == ("AA", "a", "")
            await sender.write(wrap(message("b"))[:40])
            sender.writer.write_eof()
            assert await sender.answer() == CLOSED
        async with Sender.to(host, port) as sender:
            assert await sender.ask(message("b")) == ("AA", "b", "")
    (record,) = quarantine(journal)
    assert (record.reason, base64.b64decode(record.raw_base64)) == ("truncated", message("b")[:39])
    assert sorted(wire(journal)) == [message("a"), message("b")]


async def test_a_thousand_pipelined_messages_are_answered_in_order(journal: Journal) -> None:
    messages = [message(str(n)) for n in range(1_000)]
    async with (
        server_on(journal.log, SETTINGS, journal.to) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        sender.writer.write(b"".join(map(wrap, messages)))
        answers = [await sender.answer() for _ in messages]
    assert answers == [("AA", str(n), "") for n in range(1_000)]
    assert sorted(wire(journal)) == sorted(messages)


async def test_byte_by_byte(journal: Journal) -> None:
    async with (
        server_on(journal.log, SETTINGS, journal.to) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        for byte in wrap(message("a")) + wrap(b"?") + wrap(message("b")):
            await sender.write(bytes([byte]))
            await asyncio.sleep(0)
        codes = [(await sender.answer()).code for _ in range(3)]
    assert codes == ["AA", "AR", "AA"]
    assert sorted(wire(journal)) == [message("a"), message("b")]
