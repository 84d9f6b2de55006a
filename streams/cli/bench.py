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
from streams.local.up import down, up

app = typer.Typer()
_err = Console(stderr=True, highlight=False)


def _say(line: str) -> None:
    _err.print(f"· {line}")


@app.command()
def bench(
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file.")
    ] = None,
    patients: Annotated[int, typer.Option(min=1, help="Active patients.")] = 2_000,
    rate: Annotated[float, typer.Option(min=1, help="Messages/s of the latency part.")] = 500.0,
    seconds: Annotated[float, typer.Option(min=2, help="Length of the latency part.")] = 30.0,
    flood: Annotated[int, typer.Option(min=100, help="Messages of the throughput part.")] = 40_000,
) -> None:
    """Measure event → alert latency and throughput on servers of its own, then stop them.

    Example: tocsin bench --json bench.json
    """
    from streams.bench.measure import Bench, Plan  # noqa: PLC0415  # slow to import

    plan = Plan(patients, flood, rate, seconds)
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        settings = settings_module.load(home=Path(folder))
        try:
            endpoints = up(settings, progress=_say)
            kafka = settings.kafka.model_copy(update={"bootstrap": endpoints.kafka})
            figures = asyncio.run(Bench(endpoints, kafka, plan, _say).run())
        except LocalError as error:
            raise UserError(str(error)) from None
        finally:
            down(Path(folder))
    text = json.dumps(figures, indent=2)
    if json_file is not None:
        json_file.write_text(text + "\n")
    typer.echo(text)
