"""The running system, once for each module that asks for it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.system import System, running


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """Kafka, Redis and every process of Tocsin, in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="tocsin-system-") as folder, running(Path(folder)) as s:
        yield s
