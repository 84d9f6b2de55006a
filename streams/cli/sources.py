"""`tocsin sources`: the site file, which says how each feed is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connectors.settings import SequencerSettings
from connectors.site import Site, SiteError, load
from streams.cli.errors import UserError
from streams.settings import Settings

app = typer.Typer(no_args_is_help=True, help="How each feed is read, and what its codes mean.")


def open_site(settings: Settings) -> Site:
    """The sources of these settings. Raises `UserError`."""
    try:
        return Site(settings.sequencer, settings.identity)
    except SiteError as error:
        raise UserError(f"{error}. `tocsin sources check FILE` tries it out.") from None


@app.callback()
def _group() -> None:
    """How each feed is read, and what its codes mean."""


@app.command()
def check(file: Annotated[Path, typer.Argument(help="The site file.")]) -> None:
    """Check a site file and the files of codes that it names.

    Example: tocsin sources check site.yaml
    """
    try:
        found = load(file)
        site = Site(SequencerSettings(site=file), Settings().identity)
    except SiteError as error:
        raise UserError(f"{error}.") from None
    for source in found.sources:
        profile = site.of(source.match)
        typer.echo(
            f"{source.match:24} {profile.time_zone}, charset {profile.charset or 'of MSH-18'}, "
            f"{len(profile.codes.meanings)} codes, {len(profile.codes.units)} units"
        )
    typer.echo(f"{file} is right: {len(found.sources)} sources.")
