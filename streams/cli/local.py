"""Everything on this machine: `tocsin up`, `tocsin down`, `tocsin doctor`."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from streams import settings as settings_module
from streams.console.sign_in.development import WARNING
from streams.errors import UserError
from streams.local.errors import LocalError
from streams.local.state import write_private

app = typer.Typer()
_out = Console(highlight=False)
_progress = Console(stderr=True, highlight=False)

Home = Annotated[
    Path | None, typer.Option(help="Working folder; default: the setting `home` (.tocsin).")
]
SignIn = Annotated[
    bool,
    typer.Option(
        "--sign-in",
        help="The console asks who you are: six people, each with a role, and no passwords.",
    ),
]


def _load(home: Path | None) -> settings_module.Settings:
    overrides: dict[str, Any] = {} if home is None else {"home": home}
    return settings_module.load(**overrides)


@app.command()
def up(
    home: Home = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the endpoints to this file.")
    ] = None,
    sign_in: SignIn = False,
) -> None:
    """Start Kafka, Redis and all of Tocsin here; returns when ready.

    Example: tocsin up --json endpoints.json
    """
    from streams.local.up import up as start  # noqa: PLC0415 - not for every command

    settings = _load(home)
    # `kill` undoes what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        endpoints = start(
            settings, progress=lambda line: _progress.print(f"· {line}"), sign_in=sign_in
        )
    except LocalError as error:
        raise UserError(str(error)) from None
    if json_file is not None:
        _write(json_file, endpoints.to_json())
    table = Table(box=None, show_header=False, pad_edge=False)
    for row in endpoints.rows():
        table.add_row(*row)
    _out.print(table)
    if sign_in:
        _progress.print(f"[bold red]![/] {WARNING}")


def _write(file: Path, text: str) -> None:
    try:
        write_private(file, text)
    except OSError as error:
        raise UserError(
            f"{file} cannot be written ({error.strerror}); everything is up: "
            "run `tocsin up --json` again with another file."
        ) from None


@app.command()
def down(home: Home = None) -> None:
    """Stop what `tocsin up` started here. Example: tocsin down"""
    from streams.local.up import down as stop  # noqa: PLC0415 - not for every command

    try:
        lines = stop(_load(home).home)
    except LocalError as error:
        raise UserError(str(error)) from None
    for line in lines:
        _out.print(line)


@app.command()
def doctor(
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    show_settings: Annotated[
        bool, typer.Option("--settings", help="Print every setting with its value instead.")
    ] = False,
) -> None:
    """Check servers, versions, ports, disk, bundles and clock. Example: tocsin doctor --json"""
    from streams.doctor import Level, examine  # noqa: PLC0415 - not for every command
    from streams.doctor.listing import listing  # noqa: PLC0415 - not for every command

    settings = _load(home)
    if show_settings:
        typer.echo(listing(settings), nl=False)
        return
    findings = examine(settings)
    if as_json:
        for finding in findings:
            typer.echo(json.dumps(finding._asdict()))
    else:
        marks = {Level.OK: "[green]✓[/]", Level.WARNING: "[yellow]![/]", Level.PROBLEM: "[red]✗[/]"}
        for finding in findings:
            _out.print(f"{marks[finding.level]} [bold]{finding.check}[/]:", end=" ")
            _out.print(finding.message, markup=False)
    if any(f.level == Level.PROBLEM for f in findings):
        raise typer.Exit(1)
