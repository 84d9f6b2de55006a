"""The console in a real browser, on a fake hospital."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.console.conftest import (
    FakeServer,
    wait_for_rows,
    wait_for_text,
    wait_for_title,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Start = Callable[..., FakeServer]
NewPage = Callable[..., Any]


def row(n: int) -> str:
    """The row of the alert of patient number `n`."""
    return f'tr[data-key="a-p-{n:026d}"]'


def patient_path(n: int) -> str:
    return f"/patient/p-{n:026d}"


def text_of(page: Any, selector: str) -> str:
    """Text with single, breaking spaces."""
    return " ".join(page.inner_text(selector).split())


def test_a_new_alert_appears_without_reload_and_is_announced(
    start_console: Start, new_page: NewPage
) -> None:
    """The row, the count in the title and the words for screen readers come by themselves."""
    console, page = start_console(), new_page()
    page.goto(console.url)
    page.wait_for_selector(row(1))
    page.evaluate("window.sameDocument = true")
    wait_for_title(page, "7 alerting, 1 acknowledged – Tocsin")

    console.tell("alert 20")

    page.wait_for_selector(row(20))
    words = text_of(page, row(20))
    assert "Critical Alerting" in words
    assert "O'Brien-Moreau, Grace" in words
    assert "Ward 3A, bed 4" in words
    assert re.search(r"Deterioration 80 % 73–89 %", words)
    assert "Lactate" in words
    assert "mmol/L (+" in words
    assert "Most telling next: Arterial pH" in words
    wait_for_title(page, "8 alerting, 1 acknowledged – Tocsin")
    said = "Critical alert, O'Brien-Moreau, Grace, Ward 3A, bed 4, Deterioration, 80 %"
    wait_for_text(page, "[aria-live=polite]", said)
    assert page.evaluate("window.sameDocument") is True

    console.tell("resolve 20")

    page.wait_for_selector(row(20), state="detached")
    wait_for_title(page, "7 alerting, 1 acknowledged – Tocsin")


def test_alerts_stand_by_severity_then_time(console: FakeServer, new_page: NewPage) -> None:
    """Critical first; within a severity the newest first."""
    page = new_page()
    page.goto(console.url)
    page.wait_for_selector(row(1))
    badges = page.eval_on_selector_all(".badge", "all => all.map(b => b.textContent.trim())")
    assert badges == sorted(badges, key=["Critical", "Warning"].index)
    keys = page.eval_on_selector_all("tbody tr", "all => all.map(r => r.dataset.key)")
    assert keys[:3] == [f"a-p-{n:026d}" for n in (1, 0, 2)]


def test_filters_narrow_the_list_and_are_kept_in_the_address(
    console: FakeServer, new_page: NewPage
) -> None:
    """Ward and state; a link to the filtered list shows the filtered list."""
    page = new_page()
    page.goto(console.url)
    page.wait_for_selector(row(1))
    page.get_by_label("Ward").select_option("2A")
    page.wait_for_selector(row(0), state="detached")
    wait_for_rows(page, "=== 2")
    page.get_by_label("Show").select_option("resolved")
    page.wait_for_selector("text=No alerts of this kind in ward 2A")
    page.wait_for_url("**/?ward=2A&state=resolved")
    page.goto(f"{console.url}/?ward=3A&state=all")
    page.wait_for_selector(row(8))
    assert "Ended" in text_of(page, row(8))
    assert page.get_by_label("Ward").input_value() == "3A"


def test_the_patient_page_adds_up(console: FakeServer, new_page: NewPage) -> None:
    """Baseline and findings add up to the sum on screen, and the sum to the probability."""
    page = new_page()
    page.goto(console.url + patient_path(1))
    page.wait_for_selector(".sums tr.total")
    effects = page.eval_on_selector_all(
        ".sums tbody tr",
        "all => all.map(r => [r.className, r.querySelector('td.c-effect').innerText.trim()])",
    )
    figures = [
        (kind, round(100 * float(text.replace("−", "-"))))
        for kind, text in effects
        if "%" not in text
    ]
    parts = [x for kind, x in figures if kind in ("baseline", "feature", "rest")]
    (total,) = (x for kind, x in figures if kind == "total")
    (subtotal,) = (x for kind, x in figures if kind == "strong")
    assert len(parts) >= 6
    assert sum(parts) == total
    assert parts[0] + subtotal == total
    score = console.tell("score 1")
    assert total == round(100 * score["log_odds"])
    shown = text_of(page, ".score-now .big")
    assert shown == f"{100 / (1 + math.exp(-score['log_odds'])):.0f} %"
    assert effects[-1][1].replace("\u00a0", " ") == shown


def test_the_patient_page_shows_record_and_history(console: FakeServer, new_page: NewPage) -> None:
    """Identity, trends, results with status, what was not used and why, alert history."""
    page = new_page()
    page.goto(console.url + patient_path(3))
    page.wait_for_selector(".js-plotly-plot .cartesianlayer")
    assert text_of(page, "h1") == "Tanaka, Kenji"
    assert "71 years, male, born 4 Apr 1955" in text_of(page, ".identity")
    assert "Ward 4A, bed 1" in text_of(page, ".identity")
    panels = {
        title: text_of(page, f'section[aria-label="{title}"]')
        for title in ("Results", "Received and not used", "Alert history")
    }
    assert "CRP 164 mg/L critically high Corrected" in panels["Results"]
    assert "Potassium 3.9 mmol/L Preliminary" in panels["Results"]
    assert "Troponin T < 0.01 µg/L Final" in panels["Results"]
    assert "Heart rate 0 /min not plausible" in panels["Received and not used"]
    assert "deleted by the sender" in panels["Received and not used"]
    assert "revision 2" in panels["Alert history"]
    assert "revision 1" in panels["Alert history"]
    for strip in (
        "Deterioration, risk",
        "Heart rate",
        "Blood pressure",
        "Oxygen saturation",
        "Respiratory rate",
        "Temperature",
        "Lactate",
    ):
        page.wait_for_function(
            "strip => [...document.querySelectorAll('.annotation-text')]"
            ".some(t => t.textContent.includes(strip))",
            arg=strip,
        )


def test_a_model_that_abstains_says_why(start_console: Start, new_page: NewPage) -> None:
    """No number is made up, and the reason is in words, on both pages, without reload."""
    console, page = start_console(), new_page()
    page.goto(console.url + patient_path(2))
    page.wait_for_selector(".sums tr.total")
    console.tell("abstain 2")
    page.wait_for_selector("text=the newest data are too old")
    wait_for_text(page, ".score-now .big", "No score")
    page.goto(console.url)
    page.wait_for_selector(row(2))
    assert "No score the newest data are too old" in text_of(page, row(2))


def test_patients_are_found_by_name_pseudonym_and_bed(
    console: FakeServer, new_page: NewPage
) -> None:
    """One search box; results lead to the patient."""
    page = new_page()
    page.goto(f"{console.url}/patients")
    page.wait_for_selector("tbody tr")
    wait_for_rows(page, "=== 24")
    box = page.get_by_label("Search name, pseudonym or bed")
    for words, expected in (("haddad lay", 1), (f"{7:026d}", 1), ("ward 2a bed 3", 1)):
        box.fill(words)
        wait_for_rows(page, f"=== {expected}")
    box.fill("nobody of this name")
    page.wait_for_selector("text=Nobody matches the filter.")


def test_five_hundred_patients_stay_usable(start_console: Start, new_page: NewPage) -> None:
    """500 open alerts and 50 rescorings a second: a new alert comes, filters answer."""
    console = start_console("--patients", "500", "--open", "499", "--updates", "50")
    page = new_page()
    page.goto(console.url)
    page.wait_for_selector(row(1))
    wait_for_rows(page, "> 400")
    console.tell("alert 499")
    page.wait_for_selector(row(499))
    page.get_by_label("Ward").select_option("2A")
    wait_for_rows(page, "< 100")
    page.goto(f"{console.url}/patients")
    wait_for_rows(page, "=== 500")


def test_only_changed_rows_are_rendered_again(start_console: Start, new_page: NewPage) -> None:
    """A change of one alert touches its own row and no other."""
    console, page = start_console("--patients", "60", "--open", "50"), new_page()
    page.goto(console.url)
    page.wait_for_selector(row(5))
    page.evaluate(
        """() => { window.touched = new Set();
        new MutationObserver(all => all.forEach(m => {
          const row = (m.target.closest ? m.target : m.target.parentElement).closest('tr');
          if (row) window.touched.add(row.dataset.key);
        })).observe(document.querySelector('tbody'),
          {subtree: true, childList: true, attributes: true, characterData: true}); }"""
    )
    console.tell("escalate 5")
    page.wait_for_selector(f"{row(5)} >> text=Escalated")
    assert page.evaluate("[...window.touched]") == [f"a-p-{5:026d}"]


def test_a_silent_feed_is_said_and_ends(start_console: Start, new_page: NewPage) -> None:
    """How long, and how old the picture is; the banner goes when the feed speaks again."""
    console, page = start_console("--updates", "5"), new_page()
    page.goto(console.url)
    page.wait_for_selector("text=Live")
    console.tell("feed silent")
    banner = page.wait_for_selector(".banner[role=alert]")
    assert re.search(
        r"No data for \d+ s: the picture is from \d\d:\d\d:\d\d\.",
        " ".join(banner.inner_text().split()),
    )
    console.tell("feed speaking")
    page.wait_for_selector(".banner", state="detached")


def test_a_store_that_is_away_leaves_the_picture(start_console: Start, new_page: NewPage) -> None:
    """The list stays, the banner says why it may miss something."""
    console, page = start_console(), new_page()
    page.goto(console.url)
    page.wait_for_selector(row(1))
    console.tell("store away")
    page.goto(console.url + patient_path(1))
    page.wait_for_selector("text=The patient store cannot be reached.")
    console.tell("store back")
    page.wait_for_selector(".sums tr.total")
    page.wait_for_selector(".banner", state="detached")


def test_a_lost_connection_is_said_and_catches_up(start_console: Start, new_page: NewPage) -> None:
    """The server dies and comes back: the page says so, then shows the new picture by itself."""
    console, page = start_console(), new_page()
    page.goto(f"{console.url}/?ward=2A")
    page.wait_for_selector(row(1))
    port = console.port
    console.kill()
    page.wait_for_selector("text=Connection to Tocsin lost")
    assert page.locator(row(1)).is_visible()
    again = start_console("--port", str(port), "--open", "20")
    assert again.port == port
    page.wait_for_selector(row(13))
    page.wait_for_selector(".banner", state="detached")


def test_a_short_break_is_made_up_without_reload(start_console: Start, new_page: NewPage) -> None:
    """What happened while a phone had no network is there when it has one."""
    console, page = start_console(), new_page()
    page.goto(console.url)
    page.wait_for_selector(row(1))
    page.evaluate("window.sameDocument = true; window.socket.disconnect()")
    page.wait_for_selector("text=Connection to Tocsin lost")
    console.tell("alert 20")
    page.evaluate("window.socket.connect()")
    page.wait_for_selector(row(20))
    page.wait_for_selector(".banner", state="detached")
    assert page.evaluate("window.sameDocument") is True


def test_a_page_that_hangs_cannot_look_alive(start_console: Start, new_page: NewPage) -> None:
    """Connected, yet nothing comes: the page itself notices and says so."""
    console, page = start_console(), new_page()
    page.goto(console.url)
    page.wait_for_selector("text=Live")
    console.tell("hang 20")
    page.wait_for_selector("text=This page is no longer brought up to date")
    assert page.get_by_text("Not updated").is_visible()


@pytest.mark.parametrize("path", ["/", "/patients", patient_path(1)])
def test_no_page_scrolls_sideways_on_a_phone(
    console: FakeServer, new_page: NewPage, path: str
) -> None:
    """390 px wide."""
    page = new_page(390, 844)
    page.goto(console.url + path)
    page.wait_for_selector("tbody tr")
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_everything_is_reached_with_the_keyboard(console: FakeServer, new_page: NewPage) -> None:
    """Skip link, navigation, filters, then the first patient; Enter opens the page."""
    page = new_page()
    page.goto(console.url)
    page.wait_for_selector(row(1))
    reached = []
    for _ in range(11):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(e => e.closest('label')?.firstChild.textContent.trim() || e.textContent.trim())"
                "(document.activeElement)"
            )
        )
    assert reached == [
        "Skip to the content",
        "Alerts",
        "Patients",
        "Quality",
        "Thresholds",
        "Back-test",
        "Deliveries",
        "Quarantine",
        "Ward",
        "Show",
        "Lindqvist, Ingrid",
    ]
    page.keyboard.press("Enter")
    page.wait_for_url("**/patient/*")


def test_a_name_is_text_and_never_markup(start_console: Start, new_page: NewPage) -> None:
    """What a sender writes into PID-5 does not run in a nurse's browser."""
    console, page = start_console(), new_page()
    name = "<img/src=x/onerror=document.title='owned'>${1+1}`{{7*7}}"
    console.tell(f"name 1 {name}")
    for path in ("/", "/patients", patient_path(1)):
        page.goto(console.url + path)
        page.wait_for_selector("tbody tr")
        page.wait_for_function("n => document.body.innerText.includes(n)", arg=name)
        assert page.title() != "owned"
        assert page.locator("img[src=x]").count() == 0


def test_every_name_on_screen_was_looked_up_once_for_that_page(
    start_console: Start, new_page: NewPage
) -> None:
    """The vault is asked for those who are shown, by a named asker, and not again."""
    console, page = start_console("--updates", "20"), new_page()
    page.goto(f"{console.url}/?ward=2A")
    page.wait_for_selector(row(1))
    page.wait_for_timeout(1_000)
    looked_up = console.tell("audit")
    assert looked_up == [
        [[f"p-{1:026d}", f"p-{7:026d}"], "console without sign-in, from 127.0.0.1"]
    ]


def test_an_unknown_patient_is_said_in_words(console: FakeServer, new_page: NewPage) -> None:
    """An old link leads to a sentence, not to an error."""
    page = new_page()
    page.goto(f"{console.url}/patient/p-nobody")
    page.wait_for_selector("text=No patient is known under this address.")
