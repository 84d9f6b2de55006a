"""Who reads the log of a process sees what is tried again, and why."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest
import stamina
from stamina.instrumentation import set_on_retry_hooks

from streams.telemetry import log_to_stderr


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, hook = list(root.handlers), root.level, sys.excepthook
    yield
    sys.excepthook = hook
    root.handlers[:] = handlers
    root.setLevel(level)
    set_on_retry_hooks(None)


def test_a_retry_names_what_failed_and_how_but_not_with_which_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log_to_stderr("worker", "INFO")
    fails = iter([True, False])

    @stamina.retry(on=ConnectionError, wait_initial=0.0, wait_jitter=0.0)
    def store() -> None:
        if next(fails):
            raise ConnectionError("HSET patient Miller")

    store()
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert "store failed (ConnectionError)" in line["message"]
    assert line["level"] == "WARNING"
    assert "Miller" not in line["message"]
