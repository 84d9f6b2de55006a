"""How fast a new alert is on every open screen: `python -m tests.bench.consoles`.

A console in its own process on a fake hospital (500 patients, 200 rescorings a second), and so many
real pages of one Chromium. Every page notes when a new alert's row is in its document; all clocks
are this machine's. Browsers and console share the machine, which they would not in a hospital, so
the CPU time of the console's process is told beside the latencies.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from streams.local import chromium
from tests.acceptance.console.conftest import FakeServer
from tests.conftest import CHROMIUM_ARGUMENTS

_WATCH = """() => { window.seen = {};
  new MutationObserver(() => document.querySelectorAll('tbody tr').forEach(row =>
    window.seen[row.dataset.key] ??= Date.now() / 1000))
  .observe(document.body, {subtree: true, childList: true}); }"""


def main() -> None:
    """Open the pages, raise the alerts, print what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--patients", type=int, default=500)
    parser.add_argument("--updates", type=float, default=200.0, help="rescorings a second")
    parser.add_argument("--alerts", type=int, default=20)
    parser.add_argument("--open", type=int, default=40, help="alerts open beforehand")
    options = parser.parse_args()
    path = chromium.find()
    if path is None:
        raise SystemExit(f"needs Chromium: {chromium.INSTALL}")
    server = FakeServer(
        *("--patients", str(options.patients), "--open", str(options.open)),
        *("--updates", str(options.updates)),
    )
    try:
        with sync_playwright() as playwright:
            arguments = [*CHROMIUM_ARGUMENTS, "--renderer-process-limit=4"]
            browser = playwright.chromium.launch(executable_path=str(path), args=arguments)
            pages = opened(browser, server.url, options.pages)
            print(json.dumps(measured(server, pages, options), indent=1))  # noqa: T201
            browser.close()
    finally:
        server.stop()


def opened(browser: Browser, url: str, count: int) -> list[Page]:
    """So many consoles, each watching its list."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    pages = [context.new_page() for _ in range(count)]
    for page in pages:
        page.goto(url, wait_until="commit", timeout=120_000)
    for page in pages:
        page.wait_for_selector("tbody tr", timeout=180_000)
        page.evaluate(_WATCH)
    return pages


def measured(server: FakeServer, pages: list[Page], options: argparse.Namespace) -> dict[str, Any]:
    """Seconds from the feed to the document of each page, alert by alert."""
    process = psutil.Process(server.pid)
    began, used = time.monotonic(), _cpu(process)
    raised = {}
    for n in range(options.open, options.open + options.alerts):
        raised[f"a-p-{n:026d}"] = float(server.tell(f"alert {n}"))
        time.sleep(0.7)
    time.sleep(3)
    took, cpu = time.monotonic() - began, _cpu(process) - used
    seen = [page.evaluate("window.seen") for page in pages]
    delays = sorted(s[key] - at for key, at in raised.items() for s in seen if key in s)
    lost = len(pages) * len(raised) - len(delays)
    return {
        "pages": len(pages),
        "patients": options.patients,
        "rescorings_per_second": options.updates,
        "alerts": len(raised),
        "missing": lost,
        "seconds_p50": round(statistics.median(delays), 3),
        "seconds_p99": round(delays[int(0.99 * (len(delays) - 1))], 3),
        "seconds_max": round(delays[-1], 3),
        "console_cpu_share": round(cpu / took, 3),
        "machine_load": round(psutil.getloadavg()[0], 1),
    }


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
