"""All commands in one place. Each module holds a few that belong together."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from streams.cli import (
    backtesting,
    bench,
    compare,
    console,
    demo,
    fuzz,
    guarding,
    issuer,
    local,
    offline,
    processes,
    quarantine,
    reproducing,
    send,
    sinks,
    sources,
    tail,
    thresholds,
    traffic,
    training,
)
from streams.errors import UserError
from streams.settings import SettingsError

app = typer.Typer(
    name="tocsin",
    help="Streaming risk monitor for hospitals: HL7 in, explained alerts out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (
    demo,
    local,
    processes,
    console,
    send,
    traffic,
    offline,
    tail,
    training,
    bench,
    compare,
    fuzz,
    reproducing,
    backtesting,
    guarding,
    issuer,
):
    app.registered_commands += part.app.registered_commands
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(sources.app, name="sources")
app.add_typer(thresholds.app, name="thresholds")
app.add_typer(sinks.app, name="sinks")


def main() -> None:
    """Run a command; an error that the user can mend is one sentence, not a traceback."""
    try:
        app()
    except (UserError, SettingsError) as error:
        Console(stderr=True).print(f"[bold red]✗[/] {escape(str(error))}", highlight=False)
        sys.exit(1)
