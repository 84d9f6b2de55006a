"""`tocsin demo`: everything on this machine, with a simulated ward, for a person to look at."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
import webbrowser
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from connectors.replay.deliver import Counts
from connectors.settings import KafkaSettings
from connectors.simulator import run as simulator
from streams import settings as settings_module
from streams.cli.local import SignIn
from streams.console.sign_in.development import WARNING
from streams.errors import UserError
from streams.local.errors import LocalError
from streams.local.up import Endpoints, down, is_up, up
from streams.observer import Observer

app = typer.Typer()
_out = Console(highlight=False)

_HEADLESS_S = 60.0
_SETTLE_S = 30.0  # most time for what is under way to arrive after the last message


@app.command()
def demo(
    headless: Annotated[
        bool, typer.Option("--headless", help="No browser; ends by itself after --for seconds.")
    ] = False,
    for_s: Annotated[
        float | None, typer.Option("--for", min=1, help="Seconds; headless: 60 by default.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write what was seen to this file.")
    ] = None,
    patients: Annotated[int, typer.Option(min=1, help="Inpatients of the simulated ward.")] = 40,
    speed: Annotated[float, typer.Option(min=1, help="Hospital seconds per second.")] = 60.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same hospital.")] = 1,
    sign_in: SignIn = False,
) -> None:
    """Start everything with a simulated hospital and show alerts in a browser. Ctrl-C ends it.

    Example: tocsin demo --headless --for 60 --json seen.json
    """
    settings = settings_module.load()
    duration = for_s or (_HEADLESS_S if headless else None)
    mine = not is_up(settings.home)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        endpoints = up(settings, progress=lambda line: _out.print(f"· {line}"), sign_in=sign_in)
        what = simulator.Run(patients=patients, seed=seed, speed=speed, duration=duration)
        kafka = settings.kafka.model_copy(update={"bootstrap": endpoints.kafka})
        _announce(endpoints, what, headless)
        seen = _watch(what, endpoints, kafka)
    except LocalError as error:
        raise UserError(str(error)) from None
    finally:
        if mine:
            _out.print("· stopping")
            down(settings.home)
    if json_file is not None:
        json_file.write_text(json.dumps(seen, indent=2) + "\n")
    _out.print_json(json.dumps(seen))
    if seen["sent"] != seen["acknowledged"]:
        raise UserError(f"{seen['sent'] - seen['acknowledged']} messages were not acknowledged.")


def _announce(endpoints: Endpoints, what: simulator.Run, headless: bool) -> None:
    speed = f"{what.speed:g} hospital seconds a second"
    _out.print(f"\n  [bold]Alerts arrive at[/]  [bold cyan]{endpoints.console}[/]")
    _out.print(f"  {what.patients} simulated patients, {speed}; HL7 goes to {endpoints.mllp}")
    if endpoints.sign_in:
        _out.print(f"  [bold red]![/] {WARNING}")
    _out.print("  Ctrl-C ends it.\n")
    if not headless and (os.environ.get("DISPLAY") or os.uname().sysname == "Darwin"):
        webbrowser.open(endpoints.console)


def _watch(what: simulator.Run, endpoints: Endpoints, kafka: KafkaSettings) -> dict[str, Any]:
    """Run the hospital and show what comes of it; the counts."""
    observer = Observer(kafka)
    counts = Counts()
    host, _, port = endpoints.mllp.rpartition(":")
    began = time.monotonic()
    with Live(_table(counts, observer), console=_out, refresh_per_second=2) as live:

        async def run() -> None:
            await simulator.run(
                what,
                host,
                int(port),
                progress=lambda c: live.update(_table(c, observer)),
                counts=counts,
            )

        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(run())
        _settle(observer)
        live.update(_table(counts, observer))
    seen = observer.close()
    return {
        "seconds": round(time.monotonic() - began, 1),
        "hospital_speed": what.speed,
        "seed": what.seed,
        "patients": len(counts.patients),
        "sent": counts.sent,
        "acknowledged": counts.acknowledged,
        **seen.to_json(),
    }


def _settle(observer: Observer) -> None:
    """Wait until nothing more comes."""
    end = time.monotonic() + _SETTLE_S
    before = (-1, -1)
    while time.monotonic() < end:
        now = (observer.seen.scores, observer.seen.facts)
        if now == before:
            return
        before = now
        time.sleep(1.0)


def _table(counts: Counts, observer: Observer) -> Table:
    seen = observer.seen
    table = Table(box=None, show_header=False, padding=(0, 2))
    clock = datetime.fromtimestamp(counts.time, UTC).strftime("%d %b %H:%M") if counts.time else "–"
    table.add_row("hospital time", clock)
    table.add_row("messages", f"{counts.sent} sent, {counts.acknowledged} acknowledged")
    table.add_row("facts", str(seen.facts))
    table.add_row("scores", f"{seen.scores} for {len(seen.patients)} patients")
    states = ", ".join(f"{n} {state}" for state, n in sorted(seen.by_state().items())) or "none yet"
    table.add_row("alerts", states)
    table.add_row("quarantined", str(sum(seen.quarantined.values())))
    return table
