"""What `up` has started, kept in `<home>/run` so that `down` stops exactly that."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import msgspec

from streams.local.errors import LocalError
from streams.local.process import Pid


class Command(NamedTuple):
    """One Tocsin process: its name and how it is started."""

    name: str
    argv: tuple[str, ...]


class Planned(msgspec.Struct, frozen=True):
    """One Tocsin process and where it says that it is ready."""

    name: str
    argv: tuple[str, ...]
    metrics_port: int


class Plan(msgspec.Struct, frozen=True):
    """What the supervisor keeps running."""

    processes: tuple[Planned, ...]
    metrics_host: str
    mllp: str  # host:port
    console: str  # URL
    settings: str  # digest of the settings and commands that the processes run with
    variables: dict[str, str]  # environment variables that hold no secret
    dicom: str = ""  # host:port; a note of an older version has none
    http: str = ""  # URL


class State(msgspec.Struct):
    """What `up` started. Written by `up` and `down` only, under the lock."""

    servers: dict[str, Pid] = {}  # kafka, redis
    supervisor: Pid | None = None
    plan: Plan | None = None
    ports: dict[str, int] = {}  # the last ones used, taken again when free


class Running(msgspec.Struct):
    """One process as its supervisor sees it."""

    status: Literal["running", "waiting", "gave up"] = "waiting"
    pid: Pid | None = None
    restarts: int = 0
    since: float = 0.0  # of the last change, epoch seconds


_Stored = TypeVar("_Stored", State, Plan, dict[str, Running])


def run_folder(home: Path) -> Path:
    """Where the state is kept."""
    return home / "run"


def log_folder(home: Path) -> Path:
    """Where every process logs to `NAME.log`."""
    return home / "log"


def read_state(home: Path) -> State:
    """What `up` noted; nothing when it never ran or neither of two copies can be read."""
    folder = run_folder(home)
    return _read(folder / "up.json", State) or _read(folder / "up.copy.json", State) or State()


def write_state(home: Path, state: State) -> None:
    """Replace the note."""
    for name in ("up.copy.json", "up.json"):  # `down` must find what runs, whatever happens
        _write(run_folder(home) / name, state)


def read_plan(home: Path) -> Plan | None:
    """What the supervisor shall keep running; None when it shall end."""
    return _read(run_folder(home) / "plan.json", Plan)


def write_plan(home: Path, plan: Plan | None) -> None:
    """Replace or remove the plan."""
    file = run_folder(home) / "plan.json"
    if plan is None:
        file.unlink(missing_ok=True)
    else:
        _write(file, plan)


def read_running(home: Path) -> dict[str, Running]:
    """Process name → how it is, as the supervisor last wrote it."""
    return _read(run_folder(home) / "processes.json", dict[str, Running]) or {}


def write_running(home: Path, running: dict[str, Running]) -> None:
    """Replace what the supervisor says; written by the supervisor, cleared by `down`."""
    _write(run_folder(home) / "processes.json", running)


def _read(file: Path, kind: type[_Stored]) -> _Stored | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError):
        # Written in one rename, so a damaged file is a disk's doing: nothing to go by.
        return None


def _write(file: Path, value: object) -> None:
    write_private(file, msgspec.json.format(msgspec.json.encode(value)).decode())


def write_private(file: Path, text: str) -> None:
    """Replace a file in one step, for the owner only: a URL in it may hold a password."""
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    temporary.replace(file)


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """One `up` or `down` at a time. Raises `LocalError` when another one is at work."""
    try:
        run_folder(home).mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)  # keys, logs and the data of both servers are in there
        file = (run_folder(home) / "lock").open("a+")
    except OSError as error:
        raise LocalError(
            f"The working folder {home} cannot be used ({error.strerror}): set `home` (or "
            "--home) to a folder of your own."
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalError(
                f"Another `tocsin up` or `down` is at work in {home}: wait until it has ended."
            ) from None
        yield
