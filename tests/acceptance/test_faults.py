"""Processes killed, servers emptied and restarted under load: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio

import pytest

from connectors import contract, facts, topics
from connectors.contract import LogPosition
from connectors.simulator import run as simulator
from models.bundle import load_risks
from models.patient import Patient
from streams import codec
from streams.engine import Engine
from streams.state import PatientState
from streams.store import Fields
from tests.acceptance.system import System, wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(600)]


def undisturbed(system: System) -> tuple[dict[bytes, Fields], dict[tuple[str, int], bytes]]:
    """What the log says must be in Redis and must have been told: the oracle."""
    engine = Engine(load_risks(None, system.settings.worker.risks))
    states: dict[tuple[int, str], PatientState] = {}
    due: dict[tuple[int, str], float] = {}
    kept: dict[bytes, Fields] = {}
    told: dict[tuple[str, int], bytes] = {}
    for partition, offset, raw in system.read(topics.FACTS):
        record = facts.decode(raw)
        at = record.tick.at if record.tick else float("-inf")
        expired = sorted(n for (p, n), when in due.items() if p == partition and when <= at)
        names = {m.patient for m in record.messages}.union(expired)
        mine = {n: states.setdefault((partition, n), PatientState(Patient(n))) for n in names}
        log = LogPosition(topic=topics.FACTS, partition=partition, offset=offset)
        effects = engine.apply(mine, record, log, expired)
        for name, touched in effects.touched.items():
            key = f"tocsin:{{{partition}}}:patient:{name}".encode()
            scores = {s.risk: contract.encode(s) for s in effects.scores if s.patient == name}
            kept.setdefault(key, {}).update(codec.to_fields(touched, scores))
        for name, when in effects.due.items():
            due.pop((partition, name), None)
            if when is not None:
                due[partition, name] = when
        for alert in effects.alerts:
            told[alert.alert_id, alert.revision] = contract.encode(alert)
    return kept, told


def told_by(system: System) -> dict[tuple[str, int], bytes]:
    """Alerts as consumers keep them; a revision with two contents is a failure."""
    seen: dict[tuple[str, int], bytes] = {}
    for _, _, raw in system.read(topics.ALERTS):
        alert = contract.decode_alert(raw)
        assert seen.setdefault((alert.alert_id, alert.revision), raw) == raw
    return seen


async def hospital(system: System, seed: int, seconds: float) -> simulator.Counts:
    """A simulated ward under way for some seconds."""
    host, _, port = system.endpoints.mllp.rpartition(":")
    what = simulator.Run(patients=60, seed=seed, speed=600.0, duration=seconds)
    return await simulator.run(what, host, int(port))


async def check(system: System, counts: simulator.Counts) -> None:
    """Everything acknowledged is in the log, and what followed from it is what had to follow."""
    assert counts.sent
    assert counts.acknowledged == counts.sent
    assert len(system.read(topics.WIRE_HL7)) >= counts.acknowledged
    system.settle()
    kept, told = undisturbed(system)
    assert system.patient_keys() == kept
    wait_for(lambda: told_by(system).keys() >= told.keys(), "every alert is told")
    assert told_by(system) == told
    assert told, "a run without any alert proves nothing"


async def test_worker_sequencer_and_listener_killed_under_load(system: System) -> None:
    """Kill -9, one after another; the supervisor starts them again."""
    running = asyncio.create_task(hospital(system, 1, 20.0))
    for name in ("worker", "sequencer", "worker", "mllp"):
        await asyncio.sleep(4.0)
        await asyncio.to_thread(lambda name=name: system.process(name).kill())
    await check(system, await running)


async def test_redis_emptied_under_load_is_rebuilt_to_the_same_bytes(system: System) -> None:
    running = asyncio.create_task(hospital(system, 2, 12.0))
    await asyncio.sleep(5.0)
    await asyncio.to_thread(system.redis().flushall)
    await check(system, await running)


async def test_redis_emptied_while_the_worker_is_down(system: System) -> None:
    system.settle()
    before = system.patient_keys()
    assert before
    system.process("worker").kill()
    system.redis().flushall()
    wait_for(lambda: system.patient_keys() == before, "the state is rebuilt")


async def test_names_come_back_when_the_vault_was_emptied(system: System) -> None:
    """They are read again from the wire log, as soon as a message comes by."""
    redis = system.redis()
    patients = {m.patient.encode() for m in system.messages()}
    assert patients
    redis.flushall()
    await hospital(system, 3, 2.0)
    wait_for(lambda: patients <= set(redis.hkeys("tocsin:vault")), "the vault is complete")


async def test_broker_killed_and_restarted_under_load(system: System) -> None:
    """Acknowledgements wait; nothing is refused, nothing is lost."""
    from streams.local.up import up  # noqa: PLC0415

    running = asyncio.create_task(hospital(system, 4, 15.0))
    await asyncio.sleep(5.0)
    await asyncio.to_thread(system.server("kafka").kill)
    await asyncio.to_thread(up, system.settings)
    await check(system, await running)
