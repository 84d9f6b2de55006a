"""What the care team does with alerts, in real browsers: buttons, keys, two people at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.console.conftest import FakeServer
from tests.acceptance.console.test_console_api import post
from tests.acceptance.console.test_console_pages import row, text_of
from tests.acceptance.system import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Start = Callable[..., FakeServer]
NewPage = Callable[..., Any]
ME = "console without sign-in, from 127.0.0.1"


def open_list(console: FakeServer, page: Any, n: int = 1) -> Any:
    page.goto(console.url)
    page.wait_for_selector(f"{row(n)} [data-act=acknowledge]")
    return page.locator(row(n))


def test_one_click_acknowledges_and_others_see_it(start_console: Start, new_page: NewPage) -> None:
    """At once as under way, then as the log says, with who; on both screens, without reload."""
    console, mine, theirs = start_console(), new_page(), new_page()
    console.tell("slow 2")
    open_list(console, theirs)
    open_list(console, mine).get_by_role("button", name="Acknowledge").click()
    mine.wait_for_selector(f"{row(1)} >> text=Acknowledging …")
    theirs.wait_for_selector(f"{row(1)} >> text=by {ME}")
    mine.wait_for_selector(f"{row(1)} >> text=by {ME}")
    mine.wait_for_selector(f"{row(1)} >> text=Acknowledging …", state="detached")
    (acted,) = console.tell("acted")
    assert (acted["action"], acted["who"], acted["revision"]) == ("acknowledge", ME, 1)
    assert len(acted["id"]) >= 32
    assert mine.locator(f"{row(1)} [data-act=acknowledge]").count() == 0


def test_two_clicks_at_once_end_in_one_state(start_console: Start, new_page: NewPage) -> None:
    """One dismisses while the other acknowledges: both see the end, and the second is told."""
    console, mine, theirs = start_console(), new_page(), new_page()
    console.tell("slow 5")  # so that the second still finds the button
    for page in (mine, theirs):
        page.goto(f"{console.url}/?state=all")
        page.wait_for_selector(f"{row(1)} [data-act=more]")
    mine.locator(f"{row(1)} [data-act=more]").click()
    mine.get_by_label("What to do").select_option("dismiss")
    mine.locator("dialog").get_by_role("button", name="Dismiss").click()
    theirs.locator(f"{row(1)} [data-act=acknowledge]").click()
    for page in (mine, theirs):
        page.wait_for_selector(f"{row(1)} >> text=Ended")
    theirs.wait_for_selector(f"{row(1)} >> text=The alert had ended already")
    assert [a["action"] for a in console.tell("acted")] == ["dismiss", "acknowledge"]


def test_keys_act_on_the_row_in_focus(start_console: Start, new_page: NewPage) -> None:
    """Arrows move, letters act, the dialog takes the focus and gives it back."""
    console, page = start_console(), new_page()
    open_list(console, page)
    page.keyboard.press("a")  # nothing in focus: nothing happens
    page.locator(f"{row(1)} a").focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('tr').dataset.key") == f"a-p-{0:026d}"
    page.keyboard.press("s")
    page.get_by_label("For how long").wait_for()
    page.get_by_label("For how long").select_option("60")
    page.keyboard.press("Escape")
    page.wait_for_function(
        "key => document.activeElement.closest('tr')?.dataset.key === key", arg=f"a-p-{0:026d}"
    )
    assert console.tell("acted") == []
    page.keyboard.press("s")
    page.get_by_label("For how long").select_option("60")
    page.locator("dialog").get_by_role("button", name="Snooze").press("Enter")
    page.wait_for_selector(f"{row(0)} >> text=Snoozed")
    (acted,) = console.tell("acted")
    assert acted["until"] - acted["at"] == pytest.approx(3600, abs=60)
    page.locator(f"{row(0)} a").focus()
    page.keyboard.press("a")
    page.wait_for_selector(f"{row(0)} >> text=Acknowledged")


def test_each_action_says_what_it_needs(start_console: Start, new_page: NewPage) -> None:
    """A reason of `other` needs words, handing over a name; what was said is sent."""
    console, page = start_console(), new_page()
    cell = open_list(console, page, 2)
    dialog = page.locator("dialog")
    cell.get_by_role("button", name="More …").click()
    page.get_by_label("What to do").select_option("hand_over")
    dialog.get_by_role("button", name="Hand over").click()
    assert console.tell("acted") == []  # the browser asks for the name
    page.get_by_label("To whom").fill("outreach team")
    dialog.get_by_role("button", name="Hand over").click()
    page.wait_for_selector(f"{row(2)} >> text=handed to outreach team")
    cell.get_by_role("button", name="More …").click()
    page.get_by_label("What to do").select_option("dismiss")
    page.get_by_label("Reason").select_option("other")
    dialog.get_by_role("button", name="Dismiss").click()
    assert len(console.tell("acted")) == 1
    page.get_by_role("textbox", name="Comment").fill("<b>line fell out</b>")
    dialog.get_by_role("button", name="Dismiss").click()
    page.wait_for_selector(row(2), state="detached")
    acted = console.tell("acted")[-1]
    assert (acted["reason"], acted["comment"]) == ("other", "<b>line fell out</b>")


def test_an_action_that_the_log_does_not_take_is_said(
    start_console: Start, new_page: NewPage
) -> None:
    """Nothing looks done that is not; another press does it."""
    console, page = start_console(), new_page()
    console.tell("log away")
    button = open_list(console, page).get_by_role("button", name="Acknowledge")
    button.click()
    page.wait_for_selector(f"{row(1)} >> text=it was not recorded. Try again.")
    assert "Alerting" in text_of(page, row(1))
    console.tell("log back")
    button.click()
    page.wait_for_selector(f"{row(1)} >> text=Acknowledged")


def test_an_action_that_nobody_confirms_is_repeated_and_counts_once(
    start_console: Start, new_page: NewPage
) -> None:
    """The log is silent: the page does not say that it is lost, the API neither. When the log is
    back, both presses arrive, under one id."""
    console, page = start_console(), new_page()
    button = open_list(console, page).get_by_role("button", name="Acknowledge")
    console.tell("log silent")
    for _ in range(2):
        button.click()
        page.wait_for_selector(f"{row(1)} >> text=doing it again counts once")
    act = {"id": "c9", "alert_id": f"a-p-{2:026d}", "revision": 1, "action": "acknowledge"}
    status, problem = post(console, "/api/v1/feedback", act)
    assert (status, problem["title"]) == (503, "Not confirmed")
    console.tell("log back")
    page.wait_for_selector(f"{row(1)} >> text=Acknowledged")
    acted = wait_for(lambda: a if len(a := console.tell("acted")) >= 3 else None, "all arrive")
    assert len(acted) == 3
    assert len({a["id"] for a in acted}) == 2
    page.wait_for_selector(f"{row(1)} >> text=counts once", state="detached")


def test_the_dialog_fits_a_phone(start_console: Start, new_page: NewPage) -> None:
    """390 px wide."""
    console, page = start_console(), new_page(390, 844)
    open_list(console, page).get_by_role("button", name="More …").click()
    page.get_by_label("What to do").wait_for()
    assert page.evaluate("document.querySelector('dialog').getBoundingClientRect().right") <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_patient_page_acts_and_shows_what_was_done(
    start_console: Start, new_page: NewPage
) -> None:
    """The same buttons; the history names who did what."""
    console, page = start_console(), new_page()
    page.goto(f"{console.url}/alert/a-p-{1:026d}")
    page.wait_for_url(f"**/patient/p-{1:026d}#deterioration")
    section = page.locator("#deterioration")
    section.get_by_role("button", name="Acknowledge").click()
    page.wait_for_selector(f"#deterioration >> text=acknowledged by {ME}")
    history = page.locator('section[aria-label="Alert history"]')
    history.get_by_text(f"{ME} acknowledged it.").wait_for()
    section.get_by_role("button", name="More …").click()
    page.get_by_label("What to do").select_option("outcome")
    page.get_by_label("What became of the patient").select_option("averted")
    page.locator("dialog").get_by_role("button", name="Mark outcome").click()
    history.get_by_text("treatment kept it from happening").wait_for()
    assert [a["action"] for a in console.tell("acted")] == ["acknowledge", "outcome"]


def test_an_ehr_opens_a_patient_by_number(start_console: Start, new_page: NewPage) -> None:
    """Resolved through the vault, audited; nobody of that number is said in words."""
    console, page = start_console(), new_page()
    page.goto(f"{console.url}/patient?id=CITY|MR|{100_003}")
    page.wait_for_url(f"**/patient/p-{3:026d}")
    page.wait_for_selector("h1:has-text('Tanaka, Kenji')")
    assert console.tell("audit")[0] == [[f"p-{3:026d}"], ME]
    page.goto(f"{console.url}/patient?id=CITY|MR|1")
    page.wait_for_selector("text=Nobody is known by this number.")
    page.goto(f"{console.url}/patient?id=1")
    page.wait_for_selector("text=A patient is named as authority|type|number")
    page.goto(f"{console.url}/alert/none")
    page.wait_for_selector("text=No alert is known under this address.")


def test_a_wall_screen_shows_beds_and_no_names(start_console: Start, new_page: NewPage) -> None:
    """Large, by ward, current by itself, and nothing is asked of the vault."""
    console, page = start_console(), new_page(1920, 1080)
    page.goto(f"{console.url}/wall?ward=3A")
    page.wait_for_selector(row(2))
    console.tell("alert 20")
    page.wait_for_selector(row(20))
    size = page.eval_on_selector(f"{row(20)} td.c-bed .value", "e => getComputedStyle(e).fontSize")
    assert float(size.removesuffix("px")) >= 36
    assert text_of(page, f"{row(20)} td.c-bed") == "4"
    assert page.get_by_role("button").count() == 0
    assert console.tell("audit") == []
