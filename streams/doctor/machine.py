"""Checks of this machine: versions, disk, ports, what is installed."""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

from streams.doctor.finding import Findings, ok, problem, warning
from streams.local import chromium as chromium_module
from streams.local import jars, jvm
from streams.local import redis as redis_module
from streams.local.errors import LocalError
from streams.local.process import port_is_free, who_listens
from streams.local.state import read_running, read_state
from streams.settings import Settings

_OLDEST, _TOO_NEW = (3, 11), (3, 14)
_LITTLE_DISK, _TOO_LITTLE_DISK = 5.0, 1.0  # GB


def python(_settings: Settings) -> Findings:
    """The interpreter's version."""
    here = sys.version_info[:2]
    if _OLDEST <= here < _TOO_NEW:
        yield ok("python", f"Python {platform.python_version()}")
    else:
        yield problem(
            "python",
            f"Python {platform.python_version()} is not supported: install 3.11, 3.12 or 3.13 "
            "and run `make setup` again.",
        )


def kafka_here(settings: Settings) -> Findings:
    """Whether `up` could start Kafka, when no broker is named."""
    if settings.kafka.bootstrap:
        return
    try:
        jars.require()
        java = jvm.java()
    except LocalError as error:
        yield problem("kafka here", str(error))
    else:
        version = jvm.java_version(java)
        yield ok("kafka here", f"Apache Kafka {jars.KAFKA_VERSION} on Java {version} can be run")


def redis_here(settings: Settings) -> Findings:
    """Whether `up` could start Redis, when none is named."""
    if settings.redis.url.get_secret_value():
        return
    try:
        program = redis_module.program()
    except LocalError as error:
        yield problem("redis here", str(error))
    else:
        yield ok("redis here", f"Redis {redis_module.version(program)} can be run")


def disk(settings: Settings) -> Findings:
    """Free space where the working folder is or will be."""
    folder = _existing(settings.home)
    free = shutil.disk_usage(folder).free / 1e9
    text = f"{free:.1f} GB free in {folder}"
    advice = "make room, or set `home` to a folder on a larger disk."
    if free < _TOO_LITTLE_DISK:
        yield problem("disk", f"Only {text}: {advice}")
    elif free < _LITTLE_DISK:
        yield warning("disk", f"Only {text}, and the log of messages grows without limit: {advice}")
    else:
        yield ok("disk", text)


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def ports(settings: Settings) -> Findings:
    """Whether the ports that are set can be listened on."""
    if any(p.pid is not None and p.pid.alive() for p in read_running(settings.home).values()):
        yield ok("ports", "in use by Tocsin's own processes")
        return
    telemetry = settings.telemetry
    wanted = (
        ("mllp.port", settings.mllp.host, settings.mllp.port),
        ("imaging.port", settings.imaging.host, settings.imaging.port),
        ("http.port", settings.http.host, settings.http.port),
        ("console.port", settings.console.host, settings.console.port),
        ("telemetry.metrics_port", telemetry.metrics_host, telemetry.metrics_port),
    )
    for name, host, port in wanted:
        if not port:
            continue
        if port_is_free(port, host):
            yield ok("ports", f"{name} {port} is free")
        else:
            yield problem(
                "ports",
                f"{name} {port} is in use by {who_listens(port)}: stop that, set another port, "
                "or set 0 for any free one.",
            )
    if not any(port for _, _, port in wanted):
        yield ok("ports", "none is set: free ones are taken")


def chromium(_settings: Settings) -> Findings:
    """Only the browser tests need it."""
    path = chromium_module.find()
    if path:
        yield ok("chromium", str(path))
    else:
        yield warning(
            "chromium",
            f"Not installed, so the browser tests are skipped: `{chromium_module.INSTALL}`.",
        )


def bundles(settings: Settings) -> Findings:
    """Whether the models that the worker is to score with can be loaded."""
    try:
        from models.bundle import load_bundle, load_folder  # noqa: PLC0415 - loads torch
    except ModuleNotFoundError as error:
        yield warning(
            "bundles",
            f"Models cannot run here, {error.name} is not installed: run `make setup`, or leave "
            "the worker to another machine.",
        )
        return
    for risk in settings.worker.risks:
        try:
            load_bundle(settings.worker.bundles, risk)
        except (OSError, ValueError, KeyError) as error:
            yield problem(
                "bundles",
                f"The bundle of {risk} cannot be loaded ({error}): correct worker.bundles or "
                f"worker.risks, or train it with `tocsin train {risk}`.",
            )
        else:
            yield ok("bundles", f"{risk} can be loaded")
    for folder in settings.worker.shadow:
        try:
            shadow = load_folder(folder)
        except (OSError, ValueError, KeyError) as error:
            yield problem("bundles", f"worker.shadow names a folder that cannot be used: {error}")
        else:
            yield ok("bundles", f"{folder} can score {shadow.risk} in shadow")


def local_ports(settings: Settings) -> dict[str, int]:
    """Ports of the servers that `up` started and that still run, by name."""
    state = read_state(settings.home)
    return {
        name: state.ports[name]
        for name, pid in state.servers.items()
        if name in state.ports and pid.alive()
    }
