"""`tocsin send` against a server on a socket."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.settings import MllpSettings, TlsServer
from streams.cli.send import app
from streams.errors import UserError
from tests.unit.mllp.certificates import Authority
from tests.unit.mllp.fakes import FakeLog
from tests.unit.mllp.running import message, server_on

RUN = CliRunner()


@contextmanager
def running(log: FakeLog, settings: MllpSettings | None = None) -> Iterator[str]:
    """A server in a thread (the command has its own event loop); gives host:port."""
    address: list[str] = []
    up, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with server_on(log, settings) as (host, port, _):
            address.append(f"{host}:{port}")
            up.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert up.wait(10)
    try:
        yield address[0]
    finally:
        done.set()
        thread.join()


def test_each_answer_is_shown_and_a_refusal_is_a_failure(tmp_path: Path) -> None:
    log = FakeLog()
    good, bad = tmp_path / "good.hl7", tmp_path / "bad.bin"
    good.write_bytes((message("a") + b"\n" + message("b")).replace(b"\r", b"\n"))
    bad.write_bytes(b"hello")
    with running(log) as address:
        result = RUN.invoke(app, [str(good), str(bad), "--to", address])
        assert result.exit_code == 1
        lines = result.output.splitlines()
        assert lines[0].startswith(f"{good}#1  AA  a  ")
        assert lines[1].startswith(f"{good}#2  AA  b  ")
        assert "AR" in lines[2]
        assert "does not begin with an MSH segment" in lines[2]
        assert RUN.invoke(app, [str(good), "--to", address]).exit_code == 0
    assert [r.value for r in log.records[:2]] == [message("a"), message("b")]


def test_json_is_one_object_a_line(tmp_path: Path) -> None:
    file = tmp_path / "m.hl7"
    file.write_bytes(message("a", modes="AL|AL"))
    with running(FakeLog()) as address:
        result = RUN.invoke(app, [str(file), "--to", address, "--json"])
    (line,) = result.output.splitlines()
    answer = json.loads(line)
    assert answer.pop("ms") > 0
    assert answer == {
        "file": str(file),
        "message": 1,
        "code": "AA",
        "control_id": "a",
        "text": "",
        "accepted": True,
    }


def test_an_answer_that_does_not_come_is_said_and_is_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "m.hl7"
    file.write_bytes(message("a"))
    log = FakeLog()
    log.hold()
    with running(log) as address:
        result = RUN.invoke(app, [str(file), "--to", address, "--timeout", "0.2"])
        log.waiting.clear()
    assert result.exit_code == 1
    assert "no answer within 0.2 s" in result.output


def test_without_an_address_it_goes_to_the_running_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_tocsin_environment: Callable[[], None]
) -> None:
    file = tmp_path / "m.hl7"
    file.write_bytes(message("a"))
    monkeypatch.setenv("TOCSIN_HOME", str(tmp_path))
    log = FakeLog()
    with running(log) as address:
        (tmp_path / "endpoints.json").write_text(json.dumps({"mllp": address}))
        assert RUN.invoke(app, [str(file)]).exit_code == 0
    assert len(log.records) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["m.hl7", "--to", "nowhere"], "write host:port"),
        (["m.hl7", "--to", "127.0.0.1:0"], "write host:port"),
        (["m.hl7"], "tocsin up"),
        (["absent.hl7", "--to", "127.0.0.1:1"], "absent.hl7 cannot be read"),
        (["empty.hl7", "--to", "127.0.0.1:1"], "empty.hl7 holds no message"),
        (["m.hl7", "--to", "127.0.0.1:1", "--tls-ca", "absent.pem"], "TLS files cannot be used"),
    ],
)
def test_what_cannot_work_is_one_sentence(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_tocsin_environment: Callable[[], None],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.hl7").write_bytes(message("a"))
    Path("empty.hl7").touch()
    result = RUN.invoke(app, arguments)
    assert isinstance(result.exception, UserError)
    assert says in str(result.exception)


def test_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "hospital")
    certificate, key = authority.issue("server")
    file = tmp_path / "m.hl7"
    file.write_bytes(message("a"))
    settings = MllpSettings(tls=TlsServer(certificate=certificate, key=key))
    with running(FakeLog(), settings) as address:
        trusting = [str(file), "--to", address, "--tls-ca", str(authority.certificate)]
        assert RUN.invoke(app, trusting).exit_code == 0
        stranger = Authority(tmp_path, "elsewhere").certificate
        # In a process of its own: asyncio leaves the transport of a failed handshake to the
        # collector, which would complain in whatever test comes next.
        result = subprocess.run(
            [
                sys.executable,
                "-m",
                "streams.cli",
                "send",
                str(file),
                "--to",
                address,
                "--tls-ca",
                str(stranger),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 1
    assert "No TLS connection" in result.stderr
