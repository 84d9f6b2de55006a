"""Fixtures for all tests: real servers, started once, and the data beside the checkout."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from streams.local import chromium as chromium_module
from streams.local.up import start_servers
from streams.settings import Settings
from tests import leftovers

# How long an example takes says how busy the machine is, and nothing about the code. In CI the same
# examples come every time: it judges a change; new examples are looked for where somebody works.
IN_CI = bool(os.environ.get("CI"))
hypothesis_settings.register_profile(
    "tocsin",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=IN_CI,
)
hypothesis_settings.load_profile("tocsin")

ROOT = Path(__file__).resolve().parents[1]
# Taken out of the environment: the settings refuse variables that name no setting.
_SHARED = os.environ.pop("TOCSIN_SHARED", "")
WITH_OTHERS = frozenset({"kafka", "redis", "browser"})  # marks of tests that start servers
CHROMIUM_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In CI, a test with real servers or a browser that fails is asked once more.

    It is reported as R, with what it said the first time. Elsewhere a failure is a failure.
    """
    for item in items:
        if IN_CI and WITH_OTHERS & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Whatever real servers the tests start do not outlive them, even when they are killed."""
    names = {mark.name for item in session.items for mark in item.iter_markers()}
    if WITH_OTHERS & names and not session.config.option.collectonly:
        watcher = leftovers.watch()
        session.config.add_cleanup(lambda: leftovers.end(watcher))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was wrong the first time with a test that was asked twice."""
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"asked again: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)


@pytest.fixture(scope="session")
def servers() -> Iterator[tuple[str, str]]:
    """Bootstrap string and Redis URL of real servers, started for this run of the tests."""
    # Not pytest's tmp_path: it would keep the log of the last three runs.
    with tempfile.TemporaryDirectory(prefix="tocsin-test-") as folder:
        settings = Settings(home=Path(folder), kafka={"bootstrap": ""}, redis={"url": ""})
        with start_servers(settings) as started:
            yield started


@pytest.fixture(scope="session")
def kafka(servers: tuple[str, str]) -> str:
    """Bootstrap string of a real broker; use `topic_prefix` for names of your own."""
    return servers[0]


@pytest.fixture(scope="session")
def redis_url(servers: tuple[str, str]) -> str:
    """URL of a real Redis, database 0, shared by all tests of the run."""
    return servers[1]


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that no other test uses: `prefix + "facts"`."""
    return f"test-{uuid.uuid4().hex[:12]}."


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public data sets beside the checkout (or where TOCSIN_SHARED says)."""
    folder = Path(_SHARED) if _SHARED else ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip(f"needs the public data sets in {folder} (TOCSIN_SHARED names another folder)")
    return folder


@pytest.fixture(scope="session")
def chromium() -> tuple[Path, tuple[str, ...]]:
    """Path of a Chromium and the arguments to run it with. In CI it must be there."""
    path = chromium_module.find()
    if path is None:
        reason = f"needs Chromium: `{chromium_module.INSTALL}`"
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)
    return path, CHROMIUM_ARGUMENTS


@pytest.fixture
def no_tocsin_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], None]:
    """Settings come from the test alone: no TOCSIN_* variables, no tocsin.toml."""

    def clear() -> None:
        for name in [n for n in os.environ if n.startswith("TOCSIN_")]:
            monkeypatch.delenv(name)
        monkeypatch.chdir(tmp_path)

    clear()
    return clear
