"""The client against peers that behave as badly as real ones do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from connectors.hl7.header import scan
from connectors.mllp.client import MllpClient, MllpUnreachableError
from connectors.mllp.frames import Frame, Framer, wrap
from tests.unit.mllp.running import message, until


def ack(code: str, control_id: str, text: str = "") -> bytes:
    return wrap(f"MSH|^~\\&|||||2026||ACK|x|P|2.5\rMSA|{code}|{control_id}|{text}\r".encode())


# Called with each message's control id; what it returns is written.
Script = Callable[["Peer", str], bytes]


class Peer:
    """A receiver that follows a script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.seen: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        framer = Framer(1_000_000)
        while data := await reader.read(65_536):
            for event in framer.feed(data):
                assert isinstance(event, Frame)
                control_id = scan(event.payload).control_id
                self.seen.append(control_id)
                writer.write(self.script(self, control_id))
                if writer.is_closing():
                    return
        writer.close()


@asynccontextmanager
async def peer(script: Script) -> AsyncIterator[tuple[Peer, str, int]]:
    one = Peer(script)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield one, host, port
    finally:
        server.close()
        for writer in one.writers:
            writer.transport.abort()


async def test_answers_are_matched_by_control_id_and_not_by_position() -> None:
    held: list[str] = []

    def backwards(_: Peer, control_id: str) -> bytes:
        held.append(control_id)
        return b"".join(ack("AA", c, c) for c in reversed(held)) if len(held) == 3 else b""

    async with peer(backwards) as (_, host, port), MllpClient(host, port) as client:
        futures = [await client.submit(message(c)) for c in "abc"]
        assert [(await f).text for f in futures] == ["a", "b", "c"]


async def test_an_answer_to_nothing_is_counted_and_not_taken_for_the_next() -> None:
    def late_and_right(_: Peer, control_id: str) -> bytes:
        return ack("AE", "from-before") + ack("AA", control_id)

    async with peer(late_and_right) as (_, host, port), MllpClient(host, port) as client:
        assert (await client.send(message("a"))).code == "AA"
        assert client.stats.unmatched == 1


async def test_messages_with_the_same_control_id_are_each_answered() -> None:
    async with (
        peer(lambda _, c: ack("AA", c)) as (_, host, port),
        MllpClient(host, port) as client,
    ):
        futures = [await client.submit(message("same")) for _ in range(3)]
        assert [(await f).code for f in futures] == ["AA"] * 3


@pytest.mark.parametrize(
    ("modes", "codes", "final"),
    [
        ("|", ["AA"], "AA"),
        ("AL|NE", ["CA"], "CA"),
        ("AL|AL", ["CA", "AA"], "AA"),
        ("AL|AL", ["CA", "AE"], "AE"),
        ("AL|AL", ["CR"], "CR"),
        ("NE|AL", ["AR"], "AR"),
        ("AL|NE", ["AA"], "AA"),
        ("NE|NE", [], ""),
        ("ER|NE", [], ""),
    ],
)
async def test_the_last_answer_that_the_message_asked_for(
    modes: str, codes: list[str], final: str
) -> None:
    def script(_: Peer, control_id: str) -> bytes:
        return b"".join(ack(c, control_id) for c in codes)

    async with peer(script) as (one, host, port), MllpClient(host, port) as client:
        answer = await client.send(message("a", modes=modes))
        await until(lambda: one.seen == ["a"])
    assert answer.code == final
    assert answer.accepted is (final in ("AA", "CA", ""))


async def test_what_was_not_answered_is_sent_again_after_a_lost_connection() -> None:
    def drop_the_third(one: Peer, control_id: str) -> bytes:
        if len(one.seen) == 3:
            one.writers[-1].transport.abort()
            return b""
        return ack("AA", control_id)

    async with peer(drop_the_third) as (one, host, port), MllpClient(host, port) as client:
        futures = [await client.submit(message(c)) for c in "abcde"]
        assert {(await f).code for f in futures} == {"AA"}
        assert client.stats.connections == 2
        assert client.stats.resent >= 3
        assert client.stats.sent == client.stats.answers["AA"] == 5
        # Sent again in order, beginning at the first that had no answer.
        again = one.seen[3:]
        assert again == sorted(again)
        assert again[-3:] == ["c", "d", "e"]


async def test_no_more_than_the_window_is_under_way() -> None:
    async with (
        peer(lambda *_: b"") as (one, host, port),
        MllpClient(host, port, window=3) as client,
    ):
        for c in "abc":
            await client.submit(message(c))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.submit(message("d"))
        assert one.seen == ["a", "b", "c"]
        one.writers[0].write(ack("AA", "b"))
        await client.submit(message("e"))
        await until(lambda: one.seen == ["a", "b", "c", "e"])


async def test_giving_up_on_an_answer_frees_its_place() -> None:
    async with (
        peer(lambda *_: b"") as (one, host, port),
        MllpClient(host, port, window=1) as client,
    ):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.send(message("a"))
        future = await client.submit(message("b"))
        one.writers[0].write(ack("AA", "a") + ack("AA", "b"))
        assert (await future).control_id == "b"
        assert client.stats.unmatched == 1


async def test_nobody_there_is_one_sentence_after_the_patience() -> None:
    async with peer(lambda *_: b"") as (_, host, port):
        pass
    with pytest.raises(MllpUnreachableError, match=f"{host}:{port}"):
        async with MllpClient(host, port, patience_s=0.2):
            pass


async def test_waiting_sends_fail_when_the_peer_stays_away() -> None:
    def vanish(one: Peer, _: str) -> bytes:
        one.writers[-1].transport.abort()
        return b""

    async with peer(vanish) as (_, host, port), MllpClient(host, port, patience_s=0.3) as client:
        with pytest.raises(MllpUnreachableError):
            await client.send(message("a"))
        with pytest.raises(MllpUnreachableError):
            await client.send(message("b"))


async def test_closing_ends_what_waits() -> None:
    async with peer(lambda *_: b"") as (_, host, port):
        client = MllpClient(host, port)
        await client.connect()
        future = await client.submit(message("a"))
        await client.close()
        with pytest.raises(asyncio.CancelledError):
            await future


async def test_figures() -> None:
    async with (
        peer(lambda _, c: ack("AA" if c != "3" else "AR", c)) as (_, host, port),
        MllpClient(host, port) as client,
    ):
        for n in range(10):
            await client.submit(message(str(n)))
        await client.drain()
        assert client.stats.answers == {"AA": 9, "AR": 1}
        assert 0 < client.stats.quantile(0.5) <= client.stats.quantile(0.99) < 5
