"""Alerts read as FHIR R4, judged by the definitions of `fhir.resources`."""

from __future__ import annotations

import json
from typing import Any

from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.flag import Flag
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir.resources.R4B.riskassessment import RiskAssessment
from fhir.resources.R4B.subscription import Subscription

from tests.acceptance.console.conftest import FakeServer
from tests.acceptance.console.test_console_api import post
from tests.acceptance.console.test_console_edge import ask


def get(console: FakeServer, path: str) -> tuple[int, Any]:
    status, headers, body = ask(console, f"/fhir/R4/{path}")
    assert headers["content-type"] == "application/fhir+json"
    return status, json.loads(body)


def test_alerts_are_searched_and_read(console: FakeServer) -> None:
    """Valid bundles, page by page; each entry is read under its own address."""
    for name, kind in (("RiskAssessment", RiskAssessment), ("Flag", Flag)):
        path, seen = f"{name}?_count=4", []
        while path:
            status, found = get(console, path)
            assert status == 200
            bundle = Bundle.model_validate(found)
            assert (bundle.type, bundle.total) == ("searchset", 9)
            seen += [entry["resource"]["id"] for entry in found["entry"]]
            more = [link["url"] for link in found["link"] if link["relation"] == "next"]
            path = more[0].partition("/fhir/R4/")[2] if more else ""
        assert len(set(seen)) == len(seen) == 9
        status, one = get(console, f"{name}/{seen[0]}")
        assert status == 200
        kind.model_validate(one)
        assert "Okafor" not in json.dumps(one)


def test_a_patient_and_a_status_are_searched_for(console: FakeServer) -> None:
    """By pseudonym; an ended alert is an inactive flag."""
    patient = f"p-{3:026d}"
    _, found = get(console, f"Flag?patient:identifier=urn:tocsin:pseudonym:TOCSIN%7C{patient}")
    (entry,) = found["entry"]
    assert entry["resource"]["subject"]["identifier"]["value"] == patient
    assert get(console, "Flag?status=inactive")[1]["total"] == 1
    assert "entry" not in get(console, "Flag?patient:identifier=nobody")[1]


def test_a_search_never_gives_what_was_not_searched_for(console: FakeServer) -> None:
    """What cannot be searched by is refused, not passed over; later pages go on as the first."""
    for query in ("patient=p-1", "subject=Patient/p-1", "_id=none", "date=ge2026"):
        status, outcome = get(console, f"RiskAssessment?{query}")
        assert status == 400
        OperationOutcome.model_validate(outcome)
    _, found = get(console, "Flag?status=active&_count=1")
    links = {link["relation"]: link["url"] for link in found["link"]}
    assert all("status=active" in url and "_count=1" in url for url in links.values())
    _, second = get(console, links["next"].partition("/fhir/R4/")[2])
    assert second["total"] == found["total"] == 8
    assert [entry["resource"]["status"] for entry in second["entry"]] == ["active"]


def test_who_is_told_by_fhir_is_to_be_read(console: FakeServer) -> None:
    """As valid Subscriptions, without what their addresses hide; none is made from here."""
    _, found = get(console, "Subscription")
    assert Bundle.model_validate(found).total == 3
    one = found["entry"][1]["resource"]
    Subscription.model_validate(one)
    assert (one["id"], one["criteria"]) == ("ehr-push-flag", "Flag?")
    assert one["channel"]["endpoint"] == "https://ehr.example/in"
    assert get(console, "Subscription/ehr-push-flag") == (200, one)
    assert get(console, "Subscription/none")[0] == 404
    status, outcome = post(console, "/fhir/R4/Subscription", one, "application/fhir+json")
    assert status == 405
    OperationOutcome.model_validate(outcome)


def test_errors_are_outcomes_and_the_endpoint_says_what_it_can(console: FakeServer) -> None:
    """As the standard has both."""
    for path, expected in (("Flag/none", 404), ("Flag?_count=0", 422), ("Patient", 404)):
        status, body = get(console, path)
        assert status == expected
        OperationOutcome.model_validate(body)
    said = CapabilityStatement.model_validate(get(console, "metadata")[1])
    assert [r.type for r in said.rest[0].resource] == ["RiskAssessment", "Flag", "Subscription"]
