"""A message on a socket, and what a nurse sees in a browser a moment later."""

from __future__ import annotations

import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import async_playwright

from tests.acceptance.system import DYING, System, admission, results, send

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.browser, pytest.mark.slow]


async def test_a_new_alert_appears_without_reload_with_name_and_reasons(
    system: System, chromium: tuple[Path, tuple[str, ...]]
) -> None:
    path, arguments = chromium
    foreign: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(arguments))
        page = await browser.new_page()
        page.on(
            "request",
            lambda r: foreign.append(r.url) if urlsplit(r.url).hostname != "127.0.0.1" else None,
        )
        await page.goto(system.endpoints.console)
        await page.wait_for_selector("h1")
        await page.evaluate("window.sameDocument = true")
        now = time.time()
        await send(
            system,
            admission("900", now - 7200, ward="ICU", bed="B900"),
            *(results("900", now - 3600 + 600 * i, DYING) for i in range(5)),
        )
        link = page.get_by_role("link", name=re.compile("FAMILY900"))
        await link.wait_for(timeout=120_000)
        row = page.locator("tr", has=link)
        words = " ".join((await row.inner_text()).split())
        assert "B900" in words
        assert "Deterioration" in words
        assert re.search(r"\d+ %", words)
        assert re.search(r"\(\+\d", words), "no reasons"
        assert await page.evaluate("window.sameDocument") is True

        await link.click()
        await page.wait_for_url("**/patient/*")
        heading = page.get_by_text("Why: the evidence adds up")
        await heading.wait_for(timeout=120_000)
        await page.get_by_text("Baseline").first.wait_for(timeout=120_000)
        await page.get_by_text("Sum (log-odds)").first.wait_for(timeout=120_000)
        await browser.close()
    assert not foreign
