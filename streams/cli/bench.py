"""`tocsin bench`: throughput and latency of the whole line, measured on this machine."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from streams import settings as settings_module
from streams.errors import UserError
from streams.local.errors import LocalError
from streams.local.state import Command
from streams.local.up import PROCESSES, Endpoints, down, up

app = typer.Typer()
_err = Console(stderr=True, highlight=False)


def _say(line: str) -> None:
    _err.print(f"· {line}")


def _processes(workers: int) -> list[Command]:
    """All processes, and further workers beside the first."""
    worker = next(command for command in PROCESSES if command.name == "worker")
    more = [worker._replace(name=f"worker{n}") for n in range(2, workers + 1)]
    return [*PROCESSES, *more]


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part)
    except ValueError:
        raise UserError(f"{option}: {text!r} is no list of numbers, e.g. 1,2,4.") from None


@app.command()
def bench(
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write an HTML page with plots to this file.")
    ] = None,
    patients: Annotated[int, typer.Option(min=1, help="Active patients.")] = 2_000,
    rate: Annotated[float, typer.Option(min=1, help="Messages/s of the latency part.")] = 500.0,
    seconds: Annotated[float, typer.Option(min=2, help="Length of the latency part.")] = 30.0,
    flood: Annotated[int, typer.Option(min=100, help="Messages of the throughput part.")] = 40_000,
    naive: Annotated[
        Path | None,
        typer.Option(help="Script of an obvious build to compare with: tests/bench/naive.py."),
    ] = None,
    curve: Annotated[
        str, typer.Option(help="Further rates, messages/s, of 8 s each; empty: none.")
    ] = "1000,2000,4000",
    workers: Annotated[
        str, typer.Option(help="Repeat the throughput part with so many workers, e.g. 1,2,4.")
    ] = "",
    known: Annotated[
        int,
        typer.Option(min=0, help="Time a new worker's first score with so many patients in Redis."),
    ] = 0,
) -> None:
    """Measure event → alert latency and throughput on servers of its own, then stop them.

    Example: tocsin bench --json bench.json --report bench.html
    """
    from streams.bench import report as page  # noqa: PLC0415  # slow to import
    from streams.bench.measure import Bench, Plan  # noqa: PLC0415

    plan = Plan(
        patients=patients,
        flood=flood,
        rate=rate,
        seconds=seconds,
        curve=_numbers("--curve", curve),
        naive=naive,
        workers=_numbers("--workers", workers),
        known=known,
    )
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        settings = settings_module.load(home=Path(folder))

        def start(number: int) -> Endpoints:
            return up(settings, processes=_processes(number), progress=_say)

        try:
            endpoints = start(1)
            kafka = settings.kafka.model_copy(update={"bootstrap": endpoints.kafka})
            figures = asyncio.run(Bench(endpoints, kafka, plan, _say, start).run())
        except LocalError as error:
            raise UserError(str(error)) from None
        finally:
            down(Path(folder))
    text = json.dumps(figures, indent=2)
    if json_file is not None:
        json_file.write_text(text + "\n")
    if report is not None:
        page.write(report, figures)
    typer.echo(text)
