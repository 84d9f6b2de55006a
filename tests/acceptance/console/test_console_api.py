"""The API for programs: pages, events with resume, problems, its own description."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.contract import Alert
from streams.console.access import ROUTES
from tests.acceptance.console.conftest import FakeServer
from tests.acceptance.console.test_console_edge import ask

Start = Callable[..., FakeServer]


def post(
    console: FakeServer, path: str, body: object, kind: str = "application/json"
) -> tuple[int, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", console.port, timeout=60)
    try:
        connection.request("POST", path, raw, {"content-type": kind})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@contextmanager
def events(
    console: FakeServer, query: str = "", after: str = "", cookie: str = ""
) -> Iterator[Iterator[list[str]]]:
    """The stream as [id, event, data], comments left out."""
    connection = http.client.HTTPConnection("127.0.0.1", console.port, timeout=60)
    try:
        headers = {"Last-Event-ID": after} if after else {}
        headers |= {"Cookie": cookie} if cookie else {}
        connection.request("GET", f"/api/v1/events{query}", headers=headers)
        answer = connection.getresponse()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.readline() == b": alive\n"

        def read() -> Iterator[list[str]]:
            lines: list[str] = []
            for raw in answer:
                line = raw.decode().rstrip("\n")
                if line.startswith(":"):
                    continue
                if line:
                    lines.append(line.partition(": ")[2])
                elif lines:
                    yield lines
                    lines = []

        yield read()
    finally:
        connection.close()


def test_a_list_is_walked_page_by_page(console: FakeServer) -> None:
    """Each once, in the order of ids; the last page has no next."""
    path, seen = "/api/v1/alerts?limit=4", []
    while path:
        status, headers, body = ask(console, path)
        assert status == 200
        found = msgspec.json.decode(body, type=list[Alert])
        assert len(found) <= 4
        seen += [a.alert_id for a in found]
        link = re.fullmatch(r'<(.+)>; rel="next"', headers.get("link", ""))
        path = link[1] if link else ""
    assert len(seen) == 9
    assert seen == sorted(set(seen))


def test_lists_are_filtered_and_one_is_fetched(console: FakeServer) -> None:
    """By ward, risk and state; an alert by its id."""
    found = json.loads(ask(console, "/api/v1/alerts?ward=4A&state=acknowledged")[2])
    assert [a["alert_id"] for a in found] == [f"a-p-{3:026d}"]
    assert json.loads(ask(console, "/api/v1/alerts?risk=sepsis")[2]) == []
    assert json.loads(ask(console, f"/api/v1/alerts/a-p-{3:026d}")[2]) == found[0]
    patients = json.loads(ask(console, "/api/v1/patients?ward=4A")[2])
    assert {p["ward"] for p in patients} == {"4A"}
    scores = json.loads(ask(console, "/api/v1/scores?risk=deterioration")[2])
    assert len(scores) == 9


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/alerts?limit=0", 422),
        ("/api/v1/alerts?state=unheard", 422),
        ("/api/v1/alerts/none", 404),
        ("/api/v1/schemas/none", 404),
        ("/api/v1/pseudonym?id=4711", 422),
        ("/api/v1/pseudonym?id=CITY%7CMR%7Cnobody", 404),
        ("/api/v1/none", 404),
        ("/api/none", 404),
    ],
)
def test_every_error_is_a_problem(console: FakeServer, path: str, status: int) -> None:
    """RFC 9457, those of validation included."""
    got, headers, body = ask(console, path)
    assert (got, headers["content-type"]) == (status, "application/problem+json")
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["instance"] == path.partition("?")[0]
    assert problem["detail"].endswith(".")


def test_a_wrong_method_says_which_are_right(console: FakeServer) -> None:
    """405 with Allow."""
    assert post(console, "/api/v1/alerts", {})[0] == 405
    assert ask(console, f"/api/v1/quarantine/{'0' * 32}/mend")[1]["allow"] == "POST"


def test_events_come_as_they_happen(start_console: Start) -> None:
    """A score and an alert, as records of the contract."""
    console = start_console()
    with events(console) as stream:
        console.tell("alert 20")
        _, kind, data = next(stream)
        assert (kind, json.loads(data)["patient"]) == ("score", f"p-{20:026d}")
        _, kind, data = next(stream)
        assert kind == "alert"
        assert msgspec.json.decode(data, type=Alert).alert_id == f"a-p-{20:026d}"
    with events(console, "?kind=alert") as stream:
        console.tell("escalate 20")
        console.tell("alert 21")
        found = [next(stream) for _ in range(2)]
        assert [kind for _, kind, _ in found] == ["alert", "alert"]


def test_events_go_on_where_they_stopped(start_console: Start) -> None:
    """Whatever happened while nobody listened comes first."""
    console = start_console()
    with events(console, "?kind=alert") as stream:
        console.tell("alert 20")
        place, _, _ = next(stream)
    console.tell("alert 21")
    console.tell("alert 22")
    with events(console, "?kind=alert", after=place) as stream:
        patients = [json.loads(next(stream)[2])["patient"] for _ in range(2)]
    assert patients == [f"p-{21:026d}", f"p-{22:026d}"]
    assert ask(console, "/api/v1/events", {"Last-Event-ID": "yesterday"})[0] == 400


def test_a_number_leads_to_its_pseudonym_and_the_audit_knows(start_console: Start) -> None:
    """Each look-up is told with who asked."""
    console = start_console()
    status, _, body = ask(console, "/api/v1/pseudonym?id=CITY%7CMR%7C100003")
    assert (status, json.loads(body)["patient"]) == (200, f"p-{3:026d}")
    assert console.tell("audit") == [[[f"p-{3:026d}"], "console without sign-in, from 127.0.0.1"]]


def test_the_quarantine_is_worked_by_programs(start_console: Start) -> None:
    """Look, mend, discard; masked; refused with the reason."""
    console = start_console()
    name = console.tell("refuse no_patient")
    (listed,) = json.loads(ask(console, "/api/v1/quarantine?reason=no_patient")[2])
    assert listed["id"] == name
    look = json.loads(ask(console, f"/api/v1/quarantine/{name}")[2])
    assert "Doe" not in json.dumps(look)
    assert look["would_give"] == "quarantine, no_patient at PID-3"
    path = f"/api/v1/quarantine/{name}"
    status, problem = post(console, f"{path}/mend", {"why": "w", "fields": ["PID-5=A"]})
    assert (status, problem["title"]) == (409, "Refused")
    assert "refused again" in problem["detail"]
    assert post(console, f"{path}/mend", {"why": ""})[0] == 422
    assert post(console, f"{path}/mend", {"why": "w", "more": 1})[0] == 422
    assert post(console, f"{path}/mend", b"<a/>", "application/xml")[0] == 415
    fields = ["PID-3=4711^^^HOSP^MR"]
    status, done = post(console, f"{path}/mend", {"why": "lost", "fields": fields})
    assert (status, done["item"]["state"]) == (200, "redriven")
    assert "facts" in done["gives"]
    other = console.tell("refuse bad_charset")
    assert post(console, f"/api/v1/quarantine/{other}/discard", {"why": "test"})[0] == 200
    assert [n["event"] for n in console.tell("quarantine audit")] == [
        "quarantine_redriven",
        "quarantine_discarded",
    ]


def test_an_action_is_taken_once_and_answered(start_console: Start) -> None:
    """By whoever asks; the same click twice changes nothing; what is not complete is refused."""
    console = start_console()
    act = {"id": "c1", "alert_id": f"a-p-{1:026d}", "revision": 1, "action": "acknowledge"}
    status, taken = post(console, "/api/v1/feedback", act)
    assert status == 202
    assert (taken["who"], taken["patient"]) == (
        "console without sign-in, from 127.0.0.1",
        f"p-{1:026d}",
    )
    assert post(console, "/api/v1/feedback", act)[0] == 202
    end = time.monotonic() + 60
    while ask(console, "/api/v1/feedback/c1")[0] == 404:
        assert time.monotonic() < end
    alert = json.loads(ask(console, f"/api/v1/alerts/a-p-{1:026d}")[2])
    assert (alert["state"], alert["revision"], len(alert["actions"])) == ("acknowledged", 2, 1)
    status, problem = post(console, "/api/v1/feedback", act | {"id": "c2", "action": "snooze"})
    assert (status, problem["detail"]) == (409, "The action cannot be taken: snooze needs `until`.")
    assert post(console, "/api/v1/feedback", act | {"alert_id": "none"})[0] == 404
    assert post(console, "/api/v1/feedback", act | {"who": "somebody else"})[0] == 422
    assert post(console, "/api/v1/feedback", act | {"revision": 0})[0] == 422


def test_a_policy_is_changed_by_programs(start_console: Start) -> None:
    """Checked, proposed, approved, in force, rolled back."""
    console = start_console()
    text = "risks:\n  deterioration:\n    fire: 0.45\n"
    status, change = post(console, "/api/v1/policy/check", {"policy": text})
    assert (status, change["diff"][-1]) == (200, "+    fire: 0.45")
    status, problem = post(console, "/api/v1/policy/check", {"policy": "risks: 1"})
    assert (status, problem["title"]) == (409, "Refused")
    proposal = {"policy": text, "reason": "fewer"}
    status, version = post(console, "/api/v1/policy/versions", proposal)
    assert (status, version["state"]) == (201, "proposed")
    path = f"/api/v1/policy/versions/{version['version']}"
    assert post(console, f"{path}/activate", {})[0] == 409
    assert post(console, f"{path}/approve", {})[1]["state"] == "approved"
    assert post(console, f"{path}/activate", {})[1]["state"] == "active"
    now = json.loads(ask(console, "/api/v1/policy")[2])
    assert (now["version"], now["rules"][0]["fire"]) == (version["version"], 0.45)
    assert post(console, f"{path}/roll-back", {"reason": "missed one"})[1]["state"] == "rolled_back"
    assert json.loads(ask(console, "/api/v1/policy")[2])["rules"][0]["fire"] == 0.3
    assert post(console, "/api/v1/policy/versions/none/approve", {})[0] == 404
    listed = json.loads(ask(console, "/api/v1/policy/versions")[2])
    assert [v["version"] for v in listed] == [version["version"]]


def test_the_description_names_every_route_with_its_role(console: FakeServer) -> None:
    """One table: what it lists is described with examples, and the page needs no other host."""
    described = json.loads(ask(console, "/api/v1/openapi.json")[2])
    listed = {
        f"{method.upper()} {path}": operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }
    assert {route: op["x-required-role"] for route, op in listed.items()} == {
        route: role.value for route, role in ROUTES.items()
    }
    for operation in listed.values():
        assert operation["description"]
        contents = [c for a in operation["responses"].values() for c in a["content"].values()]
        assert all("example" in c and "schema" in c for c in contents)
    page = ask(console, "/api/v1/docs")[2].decode()
    assert not re.search(r'(?:src|href)="https?:', page)
    assert "<script" not in page
    assert all(path in page for path in described["paths"])


def test_schemas_are_published(console: FakeServer) -> None:
    """Those of the documentation."""
    names = json.loads(ask(console, "/api/v1/schemas")[2])
    assert {"alerts", "facts", "quarantine", "scores"} <= set(names)
    for name in names:
        schema = json.loads(ask(console, f"/api/v1/schemas/{name}")[2])
        file = Path(__file__).parents[3] / "docs" / "reference" / "schemas" / f"{name}.json"
        assert schema == json.loads(file.read_text())


@pytest.mark.slow
def test_nothing_that_is_asked_breaks_it(start_console: Start, tmp_path: Path) -> None:
    """schemathesis: no 5xx, answers as described, whatever the request. (Sign-in has its own
    tests; the stream of events does not end, so it is left out.)"""
    console = start_console()
    console.tell("refuse no_patient")
    (tmp_path / "schemathesis.toml").write_text(
        "[checks.negative_data_rejection]\n"
        'expected-statuses = ["400", "401", "403", "404", "405", "409", "413", "415", "422"]\n'
    )
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"),
            "run",
            f"{console.url}/api/v1/openapi.json",
            *("--exclude-path", "/api/v1/events", "--exclude-checks", "ignored_auth"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "15", "--seed", "1"),
            *("--generation-deterministic", "--request-timeout", "60"),
            *("--suppress-health-check", "all"),
            *("--warnings", "off", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=350,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert re.search(r"[1-9]\d\d generated", done.stdout)
