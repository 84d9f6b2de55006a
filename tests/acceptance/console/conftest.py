"""A console in its own process, and a page of Chromium that may talk to it alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[3]


class FakeServer:
    """`tests.acceptance.console.fake_server` as a child."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.console.fake_server", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self._line()

    def tell(self, command: str) -> Any:
        """Make something happen; returns the command's result."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer = self._line()
        assert answer.startswith("ok "), answer
        return json.loads(answer.removeprefix("ok "))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def kill(self) -> None:
        """The machine room loses power."""
        self._process.kill()
        self._reap()

    def stop(self) -> int:
        """The orderly end; returns the exit code."""
        if self._process.poll() is None and self._process.stdin is not None:
            self._process.stdin.close()
        return self._reap()

    def _reap(self) -> int:
        code = self._process.wait(timeout=60)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return code

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise AssertionError(f"the console ended with {self._process.wait(timeout=60)}")
        return line


def wait_for_text(page: Any, selector: str, words: str) -> None:
    """Until the element says so: what changes on a page does not all change at once."""
    page.wait_for_function(
        "([where, words]) => (document.querySelector(where)?.innerText ?? '')"
        ".replace(/\\s+/g, ' ').includes(words)",
        arg=[selector, words],
    )


def wait_for_title(page: Any, title: str) -> None:
    """Until the window is called that."""
    page.wait_for_function("title => document.title === title", arg=title)


def wait_for_rows(page: Any, condition: str) -> None:
    """Until the table has so many rows: `=== 2`, `> 400`."""
    page.wait_for_function(f"document.querySelectorAll('tbody tr').length {condition}")


@pytest.fixture
def start_console() -> Iterator[Callable[..., FakeServer]]:
    """Start a console with arguments of `fake_server`; it is stopped after the test."""
    started: list[FakeServer] = []

    def start(*arguments: str) -> FakeServer:
        server = FakeServer(*arguments)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def console() -> Iterator[FakeServer]:
    """One small hospital for tests that only look."""
    server = FakeServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser(chromium: tuple[Path, tuple[str, ...]]) -> Iterator[Any]:
    """Chromium, shared by a module. Playwright's own event loop must be gone before others run."""
    path, arguments = chromium
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(path), args=list(arguments))
        yield launched
        launched.close()


@pytest.fixture
def new_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Pages in contexts of their own. Afterwards: no request left the machine, no script failed."""
    contexts: list[Any] = []
    elsewhere: list[str] = []
    failures: list[str] = []

    def asked(request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            elsewhere.append(request.url)

    def open_page(width: int = 1440, height: int = 900) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        context.on("request", asked)
        page = context.new_page()
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.set_default_timeout(60_000)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert elsewhere == []
    assert failures == []
