"""From an HL7 message to whoever has to be told, and from their answer back to the alert."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Alert, AlertState
from streams.local.up import down, up
from streams.settings import Settings
from tests.acceptance.system import DYING, System, admission, results, send, wait_for
from tests.unit.sinks.peers import SECRET, Hl7Peer, WebPeer
from tests.unit.sinks.test_pcd05 import report

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]


@pytest.fixture(scope="module")
def web() -> Iterator[WebPeer]:
    with WebPeer(SECRET) as peer:
        yield peer


@pytest.fixture(scope="module")
def manager() -> Iterator[Hl7Peer]:
    with Hl7Peer() as peer:
        yield peer


@pytest.fixture(scope="module")
def system(web: WebPeer, manager: Hl7Peer) -> Iterator[System]:
    """`tocsin up` with two receivers: one that knows pseudonyms, one that knows people."""
    receivers = {
        "web": {"kind": "webhook", "url": web.url, "secret": SECRET},
        "alarm-server": {
            "kind": "mllp",
            "host": "127.0.0.1",
            "port": manager.port,
            "identity": True,
        },
    }
    with tempfile.TemporaryDirectory(prefix="tocsin-told-") as folder:
        settings = Settings(
            home=Path(folder),
            sequencer={"tick_s": 1.0},
            telemetry={"trace_ratio": 0.0},
            sinks={"receivers": receivers},
        )
        try:
            yield System(up(settings), settings)
        finally:
            down(Path(folder))


def newest(system: System) -> Alert | None:
    """The patient's alert as it stands."""
    found = [a for a in system.alerts() if a.bed == "B1" and a.risk == "deterioration"]
    return max(found, key=lambda a: a.revision, default=None)


def about(message: Any, alert: Alert) -> bool:
    return alert.alert_id in str(message.segment("OBR"))


async def test_an_alert_goes_out_and_the_answer_comes_back(
    system: System, web: WebPeer, manager: Hl7Peer
) -> None:
    """Socket, score, alert, PCD-04 with the patient's number, PCD-05, acknowledged, told again."""
    now = time.time()
    await send(
        system,
        admission("QX4711", now - 3600, bed="B1"),
        *(results("QX4711", now - 3000 + 300 * i, DYING) for i in range(5)),
    )
    first = wait_for(lambda: newest(system), "an alert")
    # There are alerts of other risks too, in whatever order.
    wait_for(lambda: first.alert_id in str(web.bodies), "one is told")
    wait_for(lambda: [m for m in manager.messages if about(m, first)], "the other is told")
    assert "QX4711" in str(manager.messages[0].segment("PID")[3])
    assert all("QX4711" not in str(body) for body in web.bodies)

    manager.says = [report(filler=f"{first.alert_id}.{first.revision}^TOCSIN")]
    await send(system, results("QX4711", now - 60, DYING))
    if not manager.replies:  # nothing new to tell: the report waits for the next message
        await send(system, admission("4712", now - 3600, bed="B2"))
        await send(system, *(results("4712", now - 3000 + 300 * i, DYING) for i in range(5)))
    wait_for(lambda: manager.replies, "the report is answered")
    taken = wait_for(
        lambda: now if (now := newest(system)) and now.state is AlertState.ACKNOWLEDGED else None,
        "somebody has taken it",
    )
    assert taken.acknowledged_by == "N17"

    def told() -> bool:
        return any(
            a["alert_id"] == first.alert_id and a["state"] == "acknowledged"
            for body in web.bodies
            for a in body["data"]["alerts"]
        )

    wait_for(told, "the acknowledgement is told")
    wait_for(
        lambda: [
            m
            for m in manager.messages
            if about(m, first) and any("alert-acknowledged" in str(o) for o in m.segments("OBX"))
        ],
        "the other one hears of it as well",
    )
