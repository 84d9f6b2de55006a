"""From an HL7 message on a socket to an alert, on real Kafka and Redis."""

from __future__ import annotations

import json
import time
from decimal import Decimal

import pytest
from confluent_kafka import Producer

from connectors import contract, topics
from connectors.contract import Alert, AlertState
from tests.acceptance.system import DYING, WELL, System, admission, results, send, wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


def firing(system: System, bed: str) -> Alert | None:
    return next((a for a in system.alerts() if a.bed == bed), None)


async def test_a_dying_patient_raises_an_alert_and_a_well_one_does_not(system: System) -> None:
    now = time.time()
    for patient, values in (("100", DYING), ("200", WELL)):
        answers = await send(
            system,
            admission(patient, now - 3600, bed=f"B{patient}"),
            *(results(patient, now - 3000 + 300 * i, values) for i in range(5)),
        )
        assert {a.code for a in answers} == {"AA"}
    alert = wait_for(lambda: firing(system, "B100"), "an alert")
    assert alert.state is AlertState.FIRING
    assert alert.revision == 1
    assert alert.reason == "above_threshold"
    assert (alert.risk, alert.ward) == ("deterioration", "ICU")
    system.settle()
    assert firing(system, "B200") is None


async def test_the_printed_score_adds_up(system: System) -> None:
    """baseline + Σ llr = log_odds on the printed figures, in every score."""
    system.settle()
    scored = 0
    for _, _, raw in system.read(topics.SCORES):
        score = json.loads(raw, parse_float=Decimal, parse_int=Decimal)
        if score["abstained"] is None:
            total = score["baseline"] + sum(e["llr"] for e in score["evidence"])
            assert total == score["log_odds"]
            scored += 1
    assert scored


async def test_an_alert_can_be_traced_back_to_the_socket(system: System) -> None:
    """Although no message was sampled."""
    alert = wait_for(lambda: firing(system, "B100"), "an alert")

    def spans() -> list[dict[str, object]]:
        file = system.home / "traces.jsonl"
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        trace_id = f"0x{alert.score.trace.split('-')[1]}"
        return [span for span in found if span["context"]["trace_id"] == trace_id]

    hops = {
        "message", "acknowledge and sequence", "wait in facts", "fold, score, store", "publish",
    }  # fmt: skip
    wait_for(lambda: {span["name"] for span in spans()} >= hops, "the trace is written")
    trace = spans()
    assert {span["name"] for span in trace} == hops
    root = next(span for span in trace if span["name"] == "message")
    assert root["context"]["span_id"] == f"0x{alert.score.trace.split('-')[2]}"


async def test_an_integration_engine_may_publish_to_kafka_itself(system: System) -> None:
    """Raw HL7, no header at all."""
    now = time.time()
    producer = Producer({"bootstrap.servers": system.endpoints.kafka, "log_level": 0})
    producer.produce(topics.WIRE_HL7, admission("300", now - 3600, bed="B300"))
    producer.produce(topics.WIRE_HL7, results("300", now - 60, DYING))
    assert producer.flush(60) == 0
    wait_for(lambda: firing(system, "B300"), "an alert")


async def test_a_corrected_result_withdraws_or_resolves_the_alert(system: System) -> None:
    now = time.time()
    await send(
        system,
        admission("400", now - 3600, bed="B400"),
        results("400", now - 100, DYING, order="o400"),
    )
    raised = wait_for(lambda: firing(system, "B400"), "an alert")
    await send(system, results("400", now - 100, WELL, order="o400", status="C", sent=now))

    def ended() -> Alert | None:
        found = [a for a in system.alerts() if a.alert_id == raised.alert_id]
        return found[-1] if found[-1].state is not AlertState.FIRING else None

    alert = wait_for(ended, "the alert ends")
    assert (alert.state, alert.reason) == (AlertState.WITHDRAWN, "data_changed")
    assert alert.revision == 2


async def test_a_discharge_resolves_the_alert(system: System) -> None:
    from connectors.hl7 import build  # noqa: PLC0415

    now = time.time()
    alert = wait_for(lambda: firing(system, "B100"), "an alert")
    segments = build.message("ADT^A03", "dis-100", now)
    segments += [
        build.evn("A03", recorded=now, occurred=now),
        build.pid([("100", "HOSP", "MR")]),
        build.pv1("I", ward="ICU", bed="B100", visit="V100", discharged=now),
    ]
    await send(system, build.join(segments))

    def ended() -> Alert | None:
        found = [a for a in system.alerts() if a.alert_id == alert.alert_id]
        return found[-1] if found[-1].state is AlertState.RESOLVED else None

    assert wait_for(ended, "the alert is resolved").reason == "discharged"


async def test_nothing_outside_the_wire_and_the_vault_names_the_patient(system: System) -> None:
    """Neither facts, scores, alerts, audit, quarantine, Redis, logs nor traces."""
    system.settle()
    secrets = [b"FAMILY100", b"FAMILY300", b"19480101", b"V100"]
    outside = [t for t in topics.ALL if not t.startswith(f"{topics.PREFIX}wire.")]
    stores = {topic: b"".join(v for *_, v in system.read(topic)) for topic in outside}
    redis = system.redis()
    for key in redis.scan_iter("*"):
        if redis.type(key) == b"hash":
            stores[f"redis {key!r}"] = b"".join(a + b for a, b in redis.hgetall(key).items())
    for file in [*(system.home / "log").glob("*.log"), system.home / "traces.jsonl"]:
        stores[str(file)] = file.read_bytes()
    assert stores[topics.ALERTS]
    for place, content in stores.items():
        for secret in secrets:
            assert secret not in content, f"{secret!r} in {place}"


BAD = {
    "unsupported_type": lambda m: m.replace(b"ORU^R01", b"ZZZ^Z99"),
    "no_patient": lambda m: b"\r".join(s for s in m.split(b"\r") if not s.startswith(b"PID")),
    "no_code": lambda m: m.replace(b"8867-4^Heart rate^LN", b""),
    "not_a_number": lambda m: m.replace(b"|148|", b"|high|"),
    "bad_charset": lambda m: m.replace(b"GIVEN", b"GIV\xc9N"),
    "foreign_line": lambda m: m + b"this is no segment\r",
    "bad_time": lambda m: _with_times(m, b"20261332250000"),
}


def _with_times(message: bytes, time_: bytes) -> bytes:
    segments = message.split(b"\r")
    for i, segment in enumerate(segments):
        if segment.startswith(b"OBR"):
            fields = segment.split(b"|")
            fields[7] = time_
            segments[i] = b"|".join(fields)
    return b"\r".join(segments)


@pytest.mark.parametrize("reason", BAD)
async def test_bad_content_is_quarantined_with_a_reason_and_the_next_message_works(
    system: System, reason: str
) -> None:
    """The socket takes it (it is in the log); the sequencer says what is wrong."""
    now = time.time()
    patient = f"bad-{reason}"
    bad = BAD[reason](results(patient, now - 60, DYING))
    good = results(patient, now - 30, WELL)
    answers = await send(system, bad, good)
    assert [a.code for a in answers] == ["AA", "AA"]

    def found() -> list[contract.Quarantined]:
        control = answers[0].control_id
        return [q for q in system.quarantine() if q.control_id == control and q.reason == reason]

    record = wait_for(found, f"{reason} is in quarantine")[0]
    topic, partition, offset = record.wire.split("/")
    raw = {(p, o): v for p, o, v in system.read(topic)}
    assert raw[int(partition), int(offset)] == bad
    wait_for(
        lambda: any(m.control_id == answers[1].control_id for m in system.messages()),
        "the next message gives facts",
    )
