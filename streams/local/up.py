"""`tocsin up` and `tocsin down`: everything on this machine, ready to use, and stopped again."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import SecretStr

from connectors.settings import KafkaSettings
from streams.local import guard, topics
from streams.local import sign_in as development
from streams.local.environment import digest, variables
from streams.local.errors import LocalError
from streams.local.ports import choose_plan
from streams.local.probes import process_ready
from streams.local.process import Pid, spawn, stop, tail
from streams.local.servers import Servers, redacted, stop_server
from streams.local.state import (
    Command,
    Plan,
    State,
    locked,
    log_folder,
    read_running,
    read_state,
    write_plan,
    write_private,
    write_running,
    write_state,
)
from streams.settings import ENVIRONMENT_PREFIX, Settings

Progress = Callable[[str], None]

PROCESSES = tuple(
    Command(name, (sys.executable, "-m", "streams.cli", name))
    for name in ("mllp", "imaging", "http", "sequencer", "worker", "console")
)
SINKS = Command("sinks", (sys.executable, "-m", "streams.cli", "sinks"))  # if anybody is told
GUARD = Command("guard", (sys.executable, "-m", "streams.cli", "guard"))  # if it is set
_READY_S = 120.0
_ROOT = str(Path(__file__).resolve().parents[2])
_SUPERVISOR_STOP_S = 20.0
_HEED_S = 5.0
ENDPOINTS = "endpoints.json"  # in the working folder, while everything is up


@dataclass(frozen=True)
class Endpoints:
    """Where everything is that `up` started or found."""

    mllp: str  # host:port
    kafka: str  # host:port
    redis: str  # URL; may hold a password
    console: str  # URL
    dicom: str  # host:port
    http: str  # URL
    metrics: dict[str, str]  # process → URL of its metrics
    home: str
    sign_in: str = ""  # URL of the development issuer, where there is one

    def to_json(self) -> str:
        """As written by `up --json`."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def rows(self) -> list[tuple[str, str]]:
        """Name and address, without secrets, for people."""
        rows = [("console", self.console), ("mllp", self.mllp), ("dicom", self.dicom)]
        rows += [("http", self.http), ("kafka", self.kafka)]
        rows.append(("redis", redacted(self.redis)))
        rows += [("sign-in", self.sign_in)] if self.sign_in else []
        rows += [(f"metrics of {name}", url) for name, url in self.metrics.items()]
        return [*rows, ("home", self.home)]


def _quiet(_line: str) -> None:
    """No progress wanted."""


def wanted(settings: Settings) -> tuple[Command, ...]:
    """What runs with these settings."""
    sinks = (SINKS,) if settings.sinks.receivers else ()
    return (*PROCESSES, *sinks, *((GUARD,) if settings.policy.guard else ()))


def up(
    settings: Settings,
    *,
    processes: Sequence[Command] | None = None,
    progress: Progress = _quiet,
    sign_in: bool = False,
) -> Endpoints:
    """Start what does not run yet and return when all of it is ready.

    A second call is a no-op, or starts just what has died. Raises `LocalError` with one sentence;
    everything that this call had started is stopped again then. `processes` are those that the
    settings ask for unless others are named. With `sign_in` the console asks people who they are,
    at an issuer without passwords.
    """
    processes = wanted(settings) if processes is None else processes
    if sign_in:
        development.checked(settings)
    home = settings.home.resolve()
    with locked(home):
        return _Up(settings, home, processes, progress, sign_in=sign_in).run()


class _Up:
    """One run of `up`."""

    def __init__(
        self,
        settings: Settings,
        home: Path,
        processes: Sequence[Command],
        progress: Progress,
        *,
        sign_in: bool,
    ) -> None:
        self._home = home
        self._commands = processes
        self._sign_in = sign_in
        self._say = progress
        self._state = read_state(home)
        self._servers = Servers(settings, home, self._state, progress)
        self._settings = settings
        self._own_processes = False  # whether this run started the supervisor
        self._retried = False

    def run(self) -> Endpoints:
        try:
            bootstrap = self._servers.kafka()
            url = self._servers.redis()
            settings = self._with_servers(bootstrap, url)
            if self._sign_in:
                settings = self._with_sign_in(settings)
            self._topics(settings.kafka)
            plan = self._processes(settings)
        except BaseException:  # Ctrl-C as well: nothing half-started stays behind
            self._undo()
            raise
        if not (self._servers.started or self._own_processes or self._retried):
            self._say("everything is up already: nothing to do")
        endpoints = Endpoints(
            mllp=plan.mllp,
            kafka=bootstrap,
            redis=url,
            console=plan.console,
            dicom=plan.dicom,
            http=plan.http,
            metrics={
                p.name: f"http://{plan.metrics_host}:{p.metrics_port}/metrics"
                for p in plan.processes
            },
            home=str(self._home),
            sign_in=development.url(self._state.ports) if self._sign_in else "",
        )
        write_private(self._home / ENDPOINTS, endpoints.to_json())
        return endpoints

    def _with_servers(self, bootstrap: str, url: str) -> Settings:
        kafka = self._settings.kafka.model_copy(update={"bootstrap": bootstrap})
        redis = self._settings.redis.model_copy(update={"url": SecretStr(url)})
        return self._settings.model_copy(
            update={"home": self._home, "kafka": kafka, "redis": redis}
        )

    def _with_sign_in(self, settings: Settings) -> Settings:
        running = self._state.plan is not None and _living(self._home, self._state.supervisor)
        with_it = development.with_sign_in(settings, self._state.ports, running=running)
        self._commands = (*self._commands, development.command(self._state.ports))
        return with_it

    def _topics(self, kafka: KafkaSettings) -> None:
        created = topics.create(kafka)
        if created:
            self._say(f"created {len(created)} topics")

    def _processes(self, settings: Settings) -> Plan:
        secret = variables(settings)
        key = digest(secret, [list(c.argv) for c in self._commands])
        plan = self._state.plan
        supervisor = self._state.supervisor
        if plan is None or plan.settings != key:
            if plan is not None and _living(self._home, supervisor):
                self._say("the settings have changed: starting Tocsin's processes again")
                _stop_processes(self._home, self._state)
            plan, supervisor = choose_plan(settings, self._commands, key, self._state.ports), None
            self._state.plan = plan
            write_plan(self._home, plan)
        if supervisor is None or not supervisor.alive():
            self._start_supervisor(plan, secret)
        else:
            self._retry(supervisor)
        self._wait(plan)
        return plan

    def _start_supervisor(self, plan: Plan, environment: dict[str, str]) -> None:
        names = ", ".join(p.name for p in plan.processes)
        self._say(f"starting {names}")
        write_plan(self._home, plan)
        self._own_processes = True
        command = [sys.executable, "-m", "streams.local.supervisor", str(self._home)]
        log = log_folder(self._home) / "supervisor.log"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(ENVIRONMENT_PREFIX)}
        # The code that runs here is the code that they run, installed or not.
        path = os.pathsep.join([_ROOT, *filter(None, [inherited.get("PYTHONPATH")])])
        self._state.supervisor = spawn(command, log, inherited | environment | {"PYTHONPATH": path})
        write_state(self._home, self._state)

    def _retry(self, supervisor: Pid) -> None:
        running = read_running(self._home)
        given_up = [name for name, process in running.items() if process.status == "gave up"]
        if not given_up:
            return
        self._say(f"starting {', '.join(given_up)} again")
        self._retried = True
        os.kill(supervisor.pid, signal.SIGHUP)
        end = time.monotonic() + _HEED_S
        while any(p.status == "gave up" for p in read_running(self._home).values()):
            if time.monotonic() > end:
                raise LocalError(
                    "The supervisor does not react: run `tocsin down`, then `tocsin up`."
                )
            time.sleep(0.05)

    def _wait(self, plan: Plan) -> None:
        end = time.monotonic() + _READY_S
        waiting = {p.name: p for p in plan.processes}
        while waiting:
            running = read_running(self._home)
            for name, process in list(waiting.items()):
                log = log_folder(self._home) / f"{name}.log"
                problem = process_ready(plan.metrics_host, process.metrics_port)
                if not problem:
                    del waiting[name]
                    self._say(f"{name} is ready")
                elif name in running and running[name].status == "gave up":
                    raise LocalError(
                        f"{name} ends again and again ({tail(log, 1) or 'without a word'}): "
                        f"see {log}, correct the cause and run `tocsin up` again."
                    )
                elif time.monotonic() > end:
                    raise LocalError(
                        f"{name} did not become ready within {_READY_S:.0f} s ({problem}): "
                        f"see {log}, correct the cause and run `tocsin up` again."
                    )
            supervisor = self._state.supervisor
            if waiting and (supervisor is None or not supervisor.alive()):
                log = log_folder(self._home) / "supervisor.log"
                raise LocalError(f"The supervisor ended ({tail(log, 1)}): see {log}.")
            time.sleep(0.1)

    def _undo(self) -> None:
        if self._own_processes:
            _stop_processes(self._home, self._state)
        self._servers.undo()
        write_state(self._home, self._state)


def is_up(home: Path) -> bool:
    """Whether anything that `up` started in this working folder still runs."""
    state = read_state(home.resolve())
    return any(p.alive() for p in state.servers.values()) or _living(home, state.supervisor)


def _living(home: Path, supervisor: Pid | None) -> bool:
    if supervisor is not None and supervisor.alive():
        return True
    return any(p.pid is not None and p.pid.alive() for p in read_running(home).values())


def _stop_processes(home: Path, state: State) -> list[str]:
    """Stop the supervisor, which stops its processes, then whatever it left behind."""
    lines = []
    running = read_running(home)
    alive = {n: p.pid for n, p in running.items() if p.pid is not None and p.pid.alive()}
    write_plan(home, None)
    if state.supervisor is not None and not stop([state.supervisor], _SUPERVISOR_STOP_S):
        lines.append(f"supervisor (pid {state.supervisor.pid}) had already ended")
    # Read again: it may have restarted one meanwhile.
    left = [p.pid for p in read_running(home).values() if p.pid is not None]
    stop([*left, *alive.values()])
    for name, process in running.items():
        pid = f" (pid {process.pid.pid})" if process.pid else ""
        lines.append(f"stopped {name}{pid}" if name in alive else f"{name}{pid} had already ended")
    write_running(home, {})
    state.supervisor, state.plan = None, None
    (home / ENDPOINTS).unlink(missing_ok=True)
    return lines


def down(home: Path) -> list[str]:
    """Stop exactly what `up` started; what was done, a line each. Raises `LocalError`."""
    home = home.resolve()
    if not home.is_dir():
        return [f"nothing was started in {home}"]
    with locked(home):
        state = read_state(home)
        lines = _stop_processes(home, state) if state.supervisor or read_running(home) else []
        for name in ("kafka", "redis"):
            if name in state.servers:
                lines.append(stop_server(name, state.servers.pop(name)))
        write_state(home, state)
        (home / ENDPOINTS).unlink(missing_ok=True)
    return lines or ["nothing was up"]


@contextmanager
def start_servers(settings: Settings) -> Iterator[tuple[str, str]]:
    """Just Kafka and Redis, for tests and benchmarks: bootstrap and URL.

    Stopped at the end, also when this process is killed. Raises `LocalError`.
    """
    home = settings.home.resolve()
    with locked(home):
        servers = Servers(settings, home, read_state(home), _quiet)
        watcher = guard.start(home)
        try:
            yield servers.kafka(), servers.redis()
        finally:
            servers.undo()
            stop([watcher])
            with suppress(FileNotFoundError):
                write_state(home, servers.state)
