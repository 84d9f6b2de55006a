"""The short form of `make chaos` for every run of the tests: a few seeds, real servers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.run import Batch, Report
from tests.chaos.system import System, running

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with tempfile.TemporaryDirectory(prefix="tocsin-chaos-") as folder, running(Path(folder)) as s:
        yield s


@pytest.fixture(scope="module")
def batch(system: System) -> Iterator[Batch]:
    batch = Batch(system, seed=1)
    yield batch
    batch.close()


def check(report: Report) -> None:
    assert not report.broken
    assert not report.waiting
    assert report.alerts, "a run without any alert proves nothing"


def test_an_undisturbed_run_is_as_the_reference_says(batch: Batch) -> None:
    check(batch.run(-1, undisturbed=True))


@pytest.mark.parametrize("fault", ["kill worker", "empty redis", "zombie worker"])
def test_nothing_is_lost_doubled_or_changed(system: System, batch: Batch, fault: str) -> None:
    check(batch.run_with(fault))
    system.wait_ready()


def test_another_worker_goes_on_for_a_killed_one(batch: Batch) -> None:
    """By the other worker: the killed one is not started before that. Usually in four seconds
    (docs/reliability.md); no limit is kept here, since other tests may have the machine."""
    assert batch.take_over(0) > 0.0
