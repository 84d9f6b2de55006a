"""A connection's life with a log whose every confirmation the test decides."""

from __future__ import annotations

import asyncio

import pytest

from connectors.contract import decode_quarantined
from connectors.mllp.frames import wrap
from connectors.mllp.server import MllpError
from connectors.settings import MllpSettings
from tests.unit.mllp.fakes import FakeLog
from tests.unit.mllp.running import AT, CLOSED, Sender, message, server_on, until


async def test_nothing_is_answered_before_the_log_has_confirmed() -> None:
    log = FakeLog()
    async with server_on(log) as (host, port, _), Sender.to(host, port) as sender:
        log.hold()
        await sender.write(wrap(message("a")))
        await until(lambda: len(log.waiting) == 1)
        assert await sender.silent()
        log.release()
        assert await sender.answer() == ("AA", "a", "")


async def test_a_refusal_waits_for_the_quarantine_record() -> None:
    log = FakeLog()
    async with server_on(log) as (host, port, _), Sender.to(host, port) as sender:
        log.hold()
        await sender.write(wrap(b"hello"))
        await until(lambda: len(log.waiting) == 1)
        assert await sender.silent()
        log.release()
        assert (await sender.answer())[0] == "AR"
        assert log.records[0].topic == "quarantine"


async def test_answers_keep_the_order_of_messages_whatever_the_order_of_confirmations() -> None:
    log = FakeLog()
    async with server_on(log) as (host, port, _), Sender.to(host, port) as sender:
        log.hold()
        await sender.write(b"".join(wrap(message(c)) for c in "abcd") + wrap(b"?"))
        await until(lambda: len(log.waiting) == 5)
        log.confirm(5, last_first=True)
        answers = [await sender.answer() for _ in range(5)]
        assert [a[:2] for a in answers] == [
            ("AA", "a"),
            ("AA", "b"),
            ("AA", "c"),
            ("AA", "d"),
            ("AR", ""),
        ]


async def test_a_slow_log_stops_the_reading_and_nothing_is_refused() -> None:
    """Late answers and bounded memory: of 500 messages only 10 are taken until the log goes on."""
    log = FakeLog()
    settings = MllpSettings(max_unacknowledged=10)
    async with server_on(log, settings) as (host, port, _), Sender.to(host, port) as sender:
        log.hold()
        sender.writer.write(b"".join(wrap(message(str(n))) for n in range(500)))
        await until(lambda: len(log.waiting) == 10)
        assert await sender.silent()
        log.release()
        answers = [await sender.answer() for _ in range(500)]
        assert answers == [("AA", str(n), "") for n in range(500)]
        assert log.most_waiting == 10


async def test_all_connections_share_one_limit_in_bytes() -> None:
    log = FakeLog()
    settings = MllpSettings(max_unacknowledged_bytes=1_000_000)
    body = "OBX|" + "x" * 100_000
    async with server_on(log, settings) as (host, port, _):
        log.hold()
        async with Sender.to(host, port) as one, Sender.to(host, port) as two:
            for sender in (one, two):
                sender.writer.write(b"".join(wrap(message(str(n), body=body)) for n in range(20)))
            await until(lambda: len(log.waiting) == 10)  # the tenth goes over the limit
            await asyncio.sleep(0.1)
            assert len(log.waiting) == 10
            log.release()
            for sender in (one, two):
                assert [(await sender.answer())[1] for _ in range(20)] == [
                    str(n) for n in range(20)
                ]
        assert log.most_waiting <= 10
        assert len(log.records) == 40


async def test_a_sender_that_does_not_read_its_answers_is_not_read_either() -> None:
    """Answers of 2 KB, so that those to 10,000 messages fit into no buffer of the system."""
    log = FakeLog()
    long = "i" * 2_000
    async with server_on(log) as (host, port, _), Sender.to(host, port) as sender:
        for n in range(10_000):
            sender.writer.write(wrap(message(f"{long}{n}")))
        taken = -1
        while len(log.records) > taken:
            taken = len(log.records)
            await asyncio.sleep(0.5)
        assert 0 < taken < 10_000
        answers = [await sender.answer() for _ in range(10_000)]
        assert answers == [("AA", f"{long}{n}", "") for n in range(10_000)]


async def test_what_is_under_way_is_kept_when_the_sender_goes() -> None:
    log = FakeLog()
    async with server_on(log) as (host, port, _):
        log.hold()
        async with Sender.to(host, port) as sender:
            await sender.write(wrap(message("a")) + wrap(message("b")))
            await until(lambda: len(log.waiting) == 2)
        log.release()
        assert [r.value for r in log.records] == [message("a"), message("b")]
        async with Sender.to(host, port) as sender:
            assert await sender.ask(message("c")) == ("AA", "c", "")


async def test_complete_frames_are_taken_even_when_there_was_no_room_before_the_sender_went() -> (
    None
):
    log = FakeLog()
    settings = MllpSettings(max_unacknowledged=1)
    async with server_on(log, settings) as (host, port, _):
        log.hold()
        async with Sender.to(host, port) as sender:
            await sender.write(b"".join(wrap(message(c)) for c in "abc"))
            await until(lambda: len(log.waiting) == 1)
        await asyncio.sleep(0.05)
        log.release()
        await until(lambda: len(log.records) == 3)


async def test_a_broken_off_frame_is_quarantined() -> None:
    log = FakeLog()
    async with server_on(log) as (host, port, _):
        async with Sender.to(host, port) as sender:
            assert await sender.ask(message("a")) == ("AA", "a", "")
            await sender.write(wrap(message("b"))[:-2])
        await until(lambda: len(log.records) == 2)
        record = decode_quarantined(log.records[1].value)
        assert (record.reason, record.control_id, record.source) == ("truncated", "b", "LAB|HOSP")


async def test_a_half_closed_connection_still_gets_its_answers() -> None:
    log = FakeLog()
    async with server_on(log) as (host, port, _), Sender.to(host, port) as sender:
        log.hold()
        await sender.write(wrap(message("a")) + wrap(message("b")))
        sender.writer.write_eof()
        await until(lambda: len(log.waiting) == 2)
        log.release()
        assert await sender.answer() == ("AA", "a", "")
        assert await sender.answer() == ("AA", "b", "")
        assert await sender.answer() == CLOSED


async def test_an_answer_that_is_due_as_the_sender_stops_sending_is_still_sent() -> None:
    """The log confirms and the sender half-closes in one turn of the loop (`tocsin fuzz`)."""
    log = FakeLog()
    async with server_on(log) as (host, port, _):
        for _ in range(20):
            async with Sender.to(host, port) as sender:
                await sender.write(wrap(message("a")))
                sender.writer.write_eof()
                assert await sender.answer() == ("AA", "a", "")
                assert await sender.answer() == CLOSED


async def test_a_record_lost_for_good_closes_the_connection_without_an_answer_to_it() -> None:
    """Better no answer than a wrong one: the sender sends again. Others are not touched."""
    log = FakeLog()
    async with server_on(log) as (host, port, _):
        log.hold()
        async with Sender.to(host, port) as unlucky, Sender.to(host, port) as other:
            await unlucky.write(wrap(message("a")))
            await until(lambda: len(log.waiting) == 1)
            await other.write(wrap(message("b")))
            await until(lambda: len(log.waiting) == 2)
            log.fail(0)
            assert await unlucky.answer() == CLOSED
            log.release()
            assert await other.answer() == ("AA", "b", "")
            assert await other.ask(message("c")) == ("AA", "c", "")


async def test_what_the_broker_will_not_take_is_refused_and_its_head_quarantined() -> None:
    log = FakeLog(largest=100_000)
    big = message("big", body="x" * 200_000)
    async with server_on(log) as (host, port, _), Sender.to(host, port) as sender:
        answer = await sender.ask(big)
        assert answer[:2] == ("AR", "big")
        record = decode_quarantined(log.records[0].value)
        assert (record.reason, record.control_id) == ("oversized", "big")
        assert await sender.ask(message("next")) == ("AA", "next", "")


async def test_connections_over_the_limit_are_closed_at_once() -> None:
    log = FakeLog()
    settings = MllpSettings(max_connections=2)
    async with server_on(log, settings) as (host, port, _):
        async with Sender.to(host, port) as one, Sender.to(host, port) as two:
            assert await one.ask(message("a")) == ("AA", "a", "")
            assert await two.ask(message("b")) == ("AA", "b", "")
            async with Sender.to(host, port) as three:
                assert await three.answer() == CLOSED
            assert await one.ask(message("c")) == ("AA", "c", "")

        async def taken() -> bool:
            async with Sender.to(host, port) as four:
                return await four.ask(message("d")) == ("AA", "d", "")

        async with asyncio.timeout(60):  # until the server has heard that two have gone
            while not await taken():
                pass


async def test_a_stop_answers_what_was_taken_and_closes() -> None:
    log = FakeLog()
    async with server_on(log) as (host, port, stop), Sender.to(host, port) as sender:
        log.hold()
        await sender.write(wrap(message("a")) + wrap(message("b")))
        await until(lambda: len(log.waiting) == 2)
        stop.set()
        await asyncio.sleep(0.05)
        await sender.write(wrap(message("late")))
        assert await sender.silent()
        log.release()
        assert await sender.answer() == ("AA", "a", "")
        assert await sender.answer() == ("AA", "b", "")
        assert await sender.answer() == CLOSED
        assert len(log.records) == 2
        with pytest.raises(ConnectionError):
            async with Sender.to(host, port):
                pass


async def test_a_used_port_is_one_sentence_that_says_what_to_do() -> None:
    log = FakeLog()
    async with server_on(log) as (_, port, _):
        with pytest.raises(MllpError, match=r"is in use: set mllp\.port"):
            async with server_on(log, MllpSettings(port=port)):
                pass


async def test_headers_of_a_record() -> None:
    log = FakeLog()
    async with server_on(log) as (host, port, _), Sender.to(host, port) as sender:
        await sender.ask(message("a"))
    headers = log.records[0].headers
    assert headers["source"] == "LAB|HOSP"
    assert float(headers["received-at"]) == AT
    assert headers["content-type"] == "application/hl7-v2+er7"
    version, trace, span, flags = headers["traceparent"].split("-")
    assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")


async def test_the_settings_may_name_the_source() -> None:
    log = FakeLog()
    async with (
        server_on(log, MllpSettings(source="east wing")) as (host, port, _),
        Sender.to(host, port) as sender,
    ):
        await sender.ask(message("a"))
        await sender.ask(b"?")
    assert log.records[0].headers["source"] == "east wing"
    assert decode_quarantined(log.records[1].value).source == "east wing"


@pytest.mark.parametrize(
    ("modes", "expected"), [("|", ["AA"]), ("AL|NE", ["CA"]), ("AL|AL", ["CA", "AA"])]
)
async def test_answers_by_mode_at_the_socket(modes: str, expected: list[str]) -> None:
    log = FakeLog()
    async with server_on(log) as (host, port, _), Sender.to(host, port) as sender:
        await sender.write(wrap(message("a", modes=modes)))
        assert [(await sender.answer())[:2] for _ in expected] == [(c, "a") for c in expected]
        assert await sender.ask(message("b")) == ("AA", "b", "")


async def test_silence_where_silence_was_asked_for() -> None:
    log = FakeLog()
    ack = b"MSH|^~\\&|A|B|C|D|2026||ACK|9|P|2.5\rMSA|AA|1\r"
    async with server_on(log) as (host, port, _), Sender.to(host, port) as sender:
        await sender.write(wrap(message("a", modes="NE|NE")) + wrap(ack) + wrap(message("b")))
        assert await sender.answer() == ("AA", "b", "")
    assert [r.value for r in log.records] == [message("a", modes="NE|NE"), ack, message("b")]


async def test_logs_hold_no_patient_data(caplog: pytest.LogCaptureFixture) -> None:
    log = FakeLog()
    async with server_on(log) as (host, port, _), Sender.to(host, port) as sender:
        await sender.ask(b"Doe^Jane was here")
        await sender.ask(b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|\rPID|1||4711||Doe^Jane\r")
        await sender.write(b"Doe^Jane")
    assert "not_hl7" in caplog.text
    assert "Doe" not in caplog.text
    assert "4711" not in caplog.text
