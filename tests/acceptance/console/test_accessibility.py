"""WCAG 2.2 A and AA, as far as a program can tell: axe-core's rules on every page."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.acceptance.console.conftest import FakeServer
from tests.acceptance.console.test_console_pages import patient_path

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
OPTIONS = {"resultTypes": ["violations"], "runOnly": {"type": "tag", "values": TAGS}}
Start = Callable[..., FakeServer]
NewPage = Callable[..., Any]


def violations(page: Any) -> list[str]:
    """Rule and first place of each."""
    found = Axe().run(page, options=OPTIONS).response["violations"]
    return [f"{v['id']}: {json.dumps(v['nodes'][0]['target'])} ({len(v['nodes'])})" for v in found]


def test_pages_keep_the_rules(start_console: Start, new_page: NewPage) -> None:
    """Labels, names, roles, contrast as drawn; the dialog too; on a phone as well."""
    console = start_console()
    item = console.tell("refuse no_patient")
    console.tell("undelivered 1")
    found: dict[str, list[str]] = {}
    for width in (1440, 390):
        page = new_page(width, 900)
        for path, ready in (
            ("/", "[data-act=more]"),
            ("/patients", "tbody tr"),
            (patient_path(1), ".sums tr.total"),
            ("/wall?ward=2A", "tbody tr"),
            ("/quality", "tbody tr"),
            ("/thresholds", "tbody tr"),
            ("/backtest", "text=In force: 30 %."),
            ("/deliveries", "tbody tr"),
            ("/quarantine", "tbody tr"),
            (f"/quarantine/{item}", ".message li"),
        ):
            page.goto(console.url + path)
            page.wait_for_selector(ready)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                found.setdefault(f"{path} at {width}", []).append("scrolls sideways")
            if problems := violations(page):
                found.setdefault(f"{path} at {width}", []).extend(problems)
        page.goto(console.url)
        page.locator("[data-act=more]").first.click()
        page.get_by_label("What to do").wait_for()
        if problems := violations(page):
            found[f"dialog at {width}"] = problems
    assert found == {}
