"""The whole of it in a browser: a policy put into force on its page, an alert that arrives,
escalates, is acknowledged and ends; then the policy is rolled back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from connectors.contract import AlertState
from connectors.hl7 import build
from tests.acceptance.system import DYING, System, admission, results, send

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.browser, pytest.mark.slow]

POLICY = """\
escalation:
- steps:
  - {after: 2s, to: outreach team}
"""
ME = "console without sign-in, from 127.0.0.1"


def discharge(patient: str, at: float) -> bytes:
    segments = build.message("ADT^A03", f"{patient}-out-{at:.0f}", at)
    segments += [
        build.evn("A03", recorded=at, occurred=at),
        build.pid([(patient, "HOSP", "MR")]),
        build.pv1("I", ward="ICU", bed="B970", visit=f"V{patient}", discharged=at),
    ]
    return build.join(segments)


async def put_into_force(system: System, page: Page) -> None:
    await page.goto(f"{system.endpoints.console}/thresholds")
    await page.wait_for_function("document.querySelector('textarea').value !== ''")
    await page.get_by_label("The policy (YAML)").fill(POLICY)
    await page.get_by_label("Why (kept with the version)").fill("outreach comes")
    await page.get_by_role("button", name="Propose").click()
    await page.get_by_role("link", name="1-").click(timeout=120_000)
    await page.get_by_role("button", name="Approve").click(timeout=120_000)
    await page.get_by_role("button", name="Put into force").click(timeout=120_000)
    await page.get_by_text("In force from now on.").wait_for(timeout=120_000)


async def roll_back(system: System, page: Page) -> None:
    await page.goto(f"{system.endpoints.console}/thresholds")
    await page.get_by_text("In force: version 1-").wait_for(timeout=120_000)
    await page.get_by_label("Why (kept in the audit)").fill("too many calls")
    await page.get_by_role("button", name="Roll back").click()
    await page.get_by_text("what the models ship with is in force again.").wait_for()


async def test_an_alert_arrives_escalates_is_acknowledged_and_ends(
    system: System, chromium: tuple[Path, tuple[str, ...]]
) -> None:
    path, arguments = chromium
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(arguments))
        page = await browser.new_page()
        page.set_default_timeout(30_000)
        await put_into_force(system, page)

        await page.goto(system.endpoints.console)
        await page.wait_for_selector("h1")
        now = time.time()
        await send(
            system,
            admission("970", now - 7200, ward="ICU", bed="B970"),
            *(results("970", now - 3600 + 600 * i, DYING) for i in range(5)),
        )
        row = page.locator("tr", has=page.get_by_role("link", name="FAMILY970"))
        await row.wait_for()
        await row.get_by_text("Escalated").wait_for()
        assert "to outreach team, step 1" in await row.inner_text()

        await row.get_by_role("button", name="Acknowledge").click()
        await row.get_by_text(f"by {ME}").wait_for()
        await page.reload()
        await row.get_by_text("Acknowledged").wait_for()  # the store says it as well

        await send(system, discharge("970", time.time()))
        await row.wait_for(state="detached")
        await page.goto(f"{system.endpoints.console}/?state=all")
        await row.get_by_text("Ended", exact=True).wait_for()
        await row.get_by_role("link").first.click()
        await page.get_by_text(f"{ME} acknowledged it.").wait_for()
        await roll_back(system, page)
        await browser.close()

    states = [a.state for a in system.alerts() if a.bed == "B970"]
    assert states[0] is AlertState.FIRING
    assert [s for i, s in enumerate(states) if s not in states[:i]][1:] == [
        AlertState.ESCALATED,
        AlertState.ACKNOWLEDGED,
        AlertState.RESOLVED,
    ]
