"""Thresholds in a real browser: proposed, approved, in force, rolled back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.console.conftest import FakeServer, wait_for_text
from tests.acceptance.console.test_console_pages import text_of

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Start = Callable[..., FakeServer]
NewPage = Callable[..., Any]
TEXT = "risks:\n  deterioration:\n    fire: 0.45\n"


def propose(console: FakeServer, page: Any, text: str, why: str = "fewer at night") -> None:
    page.goto(f"{console.url}/thresholds")
    box = page.get_by_label("The policy (YAML)")
    page.wait_for_function("document.querySelector('textarea').value !== ''")
    box.fill(text)
    page.get_by_label("Why (kept with the version)").fill(why)
    page.get_by_role("button", name="Propose").click()


def counts(page: Any, words: str) -> None:
    wait_for_text(page, 'section[aria-label="What counts now"]', words)


def test_a_version_goes_from_proposal_into_force_and_back(
    start_console: Start, new_page: NewPage
) -> None:
    """Shown before it is proposed; one click rolls it back."""
    console, page = start_console(), new_page()
    page.goto(f"{console.url}/thresholds")
    page.wait_for_selector("text=In force: the thresholds that the models ship with.")
    counts(page, "Deterioration all 30 % 20 % 60 %")
    page.wait_for_function("document.querySelector('textarea').value !== ''")
    page.get_by_label("The policy (YAML)").fill(TEXT)
    page.get_by_role("button", name="Show what would change").click()
    page.wait_for_selector(".message .added >> text=fire: 0.45")
    propose(console, page, TEXT)
    page.get_by_role("link", name="1-").click()
    page.wait_for_selector("text=Waits for approval")
    page.get_by_role("button", name="Approve").click()
    page.get_by_role("button", name="Put into force").click()
    page.wait_for_selector("text=In force from now on.")
    page.goto(f"{console.url}/thresholds")
    page.wait_for_selector("text=In force: version 1-")
    counts(page, "45 % shipped: 30 %")
    back = page.locator(".one-click")
    back.get_by_role("button", name="Roll back").click()
    page.wait_for_selector("text=Say why")
    back.get_by_label("Why (kept in the audit)").fill("missed one")
    back.get_by_role("button", name="Roll back").click()
    page.wait_for_selector("text=what the models ship with is in force again.")
    counts(page, "Deterioration all 30 % 20 % 60 %")
    page.wait_for_selector("text=Rolled back")


def test_a_policy_that_cannot_be_used_is_said(start_console: Start, new_page: NewPage) -> None:
    """With the place in it, and nothing is written down."""
    console, page = start_console(), new_page()
    propose(console, page, "risks: {deterioration: {fire: 1.4}}\n")
    page.wait_for_selector("text=risks.deterioration.fire")
    propose(console, page, "risks: {deterioration: {fire: 0.1}}\n")
    page.wait_for_selector("text=is above fire")
    page.wait_for_selector("text=No version has been proposed yet.")


def test_two_people_where_two_are_required(start_console: Start, new_page: NewPage) -> None:
    """The author's own approval is refused in words."""
    console, page = start_console("--two-person"), new_page()
    propose(console, page, TEXT)
    page.get_by_role("link", name="1-").click()
    page.get_by_role("button", name="Approve").click()
    page.wait_for_selector(".result:not(:empty)")
    assert "somebody else has to approve it" in text_of(page, ".result")
    assert "Waits for approval" in text_of(page, ".identity")


def set_slider(page: Any, percent: int) -> None:
    page.get_by_label("Alerts from this risk on").evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true}));"
        " e.dispatchEvent(new Event('change', {bubbles: true})); }",
        str(percent),
    )
    page.wait_for_selector(f"text=On trial: {percent} %.")


def test_a_threshold_is_tried_before_it_is_proposed(
    start_console: Start, new_page: NewPage
) -> None:
    """What it would have meant, with intervals and names; then it goes into a proposal."""
    console, page = start_console(), new_page()
    page.goto(f"{console.url}/backtest")
    page.wait_for_selector("text=On trial: 30 %. In force: 30 %.")
    page.wait_for_selector("text=They call for the same patients.")
    set_slider(page, 60)
    figures = text_of(page, 'section[aria-label="In force against on trial"]')
    alerts = figures.split("Alerts ")[1].split()
    assert int(alerts[0]) > int(alerts[1])
    whom = page.locator('section[aria-label="Whom the two differ about"]')
    whom.get_by_text("no longer called").first.wait_for()
    page.wait_for_selector('section[aria-label="Curves"] .js-plotly-plot .cartesianlayer')
    page.get_by_role("link", name="Propose this threshold").click()
    page.wait_for_function("document.querySelector('textarea')?.value.includes('fire: 0.6')")
    page.get_by_role("button", name="Show what would change").click()
    page.wait_for_selector(".message .added >> text=fire: 0.6")
