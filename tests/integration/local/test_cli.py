"""`tocsin up`, `down` and `doctor` as a user sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import local as commands
from streams.errors import UserError
from streams.local import up as up_module
from streams.local.process import free_port

pytestmark = pytest.mark.usefixtures("no_tocsin_environment")


@pytest.fixture
def environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kafka: str, redis_url: str
) -> Iterator[Path]:
    """Named servers and no processes, since those have tests of their own."""
    home = tmp_path / "home"
    monkeypatch.setenv("TOCSIN_KAFKA__BOOTSTRAP", kafka)
    monkeypatch.setenv("TOCSIN_REDIS__URL", redis_url)
    monkeypatch.setattr(up_module.up, "__kwdefaults__", {"processes": (), "progress": print})
    yield home
    up_module.down(home)


@pytest.mark.kafka
@pytest.mark.redis
def test_up_writes_the_endpoints_and_down_stops(environment: Path, tmp_path: Path) -> None:
    """For the owner only, with every key that others rely on."""
    file = tmp_path / "endpoints.json"
    run = CliRunner().invoke(commands.app, ["up", "--home", str(environment), "--json", str(file)])
    assert run.exit_code == 0, run.output
    found = json.loads(file.read_text())
    assert found.keys() >= {
        "mllp", "kafka", "redis", "console", "dicom", "http", "metrics", "home",
    }  # fmt: skip
    assert file.stat().st_mode & 0o077 == 0
    assert found["console"] in run.output
    assert CliRunner().invoke(commands.app, ["down", "--home", str(environment)]).exit_code == 0
    again = CliRunner().invoke(commands.app, ["down", "--home", str(environment)])
    assert "nothing was up" in again.output


def test_a_missing_server_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a traceback."""
    monkeypatch.setenv("TOCSIN_KAFKA__BOOTSTRAP", f"127.0.0.1:{free_port()}")
    run = CliRunner().invoke(commands.app, ["up", "--home", str(tmp_path / "home")])
    assert isinstance(run.exception, UserError)
    assert "Connection refused" in str(run.exception)
    assert "leave it empty" in str(run.exception)


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    """A file is in its place."""
    (tmp_path / "home").touch()
    run = CliRunner().invoke(commands.app, ["up", "--home", str(tmp_path / "home")])
    assert isinstance(run.exception, UserError)
    assert "cannot be used" in str(run.exception)


def test_doctor_reports_problems_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1, and a sentence that says what to do."""
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("TOCSIN_KAFKA__BOOTSTRAP", address)
    run = CliRunner().invoke(commands.app, ["doctor", "--json", "--home", str(tmp_path / "home")])
    assert run.exit_code == 1
    findings = [json.loads(line) for line in run.output.splitlines()]
    problems = [f for f in findings if f["level"] == "problem"]
    kafka = [f["message"] for f in problems if f["check"] == "kafka"]
    assert kafka == [
        f"{address} does not work (Connection refused): start it, or correct kafka.bootstrap."
    ]
    assert not (tmp_path / "home").exists(), "doctor changes nothing"


def test_doctor_prints_every_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With secrets hidden."""
    monkeypatch.setenv("TOCSIN_REDIS__URL", "redis://u:very-secret@h/0")
    run = CliRunner().invoke(
        commands.app, ["doctor", "--settings", "--home", str(tmp_path / "home")]
    )
    assert run.exit_code == 0
    assert "very-secret" not in run.output
    assert "[TOCSIN_MLLP__PORT]" in run.output
