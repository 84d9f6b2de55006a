"""Settings handed to processes, ports, logs, the listing of `doctor --settings`, setup."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from streams.doctor import machine
from streams.doctor.finding import Level
from streams.doctor.listing import listing
from streams.local.environment import variables
from streams.local.errors import LocalError
from streams.local.ports import choose_plan
from streams.local.process import free_port
from streams.local.state import Command, read_state, run_folder
from streams.local.supervisor import limit_log
from streams.settings import Settings, load

pytestmark = pytest.mark.usefixtures("no_tocsin_environment")
COMMANDS = [Command("mllp", ("a",)), Command("worker", ("b",))]
ROOT = Path(__file__).resolve().parents[3]


def test_processes_get_the_settings_that_up_got(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file, the environment or code: reading the variables gives the same settings."""
    (tmp_path / "tocsin.toml").write_text('[mllp]\nsource = "lab"\n[redis]\nurl = "redis://h/1"\n')
    monkeypatch.setenv("TOCSIN_WORKER__RISKS", '["a", "b"]')
    monkeypatch.setenv("TOCSIN_WORKER__SHADOW", json.dumps([str(tmp_path / "on-trial")]))
    settings = load(home=tmp_path / "home", kafka={"partitions": 3}, telemetry={"trace_ratio": 1})
    given = variables(settings)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert load() == settings


def test_a_used_port_that_is_set_is_one_sentence(tmp_path: Path) -> None:
    """Naming the setting and the program that has the port."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        settings = Settings(home=tmp_path, mllp={"port": port})
        with pytest.raises(LocalError, match=rf"Port {port} \(mllp.port\) is in use by .*pid"):
            choose_plan(settings, COMMANDS, "key", {})
        findings = list(machine.ports(settings))
    assert [f.level for f in findings] == [Level.PROBLEM]
    assert next(iter(machine.ports(settings))).level == Level.OK


def test_every_process_gets_a_metrics_port_of_its_own(tmp_path: Path) -> None:
    """Free ones, or counted up from the one that is set; the same as last time."""
    ports: dict[str, int] = {}
    plan = choose_plan(Settings(home=tmp_path), COMMANDS, "key", ports)
    assert len({p.metrics_port for p in plan.processes}) == len(COMMANDS)
    assert choose_plan(Settings(home=tmp_path), COMMANDS, "key", ports) == plan
    first = free_port()
    settings = Settings(home=tmp_path, telemetry={"metrics_port": first})
    fixed = choose_plan(settings, COMMANDS, "key", {})
    assert [p.metrics_port for p in fixed.processes] == [first, first + 1]


def test_a_console_for_the_whole_network_is_reached_on_this_machine(tmp_path: Path) -> None:
    """0.0.0.0 is not an address to open in a browser."""
    settings = Settings(home=tmp_path, console={"host": "0.0.0.0"})  # noqa: S104
    assert choose_plan(settings, [], "key", {}).console.startswith("http://127.0.0.1:")


def test_a_long_log_is_cut_while_its_process_writes(tmp_path: Path) -> None:
    """The older part is kept beside it, once."""
    file = tmp_path / "x.log"
    with file.open("ab", buffering=0) as process:
        process.write(b"old" * 10)
        limit_log(file, limit=20)
        process.write(b"new")
    assert file.read_bytes() == b"new"
    assert (tmp_path / "x.log.1").read_bytes() == b"old" * 10
    limit_log(file, limit=20)
    assert file.read_bytes() == b"new"


def test_a_damaged_state_file_counts_as_none(tmp_path: Path) -> None:
    """A disk that was full or a power cut."""
    run_folder(tmp_path).mkdir()
    (run_folder(tmp_path) / "up.json").write_text('{"servers": {"kafka"')
    assert read_state(tmp_path).servers == {}


def keys(model: BaseModel, prefix: str = "TOCSIN") -> set[str]:
    found = set()
    for name in type(model).model_fields:
        value = getattr(model, name)
        variable = f"{prefix}_{name.upper()}" if prefix == "TOCSIN" else f"{prefix}__{name.upper()}"
        found |= keys(value, variable) if isinstance(value, BaseModel) else {variable}
    return found


def test_the_listing_has_every_setting_and_no_secret(tmp_path: Path) -> None:
    """And is TOML."""
    settings = Settings(
        home=tmp_path,
        redis={"url": "redis://u:very-secret@h/0"},
        kafka={"sasl_password": "very-secret"},
        worker={"shadow": (tmp_path / "on-trial",)},
        console={"cohorts": {"glioma-survival": tmp_path}},
    )
    text = listing(settings)
    assert "very-secret" not in text
    assert {key for key in keys(settings) if f"[{key}]" not in text} == set()
    parsed = tomllib.loads(text)
    assert parsed["redis"]["url"] == "***"
    assert parsed["kafka"]["partitions"] == settings.kafka.partitions
    assert parsed["worker"]["shadow"] == [str(tmp_path / "on-trial")]
    assert parsed["console"]["cohorts"] == {"glioma-survival": str(tmp_path)}


def test_the_listing_of_defaults_can_be_used_as_the_settings_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tocsin doctor --settings > tocsin.toml`."""
    settings = load()
    (tmp_path / "tocsin.toml").write_text(listing(settings))
    assert load() == settings


def setup_with(path: Path) -> subprocess.CompletedProcess[str]:
    """Run the setup script of an empty project with nothing but `path` on PATH."""
    script = path.parent / "project" / "deploy" / "setup.py"
    script.parent.mkdir(parents=True)
    script.write_bytes((ROOT / "deploy" / "setup.py").read_bytes())
    return subprocess.run(
        [sys.executable, str(script)],
        env=dict(os.environ, PATH=str(path)),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("3.9 yes /usr/bin/python3", "python3 is 3.9"),
        ("3.11 no /usr/bin/python3", "apt-get install python3.11-venv"),
        ("", "none on PATH"),
    ],
)
def test_setup_says_which_python_to_install(tmp_path: Path, answer: str, sentence: str) -> None:
    """Too old, without venv, or a stub that only complains."""
    stub = tmp_path / "bin" / "python3"
    stub.parent.mkdir()
    stub.write_text(f"#!/bin/sh\necho {answer}\n" if answer else "#!/bin/sh\nexit 127\n")
    stub.chmod(0o755)
    run = setup_with(stub.parent)
    assert run.returncode == 1
    assert "No usable Python was found" in run.stderr
    assert sentence in run.stderr
    assert "Traceback" not in run.stderr
