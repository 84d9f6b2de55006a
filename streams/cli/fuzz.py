"""`tocsin fuzz`: hostile traffic for the HL7 v2 socket, with an account of every frame."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from connectors.fuzz.mutate import samples
from connectors.mllp.files import messages_of
from streams import settings as settings_module
from streams.errors import UserError
from streams.local.errors import LocalError

app = typer.Typer()
_err = Console(stderr=True, highlight=False)


@app.command()
def fuzz(
    mllp: Annotated[
        str, typer.Option(help="host:port; empty: a server and a broker of its own.")
    ] = "",
    frames: Annotated[int, typer.Option(min=1, help="Frames to send.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Equal seeds send equal bytes.")] = 1,
    connections: Annotated[int, typer.Option(min=1, max=500, help="At a time.")] = 8,
    corpus: Annotated[
        Path | None, typer.Option(help="Folder of HL7 v2 files to mutate; none: made-up ones.")
    ] = None,
    pid: Annotated[
        int | None, typer.Option(help="Of the server named by --mllp: its memory is watched.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Folder for what failed, to send it again.")
    ] = None,
) -> None:
    """Send mutated messages, random bytes and broken frames; account for every one of them.

    Exits with 1 when a frame was not answered as it should be or is not in the log, when the
    server died or took more memory than its settings allow, or a message could not be interpreted.
    Never point it at a server that patients depend on.

    Example: tocsin fuzz --frames 1000000 --seed 7 --json fuzz.json
    """
    from streams.fuzz import Run  # noqa: PLC0415  # what only it needs
    from streams.local.own_mllp import own_mllp  # noqa: PLC0415

    settings = settings_module.load()
    messages = _corpus(corpus)
    try:
        with ExitStack() as stack:
            if mllp:
                host, _, number = mllp.rpartition(":")
                if not number.isdecimal():
                    raise UserError(f"{mllp} is no host:port.")
                from streams.cli.running import settings_of_running  # noqa: PLC0415

                settings, port = settings_of_running(), int(number)
            else:
                _err.print("· starting a broker and a server")
                server = stack.enter_context(own_mllp(settings))
                settings, host, port, pid = (
                    server.settings,
                    "127.0.0.1",
                    server.port,
                    (server.process.pid),
                )
            bar = Progress(
                "[progress.description]{task.description}",
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=_err,
                disable=not _err.is_terminal,
            )
            with bar:
                task = bar.add_task("frames", total=frames)
                run = Run(
                    host,
                    port,
                    settings.kafka,
                    settings.mllp,
                    messages,
                    frames,
                    seed,
                    connections,
                    pid=pid,
                    alone=not mllp,
                    save=save,
                    progress=lambda count: bar.advance(task, count),
                    say=lambda text: _err.print(f"· {text}"),
                )
                figures = run.execute()
    except LocalError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"The run could not be finished: {error}.") from None
    text = json.dumps(figures, indent=2)
    if json_file is not None:
        json_file.write_text(text + "\n")
    typer.echo(text)
    raise typer.Exit(0 if figures["passed"] else 1)


def _corpus(folder: Path | None) -> list[bytes]:
    if folder is None:
        return samples()
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in (".hl7", ".txt"))
    found = [m for f in files for m in messages_of(f.read_bytes())]
    found = [m for m in found if 0 < len(m) <= 200_000]
    if not found:
        raise UserError(f"No HL7 v2 message (*.hl7, *.txt) is in {folder}.")
    return found
