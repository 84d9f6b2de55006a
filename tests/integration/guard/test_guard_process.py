"""`tocsin guard` as a process on real Kafka and Redis: a roll-out is halted by its alert rate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer
from msgspec.structs import replace
from redis import Redis

from connectors import contract, topics
from connectors.clock import wall_clock
from connectors.configuration import VersionState
from connectors.journal import KafkaJournal
from connectors.settings import KafkaSettings
from models.record import Presence
from models.rule import alert_rules
from streams import keys
from streams.codec import Summary
from streams.guard.process import WHO
from streams.local import topics as topics_module
from streams.policy.desk import PolicyDesk
from streams.settings import Settings
from tests.integration.delivery.conftest import KEY, PARTITIONS
from tests.unit.sinks.alerts import alert
from tests.unit.sinks.peers import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

RISK = "deterioration"
BAND = f"expected: [{{risk: {RISK}, wards: [W1], per_patient_day: [0, 1]}}]\n"


@pytest.fixture
def journal(kafka: str) -> Iterator[KafkaJournal]:
    settings = KafkaSettings(bootstrap=kafka, partitions=PARTITIONS)
    topics_module.create(settings)
    found = KafkaJournal(settings)
    yield found
    found.close()


@pytest.fixture
def desk(journal: KafkaJournal) -> Iterator[PolicyDesk]:
    rules = alert_rules(None, Settings().worker.risks)
    found = PolicyDesk(journal, list(rules.items()), wall_clock, two_person=False)
    yield found
    while found.in_force()[0]:  # the topic is shared with other tests
        found.roll_back(who="test", reason="the test is over")


def in_force(desk: PolicyDesk, text: str) -> str:
    name = desk.propose(text, who="ann", reason="another threshold").name
    desk.approve(name, who="bob")
    return desk.activate(name, who="ann").name


def raise_alerts(kafka: str, version: str, numbers: range) -> None:
    """As the worker does, each of another patient of W1."""
    producer = Producer(KafkaSettings(bootstrap=kafka).client() | {"acks": "all"})
    for number in numbers:
        one = replace(
            alert(alert_id=f"{number:024x}", patient=f"p-{number}", ward="W1"),
            threshold=contract.Threshold(value=0.35, version=version),
        )
        partition = topics.partition_of(one.patient, PARTITIONS)
        producer.produce(topics.ALERTS, contract.encode(one), key=one.patient, partition=partition)
    assert producer.flush(30) == 0


@pytest.fixture
def versions(desk: PolicyDesk) -> tuple[str, str]:
    """Two that came into force, one after the other."""
    before = in_force(desk, f"risks: {{{RISK}: {{fire: 0.5}}}}\n" + BAND)
    return before, in_force(desk, f"risks: {{{RISK}: {{fire: 0.3}}}}\n" + BAND)


@pytest.fixture
def guard(kafka: str, redis_url: str, tmp_path: Path, versions: tuple[str, str]) -> Iterator[Path]:
    """The process, over the second version; its log."""
    file = tmp_path / "guard.log"
    environment = dict(os.environ) | {
        "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
        "TOCSIN_HOME": str(tmp_path),
        "TOCSIN_IDENTITY__KEY": KEY,
        "TOCSIN_KAFKA__BOOTSTRAP": kafka,
        "TOCSIN_KAFKA__PARTITIONS": str(PARTITIONS),
        "TOCSIN_REDIS__URL": redis_url,
    }
    with file.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "streams.cli", "guard"],
            env=environment,
            cwd=tmp_path,
            stdout=out,
            stderr=out,
        )
        try:
            yield file
            process.terminate()
            assert process.wait(90) == 0, file.read_text()
        finally:
            process.kill()
            process.wait()


def lie(redis: Redis, patients: int) -> None:
    """So many patients lie in W1."""
    for number in range(patients):
        summary = Summary(
            patient=f"p-{number}",
            ward="W1",
            bed="",
            as_of="2026-01-01T12:00:00.000Z",
            presence=Presence.PRESENT,
            probabilities={},
            open_alerts=[],
        )
        place = keys.summaries(topics.partition_of(summary.patient, PARTITIONS))
        redis.hset(place, summary.patient, msgspec.json.encode(summary))


def rolled_back(journal: KafkaJournal) -> list[dict[str, str]]:
    records = [json.loads(stored.value) for stored in journal.read(topics.AUDIT, {})]
    return [r for r in records if r["event"] == "policy_rolled_back" and r["who"] == WHO]


def test_a_roll_out_that_raises_too_many_alerts_is_taken_back_and_it_is_written_down(
    kafka: str,
    redis: Redis,
    journal: KafkaJournal,
    desk: PolicyDesk,
    versions: tuple[str, str],
    guard: Path,
) -> None:
    """The version before it counts again; who did it, and why, is on `tocsin.audit`."""
    lie(redis, 40)
    before, version = versions
    until(lambda: f"watching over version {version}" in guard.read_text())
    raise_alerts(kafka, before, range(100, 160))  # not of this version
    raise_alerts(kafka, version, range(200, 230))
    until(lambda: desk.in_force()[0] == before)
    taken = desk.history().versions[version]
    assert taken.state is VersionState.ROLLED_BACK
    step = taken.events[-1]
    assert step.who == WHO
    assert step.reason.startswith("halted, too many: ")
    assert f" alerts of {RISK} in " in step.reason
    until(lambda: len(rolled_back(journal)) == 1)  # written after the version's own record
    (audited,) = rolled_back(journal)
    assert (audited["version"], audited["reason"]) == (version, step.reason)
