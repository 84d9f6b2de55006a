"""`up` and `down` with real servers and small stand-ins for Tocsin's processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors.topics import ALL
from streams.doctor import Level, examine, running
from streams.local import topics
from streams.local import up as up_module
from streams.local.errors import LocalError
from streams.local.probes import process_ready, redis_round_trip
from streams.local.process import Pid
from streams.local.state import (
    Command,
    locked,
    read_running,
    read_state,
    run_folder,
    write_state,
)
from streams.local.up import Endpoints, down, is_up, up
from streams.settings import Settings

DUMMY = Path(__file__).with_name("dummy.py")
pytestmark = [
    pytest.mark.kafka,
    pytest.mark.redis,
    pytest.mark.usefixtures("no_tocsin_environment"),
]


def dummy(name: str, mode: str = "ready") -> Command:
    return Command(name, (sys.executable, str(DUMMY), mode))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    down(tmp_path / "home")


@pytest.fixture
def named(home: Path, kafka: str, redis_url: str) -> Settings:
    """Settings that name running servers: only the processes are ours."""
    return Settings(home=home, kafka={"bootstrap": kafka}, redis={"url": redis_url})


def wait(what: Callable[[], bool], timeout_s: float = 90.0) -> None:
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def pids(home: Path) -> dict[str, Pid | None]:
    return {name: process.pid for name, process in read_running(home).items()}


def metrics_port(endpoints: Endpoints, name: str) -> int:
    return int(endpoints.metrics[name].rpartition(":")[2].split("/")[0])


@pytest.mark.slow
def test_everything_starts_is_used_restarts_what_died_and_stops(home: Path) -> None:
    """The whole life of a local run, servers included."""
    settings = Settings(home=home)
    lines: list[str] = []
    first = up(settings, processes=[dummy("one"), dummy("two", "late")], progress=lines.append)
    state = read_state(home)
    servers = dict(state.servers)
    assert set(servers) == {"kafka", "redis"}
    assert all(pid.alive() for pid in servers.values())
    told = json.loads(first.to_json())
    assert (told["dicom"], told["http"]) == (first.dicom, first.http)
    written = json.loads((home / "environment-ready.json").read_text())
    assert written["TOCSIN_KAFKA__BOOTSTRAP"] == first.kafka
    assert written["TOCSIN_REDIS__URL"] == first.redis
    assert first.mllp.endswith(":" + written["TOCSIN_MLLP__PORT"])
    assert first.console.endswith(":" + written["TOCSIN_CONSOLE__PORT"])
    assert first.dicom.endswith(":" + written["TOCSIN_IMAGING__PORT"])
    assert first.http.endswith(":" + written["TOCSIN_HTTP__PORT"])
    problems = [f for f in examine(settings) if f.level == Level.PROBLEM and f.check != "bundles"]
    assert problems == []

    # A second `up` changes nothing and says so.
    lines.clear()
    again = up(settings, processes=[dummy("one"), dummy("two", "late")], progress=lines.append)
    assert again == first
    assert "nothing to do" in lines[-1]
    assert read_state(home).servers == servers

    # Redis dies: just Redis is started, on the same port, with its data.
    os.kill(servers["redis"].pid, signal.SIGKILL)
    wait(lambda: not servers["redis"].alive())
    assert any("redis" in f.message for f in examine(settings) if f.level == Level.PROBLEM)
    before = pids(home)
    assert up(settings, processes=[dummy("one"), dummy("two", "late")]) == first
    assert read_state(home).servers["kafka"] == servers["kafka"]
    assert pids(home) == before

    said = down(home)
    assert not servers["kafka"].alive()
    assert not any(pid.alive() for pid in before.values() if pid)
    assert {"stopped one", "stopped two", "stopped kafka", "stopped redis"} <= {
        line.split(" (")[0] for line in said
    }
    assert down(home) == ["nothing was up"]

    # The log survives: the topics are still there.
    restarted: list[str] = []
    up(settings, processes=[], progress=restarted.append)
    assert not any("topics" in line for line in restarted)


def test_named_servers_are_used_and_left_running(named: Settings, home: Path) -> None:
    """`down` stops the processes only."""
    endpoints = up(named, processes=[dummy("one")])
    assert endpoints.kafka == named.kafka.bootstrap
    assert read_state(home).servers == {}
    assert is_up(home)
    assert json.loads((home / "endpoints.json").read_text())["kafka"] == endpoints.kafka
    down(home)
    assert not is_up(home)
    assert not (home / "endpoints.json").exists()
    redis_round_trip(named.redis.url.get_secret_value())


def test_up_waits_until_a_process_says_that_it_is_ready(named: Settings) -> None:
    """An open port is not enough."""
    endpoints = up(named, processes=[dummy("slow", "late")])
    assert process_ready("127.0.0.1", metrics_port(endpoints, "slow")) == ""


def test_a_process_that_dies_is_started_again(named: Settings, home: Path) -> None:
    """Without anyone asking, on the same port."""
    endpoints = up(named, processes=[dummy("one")])
    victim = pids(home)["one"]
    assert victim is not None
    os.kill(victim.pid, signal.SIGKILL)
    wait(lambda: pids(home)["one"] not in (None, victim))
    wait(lambda: process_ready("127.0.0.1", metrics_port(endpoints, "one")) == "")
    assert read_running(home)["one"].restarts == 1
    findings = list(running.processes(named))
    assert [f.level for f in findings] == [Level.WARNING]


def test_a_process_that_always_dies_fails_up_and_leaves_nothing(
    named: Settings, home: Path
) -> None:
    """One sentence with its last words and where its log is; the others are stopped again."""
    with pytest.raises(LocalError, match=r"bad ends again and again \(dummy: this cannot work\)"):
        up(named, processes=[dummy("good"), dummy("bad", "dies")])
    state = read_state(home)
    assert state.supervisor is None
    assert read_running(home) == {}


def test_a_process_that_never_gets_ready_fails_up(
    named: Settings, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it answered."""
    monkeypatch.setattr(up_module, "_READY_S", 2.0)
    with pytest.raises(LocalError, match="waiting for its round trip"):
        up(named, processes=[dummy("stuck", "never")])
    assert read_state(home).supervisor is None


def test_a_killed_supervisor_is_replaced_and_its_processes_adopted(
    named: Settings, home: Path
) -> None:
    """`up` goes on with what still runs; `down` then stops it."""
    up(named, processes=[dummy("one")])
    supervisor = read_state(home).supervisor
    process = pids(home)["one"]
    assert supervisor is not None
    assert process is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    wait(lambda: not supervisor.alive())
    assert process.alive()
    assert any("left one running" in f.message for f in running.processes(named))
    up(named, processes=[dummy("one")])
    assert pids(home)["one"] == process
    assert read_state(home).supervisor != supervisor
    down(home)
    assert not process.alive()


def test_down_stops_the_processes_of_a_killed_supervisor(named: Settings, home: Path) -> None:
    """Found by what it had noted."""
    up(named, processes=[dummy("one")])
    supervisor, process = read_state(home).supervisor, pids(home)["one"]
    assert supervisor is not None
    assert process is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    wait(lambda: not supervisor.alive())
    said = down(home)
    assert not process.alive()
    assert f"supervisor (pid {supervisor.pid}) had already ended" in said
    assert f"stopped one (pid {process.pid})" in said


def test_down_leaves_a_recycled_pid_alone(home: Path) -> None:
    """After a reboot someone else may have the number: it is known by its start as well."""
    with locked(home):
        state = read_state(home)
        state.servers["redis"] = Pid(os.getpid(), "another boot:17")
        write_state(home, state)
    assert down(home) == [f"redis (pid {os.getpid()}) had already ended"]


def test_changed_settings_restart_the_processes(named: Settings, home: Path) -> None:
    """They would otherwise go on with the old ones."""
    up(named, processes=[dummy("one")])
    before = pids(home)["one"]
    assert before is not None
    changed = named.model_copy(
        update={"worker": named.worker.model_copy(update={"cached_patients": 7})}
    )
    lines: list[str] = []
    up(changed, processes=[dummy("one")], progress=lines.append)
    assert any("settings have changed" in line for line in lines)
    assert not before.alive()
    environment = json.loads((home / "environment-ready.json").read_text())
    assert environment["TOCSIN_WORKER__CACHED_PATIENTS"] == "7"


def test_the_supervisor_ends_when_its_folder_is_removed(named: Settings, home: Path) -> None:
    """Nobody could stop its processes any more."""
    up(named, processes=[dummy("one")])
    process = pids(home)["one"]
    assert process is not None
    run_folder(home).rename(home / "gone")
    wait(lambda: not process.alive())


def test_a_process_that_was_given_up_gets_another_chance(
    named: Settings, home: Path, tmp_path: Path
) -> None:
    """Once the cause is gone, `up` starts just that process."""
    switch = tmp_path / "broken"
    script = f"test -e {switch} && exit 1; exec {sys.executable} {DUMMY} ready"
    commands = [dummy("good"), Command("weak", ("/bin/sh", "-c", script))]
    up(named, processes=commands)
    switch.touch()
    good, weak = pids(home)["good"], pids(home)["weak"]
    assert weak is not None
    os.kill(weak.pid, signal.SIGKILL)
    wait(lambda: read_running(home)["weak"].status == "gave up")
    assert any("only once a minute" in f.message for f in running.processes(named))
    switch.unlink()
    lines: list[str] = []
    up(named, processes=commands, progress=lines.append)
    assert "starting weak again" in lines
    assert pids(home)["good"] == good


def test_servers_of_a_killed_test_run_are_stopped(home: Path, kafka: str) -> None:
    """A killed process cannot do it itself. Redis alone stands for both."""
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from streams.local.up import start_servers\n"
        "from streams.settings import Settings\n"
        "settings = Settings(home=Path(sys.argv[1]), kafka={'bootstrap': sys.argv[2]})\n"
        "with start_servers(settings):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = str(Path(__file__).resolve().parents[3])
    run = subprocess.run(
        [sys.executable, "-c", code, str(home), kafka],
        env=os.environ | {"PYTHONPATH": root},
        check=False,
    )
    assert run.returncode == -signal.SIGKILL
    redis = read_state(home).servers["redis"]
    wait(lambda: not redis.alive())


def test_two_ups_at_once_do_not_collide(named: Settings, home: Path) -> None:
    """The second is told to wait."""
    with locked(home), pytest.raises(LocalError, match="Another `tocsin up`"):
        up(named, processes=[])


def test_topics_have_the_partitions_that_the_contract_needs(
    named: Settings, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Created by `up`; another number in the settings is refused afterwards."""
    up(named, processes=[])
    assert topics.create(named.kafka) == []
    other = named.kafka.model_copy(update={"partitions": named.kafka.partitions + 1})
    with pytest.raises(LocalError, match=r"set kafka.partitions to 4"):
        topics.create(other)
    assert topics.partitions(ALL[0], named.kafka) == topics.WIRE_PARTITIONS


def test_with_a_sign_in_the_issuer_is_one_of_the_processes(home: Path, named: Settings) -> None:
    """The console gets its address and secret; a second time nothing starts; it keeps its port."""
    processes = [dummy("console")]
    first = up(named, processes=processes, sign_in=True)
    before = pids(home)
    assert set(before) == {"console", "issuer"}
    described = f"{first.sign_in}/.well-known/openid-configuration"
    with urllib.request.urlopen(described) as answer:  # noqa: S310 - this machine
        assert json.load(answer)["issuer"] == first.sign_in
    assert ("sign-in", first.sign_in) in first.rows()
    again = up(named, processes=processes, sign_in=True)
    assert (again.sign_in, pids(home)) == (first.sign_in, before)


def test_a_sign_in_without_passwords_has_its_place(home: Path) -> None:
    """Not beside a real issuer, and not beyond this machine."""
    oidc = {"issuer": "https://login.example", "client_id": "tocsin"}
    with pytest.raises(LocalError, match="name an issuer already"):
        up(Settings(home=home, console={"oidc": oidc}), sign_in=True)
    with pytest.raises(LocalError, match="this machine alone"):
        up(Settings(home=home, console={"host": "0.0.0.0"}), sign_in=True)  # noqa: S104
    assert not is_up(home)
