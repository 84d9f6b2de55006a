"""The quarantine in a real browser: found, understood, mended, sent again, discarded."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.console.conftest import FakeServer, wait_for_rows, wait_for_text
from tests.acceptance.console.test_console_pages import text_of

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Start = Callable[..., FakeServer]
NewPage = Callable[..., Any]


def open_item(console: FakeServer, page: Any, reason: str = "no_patient") -> str:
    name = str(console.tell(f"refuse {reason}"))
    page.goto(f"{console.url}/quarantine/{name}")
    page.wait_for_selector(".message li")
    return name


def test_an_item_appears_and_filters_find_it(start_console: Start, new_page: NewPage) -> None:
    """By reason and state; the filter is in the address; the row leads to the item."""
    console, page = start_console(), new_page()
    page.goto(f"{console.url}/quarantine")
    page.wait_for_selector("text=Nothing waits in quarantine")
    name = console.tell("refuse no_patient")
    console.tell("refuse bad_charset")
    wait_for_rows(page, "=== 2")
    page.get_by_label("Reason").select_option("no_patient")
    wait_for_rows(page, "=== 1")
    page.wait_for_url("**/quarantine?reason=no_patient")
    words = text_of(page, f'tr[data-key="{name}"]')
    assert "Open No patient no usable identifier PID-3 ORU^R01 LAB|HOSP" in words
    page.get_by_role("link", name="No patient").click()
    page.wait_for_url(f"**/quarantine/{name}")


def test_a_message_is_shown_masked_with_what_is_wrong(
    start_console: Start, new_page: NewPage
) -> None:
    """The standard's findings in words, the line at fault, and nobody's name."""
    console, page = start_console(), new_page()
    open_item(console, page)
    body = text_of(page, "body")
    assert "PID-3 is required and missing." in body
    assert text_of(page, ".message .marked").startswith("PID|1||||xxx^xxxx")
    assert "Sent again now it would give: quarantine, no_patient at PID-3." in body
    assert not re.search("Doe|Jane|1950", body)
    assert console.tell("quarantine audit") == []


def test_a_field_is_mended_and_the_message_sent_again(
    start_console: Start, new_page: NewPage
) -> None:
    """Without a reason nothing happens; what would be refused again is not sent."""
    console, page = start_console(), new_page()
    name = open_item(console, page)
    mend = page.get_by_role("button", name="Mend the field and send")
    page.get_by_label("A field anew").fill("PID-5=A^B")
    mend.click()
    page.wait_for_selector("text=Say why")
    page.get_by_label("Why (kept in the audit)").fill("number lost")
    mend.click()
    page.wait_for_selector("text=It would be refused again")
    assert len(console.tell("wire")) == 1
    page.get_by_label("A field anew").fill("PID-3=4711^^^HOSP^MR")
    mend.click()
    page.wait_for_selector("text=/Sent again: \\d+ facts/")
    assert "PID|1||4711^^^HOSP^MR||Doe^Jane" in console.tell("wire")[1]
    (note,) = console.tell("quarantine audit")
    assert (note["event"], note["item"], note["why"]) == (
        "quarantine_redriven",
        name,
        "number lost",
    )
    assert note["who"] == "console without sign-in, from 127.0.0.1"
    page.goto(f"{console.url}/quarantine")
    page.wait_for_selector("text=Nothing waits in quarantine")


def test_patient_data_is_shown_for_a_reason_and_edited(
    start_console: Start, new_page: NewPage
) -> None:
    """The audit knows before the screen does; the edited text is what is sent."""
    console, page = start_console(), new_page()
    open_item(console, page)
    page.get_by_label("Why (kept in the audit)").fill("the number is on the request")
    page.get_by_role("button", name="Show patient data").click()
    box = page.get_by_label("The message as received")
    box.wait_for()
    assert [n["event"] for n in console.tell("quarantine audit")] == ["quarantine_unmasked"]
    text = box.input_value()
    assert "Doe^Jane" in text
    box.fill(text.replace("PID|1||||", "PID|1||4712^^^HOSP^MR||"))
    page.get_by_role("button", name="Send the edited message").click()
    page.wait_for_selector("text=/Sent again: \\d+ facts/")
    sent = console.tell("wire")[1]
    assert sent == console.tell("wire")[0].replace("PID|1||||", "PID|1||4712^^^HOSP^MR||")


def test_an_item_is_discarded_with_a_reason(start_console: Start, new_page: NewPage) -> None:
    """It leaves the open list and is found among the discarded."""
    console, page = start_console(), new_page()
    open_item(console, page, "unsupported_type")
    page.get_by_label("Why (kept in the audit)").fill("a vendor's test")
    page.get_by_role("button", name="Discard").click()
    page.wait_for_selector("text=Discarded. The bytes stay in the log.")
    page.goto(f"{console.url}/quarantine?state=discarded")
    page.get_by_role("link", name="Unsupported type").wait_for()


def test_the_quarantine_fits_a_phone(start_console: Start, new_page: NewPage) -> None:
    """390 px wide, list and item."""
    console, page = start_console(), new_page(390, 844)
    open_item(console, page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.goto(f"{console.url}/quarantine")
    page.wait_for_selector("tbody tr")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_what_was_not_delivered_is_decided_about(start_console: Start, new_page: NewPage) -> None:
    """Tried again or discarded, for a reason, once; who waits and who was told stands above."""
    console, page = start_console(), new_page()
    page.goto(f"{console.url}/deliveries")
    page.wait_for_selector("text=Nothing has been given up.")
    console.tell("undelivered 1")
    console.tell("undelivered 2")
    page.wait_for_selector('tr[data-key="d2"]')
    words = text_of(page, 'tr[data-key="d1"]')
    assert "pager Deterioration, alerting" in words
    assert "The receiver could not be reached the gateway did not answer 9" in words
    console.tell("told 3")
    page.wait_for_selector("text=2 under way, 1 told in the last 24 h, 2 wait for a decision")
    wait_for_text(
        page, 'tr[data-key="pager"]', "pager Does not answer 2 the oldest for 5 min 1 newest"
    )
    page.locator('tr[data-key="d1"] [data-act=retry]').click()
    page.wait_for_selector("text=Give the reason")
    page.get_by_label("Why (kept in the audit)").fill("the gateway is back")
    page.locator('tr[data-key="d1"] [data-act=retry]').click()
    page.wait_for_selector("text=pager: will be tried again.")
    page.wait_for_selector('tr[data-key="d1"]', state="detached")
    page.locator('tr[data-key="d2"] [data-act=discard]').click()
    page.wait_for_selector("text=Nothing has been given up.")
    assert [(n["event"], n["item"]) for n in console.tell("quarantine audit")] == [
        ("dead_letter_retried", "d1"),
        ("dead_letter_discarded", "d2"),
    ]
