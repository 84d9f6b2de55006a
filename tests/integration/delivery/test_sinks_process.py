"""`tocsin sinks` with real Kafka and Redis and peers of somebody else's making, through faults."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable

import msgspec
import pytest
from redis import Redis

from connectors import contract, feedback, topics
from connectors.contract import Alert, AlertState
from connectors.feedback import Action
from connectors.identity import IdentityKey
from connectors.sinks.deliveries import Outcome
from connectors.vault import VaultWriter
from tests.integration.delivery.conftest import KEY, Log, SinksProcess, Start
from tests.unit.sinks.alerts import PERSON
from tests.unit.sinks.peers import SECRET, Hl7Peer, MailPeer, WebPeer, mail, mllp, until, webhook
from tests.unit.sinks.test_pcd05 import report

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:aiosmtpd"),
]
New = Callable[..., Alert]
replace = msgspec.structs.replace


def told(peer: WebPeer) -> list[tuple[str, int]]:
    """Alert id and revision of what a web service got."""
    return [(a["alert_id"], a["revision"]) for b in peer.bodies for a in b["data"]["alerts"]]


def command(process: SinksProcess, *arguments: str) -> str:
    """A `tocsin sinks …` beside the process."""
    run = subprocess.run(
        [sys.executable, "-m", "streams.cli", "sinks", *arguments],
        env=process.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_every_kind_of_receiver_is_told_once_in_order(
    sinks: Start, log: Log, new_alert: New, web: WebPeer, system: Hl7Peer, mailbox: MailPeer
) -> None:
    """With every record in the log twice; and what was done is written down."""
    with WebPeer() as fhir:
        receivers = {
            "web": webhook(web),
            "manager": mllp(system),
            "ehr": mllp(system, message="oru"),
            "chart": {"kind": "fhir", "url": fhir.url},
            "mail": mail(mailbox),
        }
        process = sinks(receivers)
        first = new_alert()
        second = replace(first, revision=2, state=AlertState.RESOLVED, calls=False, called=1)
        log.write(first, first, second, second)
        until(lambda: len(web.bodies) >= 2 and len(fhir.bodies) >= 1 and len(mailbox.mails) >= 1)
        until(lambda: len(system.messages) >= 4)
        until(lambda: all(len(log.deliveries(name)) >= 2 for name in receivers))
        until(lambda: process.value("tocsin_sinks_waiting", receiver="web") == 0)
        time.sleep(0.5)  # what is too much would come now
        assert told(web) == [(first.alert_id, 1), (first.alert_id, 2)]
        kinds = sorted(str(m.segment("MSH")[9])[:7] for m in system.messages)
        assert kinds == ["ORU^R01", "ORU^R01", "ORU^R40", "ORU^R40"]
        assert web.bad_signatures == 0
        for name in receivers:
            outcomes = [(d.revision, d.outcome) for d in log.deliveries(name)]
            assert [r for r, _ in outcomes] == [1, 2], name
            assert {o for _, o in outcomes} <= {Outcome.DELIVERED, Outcome.SUPERSEDED}
        delivered = {"receiver": "web", "outcome": "delivered"}
        assert process.value("tocsin_sinks_deliveries_total", **delivered) == 2
        assert process.value("tocsin_sinks_delivery_seconds_count", receiver="web") == 2


def test_a_kill_in_the_middle_loses_nothing_and_repeats_only_what_was_on_its_way(
    sinks: Start, log: Log, new_alert: New, web: WebPeer
) -> None:
    """What is told again has the id that it had, and at most `parallel` are."""
    process = sinks({"web": webhook(web, parallel=2, timeout_s=120)})
    web.delay_s = 0.1
    alerts = [new_alert() for _ in range(30)]
    log.write(*alerts)
    until(lambda: len(web.bodies) >= 8)
    process.kill()
    before = len(web.bodies)
    assert before < 30
    process.start()
    until(lambda: len({a for a, _ in told(web)}) == 30)
    until(lambda: len({d.id for d in log.deliveries("web")}) == 30)
    repeated = len(web.ids) - len(set(web.ids))
    assert repeated <= 2
    assert {a for a, _ in told(web)} == {a.alert_id for a in alerts}


def test_a_dead_receiver_holds_up_nobody_and_is_told_when_it_is_back(
    sinks: Start, log: Log, new_alert: New, web: WebPeer, mailbox: MailPeer
) -> None:
    """Its breaker opens meanwhile; the metrics say so."""
    web.stop()
    process = sinks(
        {
            "web": webhook(web, breaker_failures=2, breaker_pause_s=1),
            "mail": mail(mailbox, only_newest=False),
        }
    )
    alerts = [new_alert() for _ in range(5)]
    log.write(*alerts)
    until(lambda: len(mailbox.mails) == 5)
    until(lambda: process.value("tocsin_sinks_breaker", receiver="web") == 2)
    until(lambda: process.value("tocsin_sinks_waiting", receiver="web") == 5)
    until(lambda: len(log.deliveries("mail")) == 5)  # it is known who was told
    until(lambda: process.value("tocsin_sinks_oldest_seconds", receiver="web") > 0.5)
    assert process.value("tocsin_sinks_breaker", receiver="mail") == 0
    process.kill()
    process.start()
    web.start()
    until(lambda: len(web.bodies) == 5)
    until(lambda: process.value("tocsin_sinks_waiting", receiver="web") == 0)
    time.sleep(0.5)
    assert len(mailbox.mails) == 5
    assert sorted(told(web)) == sorted((a.alert_id, 1) for a in alerts)


def test_an_hl7_system_that_is_restarted_gets_everything_in_order(
    sinks: Start, log: Log, new_alert: New, system: Hl7Peer
) -> None:
    """Revisions of one alert never overtake each other."""
    sinks({"manager": mllp(system, timeout_s=1, breaker_pause_s=1)})
    first = new_alert()
    log.write(first)
    until(lambda: len(log.deliveries("manager")) == 1)
    system.stop()
    for revision in range(2, 7):
        log.write(replace(first, revision=revision))
    time.sleep(1)
    system.start()
    until(lambda: len({str(m.segment("MSH")[10]) for m in system.messages}) == 6)
    seen: list[str] = []
    for message in system.messages:
        filler = str(message.segment("OBR")[3])
        seen += [] if filler in seen else [filler]
    numbers = [f"{first.alert_id}.{n}^TOCSIN" for n in range(2, 7)]
    assert seen == [f"{first.alert_id}^TOCSIN", *numbers]


def test_what_is_refused_is_listed_and_told_when_somebody_asks(
    sinks: Start, log: Log, new_alert: New, web: WebPeer
) -> None:
    """`tocsin sinks dead list | retry | discard`."""
    process = sinks({"web": webhook(web)})
    web.status = 422
    first, second = new_alert(), new_alert()
    log.write(first, second)
    until(lambda: len([d for d in log.deliveries("web") if d.outcome is Outcome.DEAD]) == 2)
    lines = [json.loads(line) for line in command(process, "dead", "list", "--json").splitlines()]
    mine = {i["alert_id"]: i for i in lines if i["alert_id"] in (first.alert_id, second.alert_id)}
    assert mine[first.alert_id]["reason"] == "refused"
    assert mine[first.alert_id]["detail"] == "answered 422"
    web.status = 200
    retried, discarded = mine[first.alert_id]["id"], mine[second.alert_id]["id"]
    command(process, "dead", "retry", retried, "--why", "mended")
    command(process, "dead", "discard", discarded, "--why", "seen by the ward")
    until(lambda: told(web) == [(first.alert_id, 1)])
    until(lambda: Outcome.DELIVERED in [d.outcome for d in log.deliveries("web")])
    left = command(process, "dead", "list", "--json")
    assert first.alert_id not in left
    assert second.alert_id not in left
    audit = [json.loads(raw) for raw in log.records(topics.AUDIT)]
    events = [a for a in audit if a["event"].startswith("dead_letter") and a["why"]]
    assert {(e["event"], e["item"]) for e in events} >= {
        ("dead_letter_retried", retried),
        ("dead_letter_discarded", discarded),
    }


def reported(log: Log, first: Alert) -> None:
    """Two actions that are the same click."""
    until(lambda: len(log.records(topics.FEEDBACK)) == 2)
    actions = [feedback.decode(raw) for raw in log.records(topics.FEEDBACK)]
    assert actions[0].action is Action.ACKNOWLEDGE
    assert (actions[0].alert_id, actions[0].patient) == (first.alert_id, first.patient)
    assert (actions[0].revision, actions[0].who) == (1, "N17")
    assert len({a.id for a in actions}) == 1


def test_a_report_on_the_same_connection_comes_back_as_feedback(
    sinks: Start, log: Log, new_alert: New, system: Hl7Peer
) -> None:
    """PCD-04 out, PCD-05 back, answered after it is in the log; a repetition has the same id."""
    sinks({"manager": mllp(system)})
    first = new_alert()
    said = report(filler=f"{first.alert_id}.1^TOCSIN")
    system.says = [said, said]
    log.write(first)
    reported(log, first)
    until(lambda: len(system.replies) == 2)
    assert {str(r.segment("MSA")[1]) for r in system.replies} == {"CA"}


def test_a_report_in_the_wire_log_comes_back_as_feedback(
    sinks: Start, log: Log, new_alert: New, system: Hl7Peer
) -> None:
    """As `tocsin mllp` or an integration engine puts it there, among everything else."""
    process = sinks({"manager": mllp(system)})
    first = new_alert()
    log.write(first)
    until(lambda: len(log.deliveries("manager")) == 1)
    said = report(filler=f"{first.alert_id}.1^TOCSIN")
    plain = b"MSH|^~\\&|L|H|T|W|2026||ORU^R01|1|P|2.5.1\rPID|1||4711\rOBX|1|ST|1||FLORA\r"
    process.kill()  # what comes meanwhile is read afterwards
    log.write_raw(plain, topics.WIRE_HL7)
    log.write_raw(said, topics.WIRE_HL7)
    log.write_raw(b"ORA", topics.WIRE_HL7)
    log.write_raw(said, topics.WIRE_HL7)
    process.start()
    reported(log, first)
    log.write_raw(report(filler="e" * 24), topics.WIRE_HL7)
    until(lambda: bool(log.records(topics.QUARANTINE)))
    (item,) = [contract.decode_quarantined(raw) for raw in log.records(topics.QUARANTINE)]
    assert item.reason == "unknown_alert"
    assert item.wire.startswith(f"{topics.WIRE_HL7}/")
    assert item.raw_base64 == ""


def test_a_report_about_nothing_and_a_record_that_is_none_go_to_quarantine(
    sinks: Start, log: Log, new_alert: New, system: Hl7Peer
) -> None:
    """With their bytes; the alert after them is told."""
    sinks({"manager": mllp(system)})
    log.write_raw(b'{"alert_id": 3}')
    system.says = [report(filler="f" * 24), b"MSH|^~\\&|AM"]
    log.write(new_alert())
    until(lambda: len(log.records(topics.QUARANTINE)) >= 3)
    found = {q.reason: q for q in map(contract.decode_quarantined, log.records(topics.QUARANTINE))}
    assert found["bad_alert"].wire.startswith(f"{topics.ALERTS}/")
    assert found["unknown_alert"].raw_base64
    assert found["bad_header"].raw_base64
    assert len(system.messages) == 1


def test_a_name_goes_only_to_whoever_may_know_it_and_the_audit_knows(
    sinks: Start, log: Log, new_alert: New, web: WebPeer, system: Hl7Peer, redis_url: str
) -> None:
    """And is in no log, no metric and no other record."""
    key = IdentityKey(bytes.fromhex(KEY))
    first = new_alert()
    redis = Redis.from_url(redis_url)
    VaultWriter(redis, key).put({first.patient: PERSON})
    process = sinks({"manager": mllp(system, identity=True), "web": webhook(web)})
    log.write(first)
    until(lambda: len(system.messages) == 1 and len(web.bodies) == 1)
    until(lambda: len(log.deliveries("manager")) == 1)
    assert "4711^^^HOSP^MR" in str(system.messages[0].segment("PID"))
    assert first.patient in json.dumps(web.bodies[0])
    audit = [json.loads(raw) for raw in log.records(topics.AUDIT)]
    looked = [a for a in audit if a["event"] == "names_looked_up"]
    assert [a["who"] for a in looked if first.patient in a["patients"]] == ["sink manager"]
    assert first.alert_id in looked[0]["purpose"]
    assert log.deliveries("manager")[0].identity
    elsewhere = [
        json.dumps(web.bodies),
        process.log,
        process.metrics(),
        *(raw.decode() for t in (topics.DELIVERIES, topics.AUDIT) for raw in log.records(t)),
    ]
    for text in elsewhere:
        assert not re.search(r"(?<![\d.])4711(?!\d)", text)  # not as a part of a measured number
        assert "Neil" not in text
    redis.hdel("tocsin:vault", first.patient)
    redis.close()


def test_a_secret_is_in_no_log(sinks: Start, log: Log, new_alert: New, web: WebPeer) -> None:
    """Not even when everything fails."""
    process = sinks({"web": webhook(web)}, TOCSIN_TELEMETRY__LOG_LEVEL="DEBUG")
    web.statuses = [500, 400]
    log.write(new_alert())
    until(lambda: len(log.deliveries("web")) == 1)
    assert SECRET.removeprefix("whsec_") not in process.log


def test_a_changed_routing_counts_without_a_restart(
    sinks: Start, log: Log, new_alert: New, web: WebPeer, mailbox: MailPeer
) -> None:
    """And one that cannot be used changes nothing."""
    routing = "receivers: [{name: web}, {name: mail}]\nroute: {receiver: web}\n"
    process = sinks({"web": webhook(web), "mail": mail(mailbox)}, routing)
    log.write(new_alert())
    until(lambda: len(web.bodies) == 1)
    file = process.log_file.parent / "routing.yaml"
    file.write_text("receivers: [{name: web}]\nroute: {receiver: nobody-here}\n")
    until(lambda: "the routing stays as it was" in process.log)
    file.write_text(routing.replace("{receiver: web}", "{receiver: mail}"))
    until(lambda: "the routing is that of file" in process.log)
    log.write(new_alert())
    until(lambda: len(mailbox.mails) == 1)
    assert len(web.bodies) == 1
    audit = [json.loads(raw) for raw in log.records(topics.AUDIT)]
    assert str(file) in [a["source"].removeprefix("file ") for a in audit if "digest" in a]


def test_two_processes_share_the_work_and_take_over_from_each_other(
    sinks: Start, log: Log, new_alert: New, web: WebPeer
) -> None:
    """One is killed; whatever it had, the other tells."""
    group = f"shared-{time.time_ns()}"
    one = sinks({"web": webhook(web)}, TOCSIN_SINKS__GROUP=group)
    sinks({"web": webhook(web)}, TOCSIN_SINKS__GROUP=group)
    alerts = [new_alert() for _ in range(40)]
    web.delay_s = 0.05
    log.write(*alerts)
    until(lambda: len(web.bodies) >= 5)
    one.kill()
    until(lambda: len({a for a, _ in told(web)}) == 40)
    assert len(set(web.ids)) == 40, "what is told again has the id that it had"
