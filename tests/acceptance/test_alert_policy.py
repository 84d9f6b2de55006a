"""Alerts that people act on, and a policy that comes into force and goes, in the running system."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from connectors import contract, feedback, topics
from connectors.clock import wall_clock
from connectors.contract import Alert, AlertReason, AlertState
from connectors.feedback import Action, Outcome
from connectors.journal import KafkaJournal
from connectors.kafka import KafkaLog
from connectors.settings import KafkaSettings
from models.bundle import load_risks, read, write
from models.rule import SHIPPED, alert_rules
from streams.backtest import recorded
from streams.feedback_desk import FeedbackDesk
from streams.policy.desk import PolicyDesk
from tests.acceptance.system import (
    DYING,
    System,
    admission,
    results,
    running,
    send,
    wait_for,
)

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(600)]


def kafka(system: System) -> KafkaSettings:
    return system.settings.kafka.model_copy(update={"bootstrap": system.endpoints.kafka})


def alerts(system: System, bed: str) -> list[Alert]:
    """Of the one risk that the policies below are about."""
    return [a for a in system.alerts() if a.bed == bed and a.risk == "deterioration"]


def newest(system: System, bed: str) -> Alert:
    return alerts(system, bed)[-1]


def until(system: System, bed: str, *state: AlertState) -> Alert:
    def there() -> Alert | None:
        found = alerts(system, bed)[-1:]
        return found[0] if found and found[0].state in state else None

    return wait_for(there, f"the alert is {' or '.join(state)}")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """With a bundle on trial beside the active one, and one that does not fit."""
    shipped = read(SHIPPED / "deterioration", "deterioration")
    folder = tmp_path_factory.mktemp("trial")
    higher = {**shipped.tensors, "levels": shipped.tensors["levels"] + 0.5}
    write(folder / "higher", dataclasses.replace(shipped, tensors=higher))
    other = {**shipped.answers, "contract": {**shipped.answers["contract"], "window_s": 60}}
    write(folder / "other", dataclasses.replace(shipped, answers=other))
    shadow = (folder / "higher", folder / "other")
    with (
        tempfile.TemporaryDirectory(prefix="tocsin-system-") as home,
        running(Path(home), shadow=shadow) as found,
    ):
        yield found


@pytest.fixture(scope="module")
def desk(system: System) -> Iterator[PolicyDesk]:
    journal = KafkaJournal(kafka(system))
    rules = alert_rules(None, system.settings.worker.risks)
    yield PolicyDesk(journal, list(rules.items()), wall_clock, two_person=False)
    journal.close()


def command(system: System, *argv: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TOCSIN_HOME": str(system.home)}
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", *argv],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


async def test_from_the_alert_to_its_reproduction(system: System, desk: PolicyDesk) -> None:
    # It fires.
    now = time.time()
    await send(system, admission("901", now - 3_600, bed="B901"))
    await send(system, results("901", now - 60, DYING))
    alert = until(system, "B901", AlertState.FIRING)
    assert (alert.calls, alert.called, alert.group) == (True, 1, "deterioration")

    # Somebody takes care; the second click changes nothing; rubbish is set aside.
    log = KafkaLog(kafka(system), client_id="test")
    hands = FeedbackDesk(log, wall_clock)
    for _ in range(2):
        await hands.acknowledge(alert, who="ann", click="click-901")
    producer = Producer({"bootstrap.servers": system.endpoints.kafka})
    producer.produce(topics.FEEDBACK, b"rubbish")
    producer.flush(60)
    taken = until(system, "B901", AlertState.ACKNOWLEDGED)
    assert (taken.acknowledged_by, taken.revision) == ("ann", 2)
    answers = wait_for(
        lambda: found if len(found := _answers(system, "click-901")) == 2 else None,
        "both clicks are answered",
    )
    assert answers == ["done", "repeated"]
    wait_for(
        lambda: [q for q in system.quarantine() if q.reason == "bad_feedback"], "it is set aside"
    )

    # A policy comes into force without a restart, survives the worker's death, and is taken back.
    desk.propose("risks: {deterioration: {fire: 0.999, critical: 0.9991}}", who="ann", reason="x")
    desk.approve("1", who="bob")
    version = desk.activate("1", who="ann").name
    ended = until(system, "B901", AlertState.RESOLVED)
    assert (ended.reason, ended.threshold.version) == ("threshold_changed", version)
    worker = system.process("worker")
    worker.kill()
    wait_for(lambda: system.process("worker").pid != worker.pid, "another worker runs")
    await send(system, results("901", now - 30, {"heart rate": 149.0}))
    wait_for(
        lambda: [s for s in system.scores() if s.patient == alert.patient and s.config == version][
            1:
        ],
        "the next score goes by the policy",
    )
    assert newest(system, "B901") == ended
    desk.roll_back(who="bob", reason="it misses everybody")
    again = until(system, "B901", AlertState.FIRING)
    assert (again.alert_id, again.revision) == (alert.alert_id, ended.revision + 1)
    assert again.threshold == alert.threshold

    # All of it comes out of the log again, to the byte.
    await send(system, results("902", now, DYING), admission("902", now - 60, bed="B902"))
    system.settle()
    done = command(system, "reproduce", alert.alert_id, "--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["revision"], line["same"]) for line in lines] == [
        (n, True) for n in range(1, again.revision + 1)
    ]
    await log.close()


def _answers(system: System, click: str) -> list[str]:
    records = [json.loads(value) for _, _, value in system.read(topics.AUDIT)]
    return [r["answer"] for r in records if r.get("event") == "feedback" and r["id"] == click]


def test_what_the_desk_shows_is_what_the_command_shows(system: System, desk: PolicyDesk) -> None:
    history = command(system, "thresholds", "history", "--json")
    assert history.returncode == 0, history.stderr
    states = [json.loads(line)["state"] for line in history.stdout.splitlines()]
    assert states == [v.state for v in desk.history().versions.values()]
    assert command(system, "thresholds", "show").returncode == 0
    nothing = command(system, "reproduce", "no-such-alert")
    assert nothing.returncode == 1
    assert "holds no alert no-such-alert" in nothing.stderr.replace("\n", " ")


def test_feedback_of_nobody_is_answered(system: System) -> None:
    producer = Producer({"bootstrap.servers": system.endpoints.kafka})
    action = feedback.Feedback(
        id="click-x",
        patient="nobody",
        alert_id="none",
        risk="deterioration",
        revision=1,
        action=Action.ACKNOWLEDGE,
        at=time.time(),
        who="ann",
    )
    producer.produce(topics.FEEDBACK, feedback.encode(action), key="nobody")
    producer.flush(60)
    wait_for(lambda: _answers(system, "click-x") == ["unknown"], "it is answered")
    assert not [k for k in system.patient_keys() if b"nobody" in k]


async def test_a_back_test_of_what_was_in_force_gives_the_alerts_that_were_told(
    system: System, desk: PolicyDesk, tmp_path: Path
) -> None:
    """Byte for byte, over everything that the tests above have done to the system."""
    system.settle()
    journal = KafkaJournal(kafka(system))
    log = recorded.read_log(journal, system.settings.kafka.partitions)
    live = recorded.told_live(journal)
    journal.close()
    models = load_risks(None, system.settings.worker.risks)
    again = await recorded.replayed(log, models)
    assert again.alerts == live
    told = [contract.decode_alert(live[key]) for key in sorted(live)]
    assert [a.reason for a in told if a.bed == "B901" and a.risk == "deterioration"] == [
        AlertReason.ABOVE_THRESHOLD,
        AlertReason.ACKNOWLEDGED,
        AlertReason.THRESHOLD_CHANGED,
        AlertReason.ABOVE_THRESHOLD,
    ]
    policy = tmp_path / "trial.yaml"
    policy.write_text("risks: {deterioration: {fire: 0.999, critical: 0.9991}}")
    done = command(system, "backtest", str(policy), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert f"{len(live)} of the {len(live)}" in found["notes"][1]
    assert found["after"]["all"]["alerts"] == 0
    assert len(found["differences"]["no_longer"]) >= 1
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!doctype html>")


async def test_a_bundle_on_trial_is_compared_with_the_active_one(
    system: System, tmp_path: Path
) -> None:
    """Whoever is on trial scores all that the tests above have brought; nobody is told of it."""
    log = (system.home / "log" / "worker.log").read_text()
    assert "a bundle on trial is not used" in log
    assert "window_s is 60" in log, "with the difference"

    hands = FeedbackDesk(to := KafkaLog(kafka(system), client_id="test"), wall_clock)
    for bed, outcome in (("B901", Outcome.EVENT), ("B902", Outcome.NO_EVENT)):
        await hands.outcome(newest(system, bed), who="ann", click=f"out-{bed}", outcome=outcome)
    await to.close()
    for bed in ("B901", "B902"):
        wait_for(lambda b=bed: _answers(system, f"out-{b}"), "it is answered")  # type: ignore[misc]
    figures, page = tmp_path / "compare.json", tmp_path / "compare.html"
    done = command(system, "compare", "--json", str(figures), "--html", str(page))
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(figures.read_text())
    recorded = {(s.log.partition, s.log.offset, s.patient): s for s in system.scores() if s.shadow}
    assert found["scores"] == len(recorded) > 2
    assert found["shadow"] in {s.model for s in recorded.values()}
    assert found["log_odds_difference"]["mean"] == pytest.approx(0.5, abs=1e-3)
    assert (found["outcomes"]["patients"], found["outcomes"]["events"]) == (2, 1)
    assert found["outcomes"]["difference"]["brier"]["value"] is not None
    assert "<svg" in page.read_text()
    assert not [a for a in system.alerts() if a.score.shadow]
