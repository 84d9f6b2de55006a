"""How fast a new alert is on every open screen: `python -m tests.bench.consoles`.

A console in its own process on a fake hospital (500 patients, 200 rescorings a second), and fifty
open consoles: a few real pages of Chromium, in which an alert counts as shown when its row is in
the document, and for the rest viewers (`tests.bench.viewers`) that do on the wire what a page does
and draw nothing: fifty browsers on the machine of the console would measure the browsers. All
clocks are this machine's. CPU time is the console's own process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from streams.local import chromium
from tests.acceptance.console.conftest import ROOT, FakeServer
from tests.conftest import CHROMIUM_ARGUMENTS

Seen = list[dict[str, float]]  # by open console: when each alert came, epoch seconds

_WATCH = """() => { window.seen = {};
  new MutationObserver(() => document.querySelectorAll('tbody tr').forEach(row =>
    window.seen[row.dataset.key] ??= Date.now() / 1000))
  .observe(document.body, {subtree: true, childList: true}); }"""
_PAUSE_S = 0.7  # between alerts


def main() -> None:
    """Open the consoles, raise the alerts, print what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=2, help="real ones, in Chromium")
    parser.add_argument("--viewers", type=int, default=48, help="without a browser")
    parser.add_argument("--patients", type=int, default=500)
    parser.add_argument("--updates", type=float, default=200.0, help="rescorings a second")
    parser.add_argument("--alerts", type=int, default=40)
    parser.add_argument("--open", type=int, default=40, help="alerts open beforehand")
    parser.add_argument("--rest", type=float, default=10.0, help="seconds before the first alert")
    options = parser.parse_args()
    path = chromium.find() if options.pages else None
    if options.pages and path is None:
        raise SystemExit(f"needs Chromium: {chromium.INSTALL}")
    server = FakeServer(
        *("--patients", str(options.patients), "--open", str(options.open)),
        *("--updates", str(options.updates)),
    )
    try:
        viewers = Viewers(server.url, options.viewers)
        if path is None:
            report(server, viewers, lambda: [], options)
            return
        with sync_playwright() as playwright:
            arguments = [*CHROMIUM_ARGUMENTS, "--renderer-process-limit=4"]
            browser = playwright.chromium.launch(executable_path=str(path), args=arguments)
            pages = opened(browser, server.url, options.pages)
            report(server, viewers, lambda: [p.evaluate("window.seen") for p in pages], options)
            browser.close()
    finally:
        server.stop()


class Viewers:
    """`tests.bench.viewers` as a child, watching."""

    def __init__(self, url: str, count: int) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.viewers", url, str(count)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._child.stdout is not None
        if self._child.stdout.readline() != "shown\n":
            raise SystemExit("the viewers did not get their pages")

    def end(self) -> list[dict[str, Any]]:
        """What each of them saw."""
        told, _ = self._child.communicate()
        return list(json.loads(told))


def opened(browser: Browser, url: str, count: int) -> list[Page]:
    """So many real pages, each watching its list."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    pages = [context.new_page() for _ in range(count)]
    for page in pages:
        page.goto(url, wait_until="commit", timeout=120_000)
    for page in pages:
        page.wait_for_selector("tbody tr", timeout=180_000)
        page.evaluate(_WATCH)
    return pages


def report(
    server: FakeServer, viewers: Viewers, on_pages: Callable[[], Seen], options: argparse.Namespace
) -> None:
    """Raise the alerts, and print the seconds from the feed to each open console."""
    process = psutil.Process(server.pid)
    without = _cpu(process)
    time.sleep(options.rest)
    idle = (_cpu(process) - without) / options.rest  # of a core, rescorings and all pages included
    began, used = time.monotonic(), _cpu(process)
    raised = {}
    for n in range(options.open, options.open + options.alerts):
        raised[f"a-p-{n:026d}"] = float(server.tell(f"alert {n}"))
        time.sleep(_PAUSE_S)
    time.sleep(3)
    took, cpu = time.monotonic() - began, _cpu(process) - used
    pages = on_pages()
    told = viewers.end()
    count = max(1, len(pages) + len(told))
    result = {
        "patients": options.patients,
        "rescorings_per_second": options.updates,
        "alerts": len(raised),
        "real_pages": _delays(pages, raised),
        "viewers": _delays([v["seen"] for v in told], raised),
        "all": _delays([*pages, *(v["seen"] for v in told)], raised),
        "console_cpu_share": round(cpu / took, 3),
        "console_cpu_share_without_alerts": round(idle, 3),
        "console_cpu_ms_per_second_and_viewer": round(1_000 * idle / count, 2),
        "console_cpu_ms_per_alert_and_viewer": round(
            1_000 * (cpu - idle * took) / count / len(raised), 2
        ),
        "bytes_per_second_and_viewer": round(sum(v["bytes"] for v in told) / took / count),
        "machine_load": round(psutil.getloadavg()[0], 1),
    }
    print(json.dumps(result, indent=1))  # noqa: T201


def _delays(seen: Seen, raised: dict[str, float]) -> dict[str, float]:
    delays = sorted(s[key] - at for key, at in raised.items() for s in seen if key in s)
    told = {"consoles": float(len(seen)), "missing": float(len(seen) * len(raised) - len(delays))}
    if not delays:
        return told
    return told | {
        "seconds_p50": round(statistics.median(delays), 3),
        "seconds_p99": round(delays[int(0.99 * (len(delays) - 1))], 3),
        "seconds_max": round(delays[-1], 3),
    }


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
