"""A message without a patient's number is mended on the page, and what it says arrives."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from connectors.facts import Observation
from tests.acceptance.system import System, admission, results, send, wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.browser, pytest.mark.slow]

LACTATE = 9.75  # of this test alone


def arrived(system: System) -> list[str]:
    """The patients of whom that lactate is known."""
    return [
        message.patient
        for message in system.messages()
        for fact in message.facts
        if isinstance(fact, Observation) and fact.value == LACTATE
    ]


async def test_a_bad_message_is_mended_on_the_page_and_its_facts_arrive(
    system: System, chromium: tuple[Path, tuple[str, ...]]
) -> None:
    now = time.time()
    broken = results("950", now - 60, {"lactate": LACTATE}).replace(b"950^^^HOSP^MR", b"")
    await send(system, admission("950", now - 3600, bed="B950"), broken)
    path, arguments = chromium
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(arguments))
        page = await browser.new_page()
        await page.goto(f"{system.endpoints.console}/quarantine")
        await page.get_by_role("link", name="No patient").click(timeout=120_000)
        await page.get_by_text("PID-3 is required and missing.").wait_for(timeout=120_000)
        assert "FAMILY950" not in await page.inner_text("body")
        assert arrived(system) == []

        await page.get_by_label("A field anew").fill("PID-3=950^^^HOSP^MR")
        await page.get_by_label("Why (kept in the audit)").fill("the number was lost")
        await page.get_by_role("button", name="Mend the field and send").click()
        await page.locator(".result:not(:empty)").wait_for(timeout=120_000)
        assert (await page.inner_text(".result")).startswith("Sent again:")
        (patient,) = wait_for(lambda: arrived(system), "the mended result")

        await page.goto(f"{system.endpoints.console}/patient/{patient}")
        await page.get_by_text("FAMILY950").first.wait_for(timeout=120_000)
        await page.get_by_text("9.75 mmol/L").first.wait_for(timeout=120_000)
        await browser.close()
