"""`tocsin replay` and `tocsin simulate` against a peer that acknowledges over a real socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from connectors.mllp.frames import Frame, Framer, wrap
from streams.cli import traffic
from streams.errors import UserError
from tests.unit.replay.folders import mimic, physionet_long


class Peer:
    """An MLLP server in a thread that answers every message with one code."""

    def __init__(self, code: bytes = b"AA") -> None:
        self.received: list[bytes] = []
        self._code = code
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.address = ""

    def __enter__(self) -> Peer:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        await server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = Framer(1_000_000)
        while data := await reader.read(65_536):
            for event in framer.feed(data):
                assert isinstance(event, Frame)
                self.received.append(event.payload)
                number = event.payload.split(b"\r", 1)[0].split(b"|")[9]
                head = b"MSH|^~\\&|||||20260101||ACK|1|P|2.5.1\r"
                writer.write(wrap(head + b"MSA|" + self._code + b"|" + number + b"\r"))
            await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as running:
        yield running


def run(*arguments: str) -> str:
    """The command's output; a `UserError` passes through, as `main` would print it."""
    app = typer.Typer()
    app.registered_commands += traffic.app.registered_commands
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_a_replay_reports_what_was_sent_and_left_out(peer: Peer, tmp_path: Path) -> None:
    """Counts by type, answers by code, rows not sent by reason; the peer has every message."""
    shown = run("replay", "mimic3", "--data", str(mimic(tmp_path)), "--to", peer.address)
    assert "patients 2 messages sent 15" in shown
    assert "ADT^A01 2 ADT^A02 1 ADT^A03 2 ADT^A04 1 ORU^R01 9" in shown
    assert "acknowledged 15 AA 15" in shown
    assert "rows not sent: chart item not mapped 1" in shown
    assert len(peer.received) == 15


def test_the_number_of_patients_can_be_limited(peer: Peer, tmp_path: Path) -> None:
    """The first by number."""
    arguments = ("replay", "mimic3", "--data", str(mimic(tmp_path)), "--to", peer.address)
    run(*arguments, "--patients", "1")
    assert peer.received and all(b"|10^^^MIMIC3^MR|" in raw for raw in peer.received)


def test_a_refused_message_fails_the_replay(tmp_path: Path) -> None:
    """One sentence with how many and the first answer."""
    with Peer(b"AE") as peer, pytest.raises(UserError, match="8 of 8 messages were not accepted"):
        data = str(physionet_long(tmp_path))
        run("replay", "physionet2012", "--data", data, "--to", peer.address)


def test_a_simulation_ends_by_itself(peer: Peer) -> None:
    """`--for` seconds after the history; everything acknowledged."""
    shown = run(
        "simulate", "--patients", "3", "--for", "1", "--speed", "3600", "--to", peer.address
    )
    assert "ADT^A01" in shown and "acknowledged" in shown
    assert len(peer.received) > 30


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("simulate", "--speed", "fast"), "--speed fast is neither a number above 0 nor `max`"),
        (("simulate", "--speed", "-1"), "--speed -1 is neither"),
        (("simulate", "--to", "nowhere"), "nowhere is no address: write host:port"),
        (("simulate", "--disturbed", "0.7", "--malformed", "0.7"), "together are more than 1"),
    ],
)
def test_wrong_options_are_explained(arguments: tuple[str, ...], sentence: str) -> None:
    """One sentence each."""
    with pytest.raises(UserError) as error:
        run(*arguments)
    assert sentence in str(error.value)


def test_wrong_data_are_explained(peer: Peer, tmp_path: Path) -> None:
    """A folder that holds another set, or nothing."""
    with pytest.raises(UserError, match="holds no set of PhysioNet 2012"):
        run("replay", "physionet2012", "--data", str(tmp_path), "--to", peer.address)
    with pytest.raises(UserError, match="does not hold admissions"):
        run("replay", "mimic3", "--data", str(tmp_path), "--to", peer.address)
    assert peer.received == []
