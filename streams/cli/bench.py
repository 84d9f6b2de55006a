"""`tocsin bench`: throughput and latency of the whole line, measured on this machine."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from streams import bench as bench_module
from streams import settings as settings_module
from streams.errors import UserError
from streams.local.errors import LocalError
from streams.local.up import down, up

app = typer.Typer()
_err = Console(stderr=True, highlight=False)


@app.command()
def bench(
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file.")
    ] = None,
    patients: Annotated[int, typer.Option(min=1, help="Active patients.")] = 500,
    rate: Annotated[float, typer.Option(min=1, help="Messages/s of the latency part.")] = 200.0,
    seconds: Annotated[float, typer.Option(min=2, help="Length of the latency part.")] = 30.0,
    flood: Annotated[int, typer.Option(min=100, help="Messages of the throughput part.")] = 20_000,
) -> None:
    """Measure event → alert latency and throughput on servers of its own, then stop them.

    Example: tocsin bench --rate 200 --json bench.json
    """
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        settings = settings_module.load(home=Path(folder))
        try:
            endpoints = up(settings, progress=lambda line: _err.print(f"· {line}"))
            kafka = settings.kafka.model_copy(update={"bootstrap": endpoints.kafka})
            figures = asyncio.run(
                bench_module.measure(
                    endpoints,
                    kafka,
                    patients=patients,
                    rate=rate,
                    seconds=seconds,
                    flood=flood,
                    progress=lambda line: _err.print(f"· {line}"),
                )
            )
        except LocalError as error:
            raise UserError(str(error)) from None
        finally:
            down(Path(folder))
    text = json.dumps(figures, indent=2)
    if json_file is not None:
        json_file.write_text(text + "\n")
    typer.echo(text)
