"""The console's HTTP edge: contract JSON, and what it refuses."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable

import msgspec

from connectors.contract import Alert, Score
from tests.acceptance.console.conftest import FakeServer


def ask(
    console: FakeServer, path: str, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", console.port, timeout=60)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_alerts_are_records_of_the_contract(console: FakeServer) -> None:
    """Strictly decoded, newest revisions only, no names."""
    status, headers, body = ask(console, "/api/v1/alerts")
    assert (status, headers["content-type"]) == (200, "application/json")
    alerts = msgspec.json.decode(body, type=list[Alert])
    assert len(alerts) == 9
    assert len({a.alert_id for a in alerts}) == 9
    assert headers["cache-control"] == "no-store"
    assert b"Lindqvist" not in body


def test_a_patient_is_record_scores_and_alerts(console: FakeServer) -> None:
    """The record is the canonical one."""
    status, _, body = ask(console, f"/api/v1/patients/p-{3:026d}")
    assert status == 200
    answer = json.loads(body)
    score = msgspec.convert(answer["scores"]["deterioration"], Score)
    assert score.patient == answer["patient"] == f"p-{3:026d}"
    assert {"clock", "facts"} == set(answer["record"])
    assert [a["revision"] for a in answer["alerts"]] == [1, 2]


def test_an_unknown_patient_is_a_problem_in_json(console: FakeServer) -> None:
    """RFC 9457."""
    status, headers, body = ask(console, "/api/v1/patients/p-nobody")
    assert (status, headers["content-type"]) == (404, "application/problem+json")
    assert json.loads(body)["title"] == "No such patient"


def test_a_store_that_is_away_is_503(start_console: Callable[..., FakeServer]) -> None:
    """With the reason, so that a caller knows to come back."""
    console = start_console()
    console.tell("store away")
    status, _, body = ask(console, "/api/v1/alerts")
    assert status == 503
    assert "patient store" in json.loads(body)["detail"]


def test_another_site_cannot_read_the_console(console: FakeServer) -> None:
    """A rebound DNS name and a foreign origin are refused, for pages, data and web sockets."""
    for path in ("/", "/api/v1/alerts", "/_nicegui_ws/socket.io/?EIO=4&transport=polling"):
        assert ask(console, path, {"Host": "tocsin.example"})[0] == 403
        foreign = {"Origin": "https://tocsin.example"}
        assert ask(console, path, foreign)[0] == 403
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Origin": "https://tocsin.example",
    }
    path = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    assert ask(console, path, upgrade)[0] == 403
    own = upgrade | {"Origin": console.url}
    assert ask(console, path, own)[0] == 101


def test_answers_forbid_framing_and_other_hosts(console: FakeServer) -> None:
    """The policy that keeps a page's requests with its own host."""
    _, headers, _ = ask(console, "/")
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["cache-control"] == "no-store"


def test_the_console_ends_when_told(start_console: Callable[..., FakeServer]) -> None:
    """An orderly stop, exit code 0."""
    assert start_console().stop() == 0
