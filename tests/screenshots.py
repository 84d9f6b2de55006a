"""The pictures of README and docs, taken anew: `make screenshots`.

Everything is started as `tocsin demo` does, with a simulated ward and no other data, in a working
folder of its own; what the pages show then is photographed. Look at each picture before it is
committed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any
from uuid import uuid4

from playwright.sync_api import Browser, Page, sync_playwright

from connectors.simulator import run as simulator
from streams import settings as settings_module
from streams.local import chromium
from streams.local.up import Endpoints, down, up
from tests.conftest import CHROMIUM_ARGUMENTS, ROOT

FOLDER = ROOT / "docs" / "images"
LARGEST = 300_000  # bytes
WIDTH = 1440
_SETTLE_S = 20.0


def main() -> None:
    """Start, simulate, photograph, stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--speed", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    path = chromium.find()
    if path is None:
        raise SystemExit(f"needs Chromium: {chromium.INSTALL}")
    with tempfile.TemporaryDirectory(prefix="tocsin-screenshots-") as home:
        settings = settings_module.load(home=Path(home))
        try:
            endpoints = up(settings, progress=print)
            simulate(endpoints, options)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=str(path), args=list(CHROMIUM_ARGUMENTS)
                )
                Camera(browser, endpoints.console).take_all()
                browser.close()
        finally:
            down(settings.home)


def simulate(endpoints: Endpoints, options: argparse.Namespace) -> None:
    """A ward's traffic; returns when it has been dealt with."""
    what = simulator.Run(
        patients=options.patients,
        seed=options.seed,
        speed=options.speed,
        duration=options.seconds,
    )
    host, _, port = endpoints.mllp.rpartition(":")
    counts = asyncio.run(simulator.run(what, host, int(port)))
    print(f"{counts.sent} messages sent")  # noqa: T201 - its output
    time.sleep(_SETTLE_S)


class Camera:
    """Pictures of one console."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser, self._url = browser, url

    def take_all(self) -> None:
        """Every picture that README and docs show."""
        self._acknowledge_one()
        self._take("alerts", "/", "tbody tr", height=860)
        self._take("patient", f"/patient/{self._worst()}", ".sums tr.total", height=1150)
        self._take("quality", "/quality", "tbody tr", height=760)
        self._take_backtest()
        self._take("quarantine", "/quarantine", "tbody tr", height=640)
        self._take("wall", "/wall", "tbody tr", height=700)
        self._take("phone", "/", "tbody tr", width=390, height=844)
        self._take_fusion()

    def _take(self, name: str, path: str, ready: str, *, width: int = WIDTH, height: int) -> None:
        page = self._page(path, ready, width, height)
        page.screenshot(path=FOLDER / f"{name}.png")
        page.context.close()
        _weigh(name)

    def _take_backtest(self) -> None:
        """Another threshold than the one in force."""
        page = self._page("/backtest?risk=deterioration", "text=In force:", WIDTH, 900)
        page.locator('input[type="range"]').fill("30")
        page.wait_for_selector("text=On trial: 30 %", timeout=120_000)
        page.wait_for_timeout(2_500)
        page.screenshot(path=FOLDER / "backtest.png")
        page.context.close()
        _weigh("backtest")

    def _take_fusion(self) -> None:
        """The section of a risk that images take part in, where the genes are not known yet."""
        found = self._get("/api/v1/scores?risk=glioma-survival&limit=200")
        imaged = [s for s in found if "imaging" in {e["modality"] for e in s["evidence"]}]
        awaited = [s for s in imaged if "genomics" in s["missing"]["modalities"]]
        if not imaged:
            modalities = sorted({e["modality"] for s in found for e in s["evidence"]})
            print(f"fusion.png stays: no images in {len(found)} scores of {modalities}")  # noqa: T201
            return
        best = max(awaited or imaged, key=lambda s: abs(s["log_odds"] or 0))
        page = self._page(f"/patient/{best['patient']}", ".sums tr.total", 1300, 1400)
        page.locator("section.panel", has_text="Glioma survival").first.screenshot(
            path=FOLDER / "fusion.png"
        )
        page.context.close()
        _weigh("fusion")

    def _page(self, path: str, ready: str, width: int, height: int) -> Page:
        context = self._browser.new_context(viewport={"width": width, "height": height})
        page = context.new_page()
        page.goto(self._url + path)
        page.wait_for_selector(ready, timeout=120_000)
        page.wait_for_timeout(2_500)  # charts draw, the mark of what is new fades
        return page

    def _worst(self) -> str:
        alerts = self._get("/api/v1/alerts?risk=deterioration&limit=200")
        open_ = [a for a in alerts if a["state"] in ("firing", "escalated", "acknowledged")]
        if not open_:
            raise SystemExit("no alert is open: simulate for longer")
        best = max(open_, key=lambda a: (a["severity"] == "critical", a["score"]["log_odds"] or 0))
        return str(best["patient"])

    def _acknowledge_one(self) -> None:
        alerts = self._get("/api/v1/alerts?state=firing&limit=200")
        if alerts:
            act = {"alert_id": alerts[0]["alert_id"], "revision": alerts[0]["revision"]}
            self._get("/api/v1/feedback", act | {"id": uuid4().hex, "action": "acknowledge"})
            time.sleep(2)

    def _get(self, path: str, body: object = None) -> Any:
        raw = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - this machine
            self._url + path, raw, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)


def _weigh(name: str) -> None:
    size = (FOLDER / f"{name}.png").stat().st_size
    print(f"{name}.png {size // 1000} kB")  # noqa: T201
    if size > LARGEST:
        raise SystemExit(f"{name}.png is too large for the repository: make it smaller")


if __name__ == "__main__":
    main()
