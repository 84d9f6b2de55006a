"""Lists of the API in pages: by the links, and by nothing else."""

from __future__ import annotations

import pytest

from streams.console.api import alerts, patients
from streams.console.api.routes import Routes
from streams.console.board import Board
from tests.acceptance.console.fake_hospital import FakeHospital
from tests.unit.console.api import client


def add(routes: Routes) -> None:
    hospital = FakeHospital(5)
    patients.add(routes, hospital, hospital)
    alerts.add(routes, hospital, Board(hospital, hospital, feed_down_s=30))


async def test_the_links_lead_through_the_whole_list() -> None:
    asked, path, seen = client(add), "/api/v1/patients?limit=2", []
    while path:
        page = await asked.get(path)
        assert page.status_code == 200
        seen += [line["patient"] for line in page.json()]
        path = page.links["next"]["url"] if page.links else ""
    assert seen == FakeHospital(5).pseudonyms


@pytest.mark.parametrize("forged", ["AAAA", "zzzz", ".", "0123456789ab.p-1", "p-1", "\u00e9"])
async def test_a_cursor_that_was_in_no_link_is_refused(forged: str) -> None:
    """An empty page would look like the end of the list."""
    for name in ("patients", "alerts", "scores"):
        answer = await client(add).get(f"/api/v1/{name}", params={"cursor": forged})
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert "leave it out" in answer.json()["detail"]


async def test_a_cursor_of_another_list_is_refused() -> None:
    asked = client(add)
    link = (await asked.get("/api/v1/patients?limit=2")).links["next"]["url"]
    assert (await asked.get(link.replace("patients", "alerts"))).status_code == 404
